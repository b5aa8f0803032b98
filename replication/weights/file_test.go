package weights

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/galleon-net/galleon/replication/weights/table"
)

type tensor struct {
	name  string
	dtype table.DType
	shape []int64
	data  []byte
}

// safetensors writes a file.
func safetensors(list ...tensor) []byte {
	var head bytes.Buffer
	at := 0
	head.WriteString(`{"__metadata__":{"format":"pt"}`)
	for _, t := range list {
		name, _ := json.Marshal(t.name)
		shape := strings.ReplaceAll(fmt.Sprint(t.shape), " ", ",")
		fmt.Fprintf(&head, `,%s:{"dtype":"%v","shape":%s,"data_offsets":[%d,%d]}`, name, t.dtype, shape, at, at+len(t.data))
		at += len(t.data)
	}
	head.WriteByte('}')
	out := binary.LittleEndian.AppendUint64(nil, uint64(head.Len()))
	out = append(out, head.Bytes()...)
	for _, t := range list {
		out = append(out, t.data...)
	}
	return out
}

func indexOf(t testing.TB, file []byte) *Index {
	t.Helper()
	x := NewIndexer(int64(len(file)))
	r := rand.New(rand.NewPCG(uint64(len(file)), 1))
	for rest := file; len(rest) > 0; {
		n := min(len(rest), 1+r.IntN(3<<20))
		if _, err := x.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	ix, err := x.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return ix
}

// shelf is what a destination has.
type shelf struct {
	files   [][]byte
	indexes []*Index
}

func (s *shelf) put(t testing.TB, file []byte) *Index {
	ix := indexOf(t, file)
	s.files, s.indexes = append(s.files, file), append(s.indexes, ix)
	return ix
}

func (s *shelf) read(p []byte, sum Sum, off int64) error {
	for i, ix := range s.indexes {
		for k := range ix.Segments {
			if g := &ix.Segments[k]; g.Sum == sum {
				if off+int64(len(p)) > g.Size {
					return fmt.Errorf("%d bytes at %d of %d", len(p), off, g.Size)
				}
				copy(p, s.files[i][g.Offset+off:])
				return nil
			}
		}
	}
	return fmt.Errorf("no segment %v here", sum)
}

// send codes a file for a destination that has s, decodes it there, and gives what went over the wire.
func (s *shelf) send(t testing.TB, file []byte) (wire []byte, r *Recipe) {
	t.Helper()
	ix := indexOf(t, file)
	r = Search(ix, s.indexes...)
	if err := r.Refine(bytes.NewReader(file), s.read); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := (&File{Recipe: r, Read: s.read}).Encode(NewEncoder(Dense), &out, bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	wire = out.Bytes()
	var got bytes.Buffer
	if _, err := Decode(new(Decoder), &got, bytes.NewReader(wire), s.read); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), file) {
		t.Fatal("another file came out")
	}
	if len(wire) > len(file)+len(file)/1000+512 {
		t.Errorf("%d bytes for %d", len(wire), len(file))
	}
	return wire, r
}

func gaussian(seed uint64, n int) []float32 { return normal(rand.New(rand.NewPCG(seed, 0)), n, 0.02) }

// cut gives columns from .. to of a matrix of two-byte elements.
func cut(data []byte, columns, from, to int) (out []byte) {
	for row := 0; row < len(data); row += 2 * columns {
		out = append(out, data[row+2*from:row+2*to]...)
	}
	return out
}

const rows, columns = 1500, 1024

func model() []tensor {
	var list []tensor
	for i := range 4 {
		list = append(list, tensor{fmt.Sprintf("layer.%d.weight", i), table.BF16, []int64{rows, columns}, bf16(gaussian(uint64(i), rows*columns))})
		list = append(list, tensor{fmt.Sprintf("layer.%d.norm", i), table.BF16, []int64{columns}, bf16(gaussian(100+uint64(i), columns))})
	}
	return list
}

