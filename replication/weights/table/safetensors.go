package table

import (
	"encoding/binary"
	"slices"
	"strings"
)

// metadata is the one key of a header that is not a tensor's name.
const metadata = "__metadata__"

func readSafetensors(prefix []byte, size int64) (*Table, int, error) {
	n := binary.LittleEndian.Uint64(prefix)
	if prefix[8] != '{' || n > MaxHeader || int64(n) > size-8 {
		return nil, 0, none("neither safetensors nor GGUF")
	}
	if len(prefix) < 8+int(n) {
		return nil, 8 + int(n), nil
	}
	t := &Table{Format: Safetensors, Size: size, Data: 8 + int64(n)}
	s := &scanner{b: prefix[8 : 8+n]}
	seen := map[string]bool{}
	err := s.object(func(name string) error {
		if seen[name] {
			return none("the name %q twice", name)
		}
		seen[name] = true
		if name == metadata {
			return s.object(func(string) error { _, err := s.str(); return err })
		}
		if len(t.Tensors) == MaxTensors {
			return none("more than %d tensors", MaxTensors)
		}
		tensor, err := s.tensor(name, t.Data)
		t.Tensors = append(t.Tensors, tensor)
		return err
	})
	if err == nil {
		err = s.end()
	}
	if err == nil {
		err = t.place(1)
	}
	if err != nil {
		return nil, 0, err
	}
	return t, 0, nil
}

// tensor reads what is said of one tensor. Offsets count from data on.
func (s *scanner) tensor(name string, data int64) (Tensor, error) {
	t := Tensor{Name: name}
	var dtype string
	var offsets []int64
	var seen []string
	err := s.object(func(key string) (err error) {
		if slices.Contains(seen, key) {
			return none("tensor %q says its %q twice", name, key)
		}
		seen = append(seen, key)
		switch key {
		case "dtype":
			dtype, err = s.str()
		case "shape":
			t.Shape, err = s.wholes(MaxDims)
		case "data_offsets":
			offsets, err = s.wholes(2)
		default:
			return none("tensor %q has an unknown key %q", name, key)
		}
		return err
	})
	if err != nil {
		return t, err
	}
	if len(seen) != 3 || len(offsets) != 2 {
		return t, none("tensor %q lacks one of dtype, shape and data_offsets", name)
	}
	var ok bool
	if t.DType, ok = byName[dtype]; !ok {
		return t, none("tensor %q is of the unknown type %q", name, dtype)
	}
	size, err := sizeOf(t.DType, t.Shape)
	if err != nil {
		return t, err
	}
	if offsets[0] > MaxFile || offsets[1]-offsets[0] != size {
		return t, none("tensor %q lies from %d to %d; its type and shape make %d bytes", name, offsets[0], offsets[1], size)
	}
	t.Offset, t.Size = data+offsets[0], size
	return t, nil
}

// Shards is the index of a model that was cut into several safetensors files.
type Shards struct {
	Files []string          // in the order of their names
	Of    map[string]string // the file of each tensor
}

// ReadShards reads an index (model.safetensors.index.json). File names with a path are refused.
func ReadShards(index []byte) (*Shards, error) {
	if len(index) > MaxHeader {
		return nil, none("an index of %d bytes", len(index))
	}
	s := &scanner{b: index}
	out := &Shards{Of: map[string]string{}}
	files, maps := map[string]string{}, 0
	err := s.object(func(key string) error {
		if key != "weight_map" {
			return s.skip(0)
		}
		maps++
		return s.object(func(name string) error {
			file, err := s.str()
			if err != nil {
				return err
			}
			if file == "" || file == "." || file == ".." || strings.ContainsAny(file, "/\\\x00") {
				return none("tensor %q is in %q, which is not the name of a file", name, file)
			}
			if _, twice := out.Of[name]; twice || len(out.Of) == MaxTensors {
				return none("tensor %q twice, or more than %d", name, MaxTensors)
			}
			if files[file] == "" {
				files[file] = file
				out.Files = append(out.Files, file)
			}
			out.Of[name] = files[file]
			return nil
		})
	})
	if err == nil {
		err = s.end()
	}
	if err == nil && maps != 1 {
		err = none("an index with %d weight maps", maps)
	}
	if err != nil {
		return nil, err
	}
	slices.Sort(out.Files)
	return out, nil
}
