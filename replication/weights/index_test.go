package weights

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/galleon-net/galleon/replication/weights/table"
)

var rewrite = flag.Bool("rewrite", false, "write the golden vectors anew; they must never differ once released")

// The same index, however the file comes.
func TestIndexer(t *testing.T) {
	file := safetensors(model()...)
	want := indexOf(t, file)
	for _, step := range []int{1 << 20, 4097, len(file)} {
		x := NewIndexer(int64(len(file)))
		for rest := file; len(rest) > 0; rest = rest[min(step, len(rest)):] {
			if _, err := x.Write(rest[:min(step, len(rest))]); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := x.Finish(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("in steps of %d: another index, %v", step, err)
		}
	}
	end := int64(0)
	for i := range want.Segments {
		s := &want.Segments[i]
		if s.Offset != end || len(s.Pieces) != pieces(s.Size, s.DType) || len(s.Sketch) > sketchMost*sketchSpot {
			t.Errorf("segment %d at %d of %d bytes, %d pieces, sketch of %d", i, s.Offset, s.Size, len(s.Pieces), len(s.Sketch))
		}
		end += s.Size
	}
	if end != want.Size {
		t.Errorf("segments of %d bytes in a file of %d", end, want.Size)
	}
}

func TestIndexerEnds(t *testing.T) {
	for n := range 20 {
		x := NewIndexer(int64(n))
		if _, err := x.Write(make([]byte, n+1)); err == nil {
			t.Errorf("%d bytes of %d were taken", n+1, n)
		}
		if n > 0 {
			if _, err := x.Finish(); err == nil {
				t.Errorf("no byte of %d is enough", n)
			}
		}
		if _, err := x.Write(make([]byte, n)); err != nil {
			t.Error(err)
		}
		if ix, err := x.Finish(); err != nil || ix.Format != 0 || x.Reason() == nil {
			t.Errorf("%d bytes: %v, format %v, reason %v", n, err, ix.Format, x.Reason())
		}
	}
}

func TestMarshal(t *testing.T) {
	var s shelf
	ix := s.put(t, safetensors(model()...))
	b, err := ix.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := ParseIndex(b)
	if err != nil || !reflect.DeepEqual(got, ix) {
		t.Fatalf("another index: %v", err)
	}
	if share := float64(len(b)) / float64(ix.Size); share > 0.001 {
		t.Errorf("an index of %.4f of its file", share)
	}
	list := model()
	list[0].data = cut(list[0].data, columns, 256, 512)
	list[0].shape[1] = 256
	list[2].data[77]++
	r := Search(indexOf(t, safetensors(list...)), ix)
	b, err = r.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	back, err := ParseRecipe(b)
	if err != nil || !reflect.DeepEqual(back, r) {
		t.Fatalf("another recipe: %v", err)
	}
	for i := range b {
		b[i] ^= 0x55
		if got, err := ParseRecipe(b); err == nil && got.Sum != r.Sum {
			t.Errorf("byte %d changed: another file and no error", i)
		} else if err != nil && !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d changed: an error of no kind: %v", i, err)
		}
		b[i] ^= 0x55
		if _, err := ParseRecipe(b[:i]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
}

func FuzzRecipe(f *testing.F) {
	var s shelf
	ix := s.put(f, safetensors(tensor{"a", table.BF16, []int64{300, 512}, bf16(gaussian(1, 300*512))}))
	r := Search(indexOf(f, safetensors(
		tensor{"b", table.BF16, []int64{300, 256}, cut(bf16(gaussian(1, 300*512)), 512, 0, 256)},
		tensor{"c", table.BF16, []int64{200, 512}, bf16(gaussian(1, 200*512))})), ix)
	b, _ := r.AppendBinary(nil)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRecipe(b)
		if err != nil {
			return
		}
		read := func(p []byte, _ Sum, _ int64) error { return nil }
		file := &File{Recipe: r, Read: read}
		n := 0
		for p := range r.Places(Place{}) {
			at, size := r.Extent(p)
			if _, err := file.baseOf(p, size, at); err != nil {
				t.Fatal(err)
			}
			if n++; n == 3 {
				break
			}
		}
		again, err := r.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ParseRecipe(again); err != nil || !reflect.DeepEqual(back, r) {
			t.Fatalf("what was read cannot be written and read: %v", err)
		}
	})
}

func FuzzIndex(f *testing.F) {
	b, _ := indexOf(f, safetensors(tensor{"a", table.BF16, []int64{300, 512}, bf16(gaussian(1, 300*512))})).AppendBinary(nil)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		ix, err := ParseIndex(b)
		if err != nil {
			return
		}
		// Lies about sketches and anchors make poor bases, not panics or recipes that cannot be read.
		other, _ := ParseIndex(b)
		if len(other.Segments) > 0 {
			other.Segments[0].Sum[0] ^= 1
		}
		r, err := Search(ix, other).AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseRecipe(r); err != nil {
			t.Fatal(err)
		}
	})
}