func TestSend(t *testing.T) {
	base := model()
	moved := func(size float32) []tensor {
		out := model()
		for i := range out {
			seed := uint64(i / 2)
			if i%2 == 1 {
				seed += 100
			}
			v, d := gaussian(seed, len(out[i].data)/2), gaussian(1000+uint64(i), len(out[i].data)/2)
			for k := range v {
				v[k] += size * d[k]
			}
			out[i].data = bf16(v)
		}
		return out
	}
	named := func(list []tensor, prefix string) []tensor {
		for i := range list {
			list[i].name = prefix + list[i].name
		}
		return list
	}
	w := func(i int) []byte { return base[2*i].data }
	rowBytes := 2 * columns
	cases := []struct {
		name string
		file []byte
		most float64 // wire over raw
	}{
		{"again", safetensors(base...), 0.001},
		{"renamed", safetensors(named(model(), "model.")...), 0.001},
		{"reordered", safetensors(base[6], base[2], base[4], base[0]), 0.001},
		{"step", safetensors(moved(0.00002)...), 0.01},
		{"renamed step", safetensors(named(moved(0.00002), "x.")...), 0.01},
		{"tuned", safetensors(moved(0.01)...), 0.4},
		{"rows cut", safetensors(
			tensor{"a", table.BF16, []int64{rows - 333, columns}, w(0)[333*rowBytes:]},
			tensor{"b", table.BF16, []int64{333, columns}, w(0)[:333*rowBytes]},
		), 0.01},
		{"rows joined", safetensors(
			tensor{"abc", table.BF16, []int64{3 * rows, columns}, bytes.Join([][]byte{w(2), w(0), w(1)}, nil)},
		), 0.001},
		{"columns cut", safetensors(
			tensor{"a", table.BF16, []int64{rows, 256}, cut(w(1), columns, 0, 256)},
			tensor{"b", table.BF16, []int64{rows, 768}, cut(w(1), columns, 256, 1024)},
		), 0.01},
		{"something else", safetensors(tensor{"n", table.BF16, []int64{rows, columns}, bf16(gaussian(77, rows*columns))}), 0.67},
		{"no table", append([]byte("weights: "), w(3)...), 0.68}, // begins at an odd place, yet is seen as floats
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var s shelf
			s.put(t, safetensors(base...))
			wire, r := s.send(t, c.file)
			if got := float64(len(wire)) / float64(len(c.file)); got > c.most {
				for i := range r.Segments {
					t.Logf("%d bytes, same %v, %d spans", r.Segments[i].Size, r.Segments[i].Same, len(r.Segments[i].Spans))
				}
				t.Errorf("%.4f of the file went over the wire; want at most %.4f", got, c.most)
			}
		})
	}
	t.Run("columns joined", func(t *testing.T) {
		var s shelf
		s.put(t, safetensors(
			tensor{"a", table.BF16, []int64{rows, 512}, cut(w(1), columns, 0, 512)},
			tensor{"b", table.BF16, []int64{rows, 512}, cut(w(1), columns, 512, 1024)}))
		if wire, _ := s.send(t, safetensors(base[2])); len(wire) > len(w(1))/100 {
			t.Errorf("%d bytes", len(wire))
		}
	})
}

// A stream in which a byte was changed, that was cut, or whose base is gone or another, gives an error.
func TestCorruptStream(t *testing.T) {
	var s shelf
	base := safetensors(tensor{"a", table.BF16, []int64{200, 10}, bf16(gaussian(1, 2000))})
	s.put(t, base)
	file := bytes.Clone(base)
	file[len(file)-9] ^= 1
	wire, _ := s.send(t, file)
	for i := range wire {
		wire[i] ^= 0x21
		var got bytes.Buffer
		_, err := Decode(new(Decoder), &got, bytes.NewReader(wire), s.read)
		if err == nil && !bytes.Equal(got.Bytes(), file) {
			t.Errorf("byte %d changed: another file and no error", i)
		}
		if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrMismatch) && !errors.Is(err, ErrBase) {
			t.Errorf("byte %d changed: an error of no kind: %v", i, err)
		}
		wire[i] ^= 0x21
		if _, err := Decode(new(Decoder), io.Discard, bytes.NewReader(wire[:i]), s.read); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	gone := func([]byte, Sum, int64) error { return errors.New("was collected") }
	if _, err := Decode(new(Decoder), io.Discard, bytes.NewReader(wire), gone); !errors.Is(err, ErrBase) {
		t.Errorf("without the base: %v", err)
	}
	other := func(p []byte, sum Sum, off int64) error {
		err := s.read(p, sum, off)
		p[0] ^= 1
		return err
	}
	if _, err := Decode(new(Decoder), io.Discard, bytes.NewReader(wire), other); !errors.Is(err, ErrMismatch) && !errors.Is(err, ErrCorrupt) {
		t.Errorf("with another base: %v", err)
	}
}

// Places can be coded and decoded in any order, by encoders that know nothing of each other.
func TestPlaces(t *testing.T) {
	var s shelf
	s.put(t, safetensors(model()...))
	list := model()
	list[0].data = bf16(gaussian(50, rows*columns))
	file := safetensors(list...)
	r := Search(indexOf(t, file), s.indexes...)
	var places []Place
	for p := range r.Places(Place{}) {
		places = append(places, p)
	}
	if want := pieces(2*rows*columns, table.BF16); len(places) < want {
		t.Fatalf("%d places, want at least %d", len(places), want)
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(places), func(i, k int) { places[i], places[k] = places[k], places[i] })
	for _, p := range places {
		f := &File{Recipe: r, Read: s.read}
		offset := r.Offset(p.Segment)
		frame, err := f.AppendFrame(NewEncoder(Dense), nil, p, bytes.NewReader(file), offset)
		if err != nil {
			t.Fatal(err)
		}
		at, n := r.Extent(p)
		piece := make([]byte, n)
		if err := f.Piece(new(Decoder), piece, p, frame); err != nil || !bytes.Equal(piece, file[offset+at:][:n]) {
			t.Fatalf("%v: %v", p, err)
		}
		// The frame of another place is refused.
		if other := (Place{p.Segment, p.Piece ^ 1}); p.Piece^1 < len(r.Segments[p.Segment].Pieces) {
			if _, m := r.Extent(other); m == n {
				if err := f.Piece(new(Decoder), piece, other, frame); !errors.Is(err, ErrMismatch) {
					t.Errorf("a frame at the wrong place: %v", err)
				}
			}
		}
	}
}
