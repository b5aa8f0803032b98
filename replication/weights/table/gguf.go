package table

import (
	"encoding/binary"
	"unicode/utf8"
)

const (
	ggufVersions = "2 and 3"
	defaultAlign = 32
	maxAlign     = 1 << 20
	maxPairs     = 1 << 16 // of keys and values
)

// The types of values in a GGUF header, by their numbers; the sizes of those of a fixed size.
const (
	ggufU32    = 4
	ggufString = 8
	ggufArray  = 9
)

var ggufSizes = [...]int64{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8}

// cursor reads numbers from a header of which the end may not be here yet.
type cursor struct {
	b    []byte
	at   int64
	size int64 // of the whole file
	want int64 // set when bytes were asked for that are not here
	err  error
}

// take gives the next n bytes, or zeros when they are not here.
func (c *cursor) take(n int64) []byte {
	switch {
	case c.err != nil || c.want != 0:
	case n < 0 || n > MaxHeader-min(MaxHeader, c.at) || n > c.size-c.at:
		c.err = none("a header that goes beyond %d bytes or the file's end", MaxHeader)
	case c.at+n > int64(len(c.b)):
		// Twice as much as before: then all attempts together read the header three times at most.
		c.want = min(max(c.at+n, 2*int64(len(c.b))), c.size)
	default:
		c.at += n
		return c.b[c.at-n : c.at]
	}
	return nil
}

func (c *cursor) ok() bool { return c.err == nil && c.want == 0 }

func (c *cursor) u32() uint32 {
	if b := c.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// u64 reads a number of which no use has more than 63 bits.
func (c *cursor) u64() int64 {
	b := c.take(8)
	if b == nil {
		return 0
	}
	v := binary.LittleEndian.Uint64(b)
	if v > 1<<62 {
		c.err = none("a number of %d", v)
		return 0
	}
	return int64(v)
}

func (c *cursor) str() []byte { return c.take(c.u64()) }

// value reads over a value, and gives it when it is a u32.
func (c *cursor) value(kind uint32, depth int) (v uint32) {
	switch {
	case kind == ggufString:
		c.str()
	case kind == ggufU32:
		return c.u32()
	case kind == ggufArray:
		of, n := c.u32(), c.u64()
		if !c.ok() {
			return 0
		}
		if depth == maxDepth || of >= uint32(len(ggufSizes)) {
			c.err = none("arrays of more than %d levels, or of the unknown type %d", maxDepth, of)
			return 0
		}
		if size := ggufSizes[of]; size != 0 {
			if n > MaxHeader {
				c.err = none("an array of %d", n)
				return 0
			}
			c.take(n * size)
			return 0
		}
		for ; n > 0 && c.ok(); n-- {
			c.value(of, depth+1)
		}
	case kind < uint32(len(ggufSizes)):
		c.take(ggufSizes[kind])
	default:
		c.err = none("a value of the unknown type %d", kind)
	}
	return 0
}

func readGGUF(prefix []byte, size int64) (*Table, int, error) {
	c := &cursor{b: prefix, at: 4, size: size}
	t := &Table{Format: GGUF, Size: size}
	align, err := c.header(t)
	if err == nil {
		err = c.err
	}
	if err != nil {
		return nil, 0, err
	}
	if c.want != 0 {
		return nil, int(c.want), nil
	}
	t.Data = min((c.at+align-1)/align*align, size)
	for i := range t.Tensors {
		t.Tensors[i].Offset += t.Data
	}
	if err := t.place(align); err != nil {
		return nil, 0, err
	}
	return t, 0, nil
}

// header reads all of a header as far as it is here, and gives the alignment.
func (c *cursor) header(t *Table) (align int64, err error) {
	if v := c.u32(); c.ok() && v != 2 && v != 3 {
		return 0, none("GGUF version %d; known are %s", v, ggufVersions)
	}
	tensors, pairs := c.u64(), c.u64()
	if tensors > MaxTensors || pairs > maxPairs {
		return 0, none("%d tensors and %d pairs", tensors, pairs)
	}
	align = defaultAlign
	aligned := false
	for ; pairs > 0 && c.ok(); pairs-- {
		key := string(c.str())
		kind := c.u32()
		v := c.value(kind, 0)
		if key == "general.alignment" && c.ok() {
			align = int64(v)
			if aligned || kind != ggufU32 || align == 0 || align%8 != 0 || align > maxAlign {
				return 0, none("an alignment of %d, or two", align)
			}
			aligned = true
		}
	}
	seen := map[string]bool{}
	names := 0
	for ; tensors > 0 && c.ok(); tensors-- {
		name := string(c.str())
		n := c.u32()
		if n > MaxDims {
			return 0, none("tensor %q has %d dimensions", name, n)
		}
		shape := make([]int64, n)
		for i := range shape {
			shape[i] = c.u64()
		}
		kind, offset := c.u32(), c.u64()
		if !c.ok() {
			break
		}
		d, known := byNumber[kind]
		if names += len(name); !known || seen[name] || len(name) > maxKey || names > MaxNames || !utf8.ValidString(name) {
			return 0, none("tensor %.100q is of the unknown type %d, is there twice, or its name is no name", name, kind)
		}
		seen[name] = true
		size, err := sizeOf(d, shape)
		if err != nil {
			return 0, err
		}
		if n > 0 && shape[0]%d.Elements() != 0 {
			return 0, none("tensor %q has rows of %d elements, which come in blocks of %d", name, shape[0], d.Elements())
		}
		if offset%align != 0 || offset > MaxFile {
			return 0, none("tensor %q lies at %d, which the alignment %d does not allow", name, offset, align)
		}
		t.Tensors = append(t.Tensors, Tensor{Name: name, DType: d, Shape: shape, Offset: offset, Size: size})
	}
	return align, nil
}