// The golden file pins names, indexes, recipes and frames: what is written under version 1 is read for ever.
func TestGolden(t *testing.T) {
	var out strings.Builder
	small := func(seed uint64) []byte { return bf16(gaussian(seed, 96)) }
	var s shelf
	ix := s.put(t, safetensors(tensor{"a", table.BF16, []int64{8, 12}, small(1)}))
	b, err := ix.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&out, "index %x\n", b)
	file := safetensors(tensor{"a", table.BF16, []int64{8, 12}, related(nil, small(1), 3)})
	wire, _ := s.send(t, file)
	fmt.Fprintf(&out, "stream %x\n", wire)

	base := bf16(gaussian(3, 150))
	var d Decoder
	for _, dtype := range []table.DType{table.Bytes, table.BF16, table.F32, table.F64, table.F8E4M3, table.Q4_0} {
		for kind, piece := range [][]byte{related(nil, base, 3), related(nil, base, 5), base} {
			for m := Raw; m < modes; m++ {
				l := &layouts[dtype]
				if m == Steps && !l.steps() {
					continue
				}
				frame := forced(m, dtype, piece, base)
				got := make([]byte, len(piece))
				if err := d.Frame(got, frame, base); m != Same && (err != nil || !bytes.Equal(got, piece)) {
					t.Errorf("%v %v: %v", dtype, m, err)
				}
				fmt.Fprintf(&out, "%v %d %v %x\n", dtype, kind, m, frame)
			}
		}
	}
	const name = "testdata/golden_v1.txt"
	if *rewrite {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if out.String() != string(want) {
		t.Error("what is written differs from version 1. An encoder may choose otherwise; then decide whether that was meant")
	}
	// What version 1 wrote is read, whatever is written today.
	for line := range strings.Lines(string(want)) {
		f := strings.Fields(line)
		raw, err := hex.DecodeString(f[len(f)-1])
		if err != nil {
			t.Fatal(err)
		}
		switch f[0] {
		case "index":
			_, err = ParseIndex(raw)
		case "stream":
			var got bytes.Buffer
			if _, err = Decode(&d, &got, bytes.NewReader(raw), s.read); err == nil && !bytes.Equal(got.Bytes(), file) {
				err = ErrMismatch
			}
		default:
			h, _ := ParseHeader(raw)
			if err = d.Frame(make([]byte, h.Raw), raw, base); h.Mode == Same && f[1] != "2" {
				err = nil // the piece is not the base; the frame only shows its form
			}
		}
		if err != nil {
			t.Errorf("%s: %v", f[:len(f)-1], err)
		}
	}
}

// forced makes a frame of a mode, whether it would be chosen or not.
func forced(m Mode, d table.DType, piece, base []byte) []byte {
	e, l := NewEncoder(Dense), &layouts[d]
	var body []byte
	switch m {
	case Raw:
		body = piece
	case Split:
		body = e.appendPlanes(nil, l, piece, hintSplit)
	case Xor:
		body = e.appendPlanes(nil, l, exclusiveOr(make([]byte, len(piece)), piece, base), hintXor)
	case Steps:
		body = e.appendSteps(nil, l, piece, base)
	case Patch:
		list, _ := l.changes(nil, piece, base, len(piece))
		body = e.appendPatch(nil, l, piece, base, list)
	}
	if len(body) > len(piece) {
		m, body = Raw, piece
	}
	frame := make([]byte, HeaderLen, HeaderLen+len(body))
	putHeader(frame, Header{Mode: m, DType: d, Raw: len(piece), Body: len(body), Sum: SumOf(piece)})
	return append(frame, body...)
}

// zeros is a file of so many bytes of which little is ever in memory.
type zeros struct {
	head []byte
	size int64
}

func (z *zeros) ReadAt(p []byte, at int64) (int, error) {
	clear(p)
	if at < int64(len(z.head)) {
		copy(p, z.head[at:])
	}
	for i := max(0, int64(len(z.head))-at); i+8 <= int64(len(p)); i += 8 {
		v := uint64(at+i) * 0x9e3779b97f4a7c15
		for k := range 8 {
			p[i+int64(k)] = byte(v >> (8 * k))
		}
	}
	return len(p), nil
}

// One tensor of a GiB takes no more memory than one of a MiB.
func TestMemory(t *testing.T) {
	const size = 1 << 30
	head := safetensors(tensor{"huge", table.BF16, []int64{size / 2}, nil})
	head = bytes.Replace(head, []byte("[0,0]"), []byte(fmt.Sprintf("[0,%d]", size)), 1)
	head = append([]byte{byte(len(head) - 8), 0, 0, 0, 0, 0, 0, 0}, head[8:]...)
	z := &zeros{head, int64(len(head)) + size}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	x := NewIndexer(z.size)
	buf := make([]byte, 1<<20)
	most := uint64(0)
	look := func() {
		runtime.ReadMemStats(&after)
		most = max(most, after.HeapInuse-min(after.HeapInuse, before.HeapInuse))
	}
	// A sixteenth of the file shows what holding on to pieces would cost.
	const part = 64 << 20
	e, d := NewEncoder(Dense), new(Decoder)
	var frame []byte
	for at := int64(0); at < part; at += int64(len(buf)) {
		_, _ = z.ReadAt(buf, at)
		if _, err := x.Write(buf); err != nil {
			t.Fatal(err)
		}
		frame = e.AppendFrame(frame[:0], table.BF16, buf, nil, nil)
		if err := d.Frame(buf, frame, nil); err != nil {
			t.Fatal(err)
		}
		if at&(8<<20-1) == 0 {
			look()
		}
	}
	if x.ix.Format != table.Safetensors {
		t.Fatal(x.Reason())
	}
	if most > 24<<20 {
		t.Errorf("%d MiB in use", most>>20)
	}
}
