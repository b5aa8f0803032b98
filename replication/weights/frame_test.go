package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/galleon-net/galleon/replication/weights/table"
)

// allTypes are all types of which frames can be.
func allTypes() (all []table.DType) {
	for d := table.DType(0); d.Valid(); d++ {
		all = append(all, d)
	}
	return all
}

// normal gives n values of a normal distribution as floats of 32 bits.
func normal(r *rand.Rand, n int, sigma float64) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64() * sigma)
	}
	return v
}

// bf16 rounds to the nearest, as frameworks do.
func bf16(v []float32) []byte {
	b := make([]byte, 0, 2*len(v))
	for _, f := range v {
		u := math.Float32bits(f)
		b = binary.LittleEndian.AppendUint16(b, uint16((u+0x7fff+u>>16&1)>>16))
	}
	return b
}

func f32(v []float32) []byte {
	b := make([]byte, 0, 4*len(v))
	for _, f := range v {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return b
}

// related gives a piece that differs from base as kind says, a number from 0 on.
func related(r *rand.Rand, base []byte, kind int) []byte {
	p := bytes.Clone(base)
	switch kind % 6 {
	case 0: // the same
	case 1: // a few bytes
		for range 1 + len(p)/100 {
			if len(p) > 0 {
				p[r.IntN(len(p))] ^= byte(1 + r.IntN(255))
			}
		}
	case 2: // every byte a little
		for i := range p {
			p[i] += byte(r.IntN(3))
		}
	case 3: // every second 16-bit number by one
		for i := 0; i+4 <= len(p); i += 4 {
			binary.LittleEndian.PutUint16(p[i:], binary.LittleEndian.Uint16(p[i:])+1)
		}
	case 4: // something else
		for i := range p {
			p[i] = byte(r.Uint32())
		}
	case 5: // constant
		clear(p)
	}
	return p
}

func TestRoundTrip(t *testing.T) {
	types := allTypes()
	var d Decoder
	seen := map[Mode]int{}
	rapid.Check(t, func(t *rapid.T) {
		dtype := rapid.SampledFrom(types).Draw(t, "type")
		n := rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(0, 20000)).Draw(t, "bytes")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		level := Level(rapid.IntRange(0, int(levels)-1).Draw(t, "level"))
		base := bf16(normal(r, (n+1)/2, 0.02))[:n]
		if rapid.Bool().Draw(t, "float") && n >= 4 {
			base = f32(normal(r, (n+3)/4, 0.02))[:n]
		}
		e := NewEncoder(level)
		for kind := range 6 {
			piece := related(r, base, kind)
			for _, b := range [][]byte{nil, base} {
				frame := e.AppendFrame([]byte("x"), dtype, piece, b, nil)[1:]
				h, err := ParseHeader(frame)
				if err != nil || len(frame) > HeaderLen+len(piece) {
					t.Fatalf("%v: a frame of %d bytes for %d", err, len(frame), len(piece))
				}
				seen[h.Mode]++
				got := make([]byte, len(piece))
				if err := d.Frame(got, frame, b); err != nil || !bytes.Equal(got, piece) {
					t.Fatalf("%v of kind %d, mode %v: %v", dtype, kind, h.Mode, err)
				}
			}
		}
	})
	for m := range Mode(modes) {
		if seen[m] == 0 {
			t.Errorf("mode %v never came", m)
		}
	}
}

// Every mode of every type, whether it would be chosen or not.
func TestEveryMode(t *testing.T) {
	var d Decoder
	r := rand.New(rand.NewPCG(7, 7))
	for _, dtype := range allTypes() {
		l := &layouts[dtype]
		for _, n := range []int{0, 1, 7, 8, 15, 16, 17, 31, 33, 255, 1000, 4097, 50001} {
			base := bf16(normal(r, n, 0.02))[:n]
			for kind := range 6 {
				piece := related(r, base, kind)
				for m := Split; m < modes; m++ {
					if m == Steps && !l.steps() {
						continue
					}
					e := NewEncoder(Dense)
					var body []byte
					switch m {
					case Split:
						body = e.appendPlanes(nil, l, piece, hintSplit)
					case Xor:
						body = e.appendPlanes(nil, l, exclusiveOr(make([]byte, n), piece, base), hintXor)
					case Steps:
						body = e.appendSteps(nil, l, piece, base)
					case Patch:
						list, _ := l.changes(nil, piece, base, n)
						body = e.appendPatch(nil, l, piece, base, list)
					}
					got := make([]byte, n)
					err := d.body(got, body, base, Header{Mode: m, DType: dtype})
					if err != nil || !bytes.Equal(got, piece) {
						t.Fatalf("%v, %d bytes, kind %d, mode %v: %v", dtype, n, kind, m, err)
					}
				}
			}
		}
	}
}

// A frame in which any byte was changed, or that was cut, or that meets another base, gives an error and never other
// bytes.
func TestCorruptFrame(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	base := bf16(normal(r, 400, 0.02))
	var d Decoder
	for kind := range 6 {
		piece := related(r, base, kind)
		for _, b := range [][]byte{nil, base} {
			frame := NewEncoder(Dense).AppendFrame(nil, table.BF16, piece, b, nil)
			got := make([]byte, len(piece))
			for i := range frame {
				for _, flip := range []byte{1, 0x80, 0xff} {
					frame[i] ^= flip
					err := d.Frame(got, frame, b)
					if err == nil && (i != 1 || !bytes.Equal(got, piece)) {
						// Byte 1 is the type, which some modes do not look at.
						t.Errorf("kind %d: byte %d may be anything", kind, i)
					}
					if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrMismatch) && !errors.Is(err, ErrBase) {
						t.Errorf("an error of no kind: %v", err)
					}
					frame[i] ^= flip
				}
			}
			for i := range frame {
				if d.Frame(got, frame[:i], b) == nil {
					t.Errorf("kind %d: cut at %d of %d", kind, i, len(frame))
				}
			}
			if h, _ := ParseHeader(frame); h.Mode.NeedsBase() {
				if err := d.Frame(got, frame, nil); !errors.Is(err, ErrBase) {
					t.Errorf("without base: %v", err)
				}
				other := bytes.Clone(base)
				other[5] ^= 1
				if err := d.Frame(got, frame, other); !errors.Is(err, ErrMismatch) && !errors.Is(err, ErrCorrupt) {
					t.Errorf("with another base: %v", err)
				}
			}
		}
	}
}

func FuzzFrame(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 5))
	base := bf16(normal(r, 600, 0.02))
	for kind := range 6 {
		piece := related(r, base, kind)
		for _, d := range []table.DType{table.BF16, table.F32, table.F64, table.Q4_0, table.Bytes, table.I8} {
			f.Add(NewEncoder(Dense).AppendFrame(nil, d, piece, nil, nil), base)
			f.Add(NewEncoder(Dense).AppendFrame(nil, d, piece, base, nil), base)
		}
	}
	var d Decoder
	f.Fuzz(func(t *testing.T, frame, base []byte) {
		h, err := ParseHeader(frame)
		if err != nil {
			return
		}
		dst := make([]byte, h.Raw)
		// The sum guards against everything; here the body is read without it.
		if len(base) > h.Raw {
			base = base[:h.Raw]
		}
		if h.Mode.NeedsBase() && len(base) != h.Raw {
			base = make([]byte, h.Raw)
		}
		_ = d.body(dst, frame[HeaderLen:], base, h)
		_ = d.Frame(dst, frame, base)
	})
}

func BenchmarkFrame(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 1))
	w := normal(r, MaxPiece/4, 0.02)
	w = append(w, normal(r, MaxPiece/4, 0.02)...)
	moved := make([]float32, len(w))
	step := func(share float64, size float32) []byte {
		for i := range w {
			moved[i] = w[i]
			if r.Float64() < share {
				moved[i] += size * float32(r.NormFloat64())
			}
		}
		return bf16(moved)
	}
	base := bf16(w)
	cases := []struct {
		name        string
		d           table.DType
		piece, base []byte
	}{
		{"bf16", table.BF16, base, nil},
		{"f32", table.F32, f32(w[:MaxPiece/4]), nil},
		{"same", table.BF16, base, base},
		{"patch1", table.BF16, step(0.01, 0.001), base},
		{"patch7", table.BF16, step(0.07, 0.001), base},
		{"tune", table.BF16, step(1, 0.0005), base},
	}
	for _, c := range cases {
		e := NewEncoder(Dense)
		var frame []byte
		b.Run(fmt.Sprintf("encode/%s", c.name), func(b *testing.B) {
			b.SetBytes(int64(len(c.piece)))
			for b.Loop() {
				frame = e.AppendFrame(frame[:0], c.d, c.piece, c.base, nil)
			}
			b.ReportMetric(float64(len(frame))/float64(len(c.piece)), "ratio")
		})
		frame = NewEncoder(Dense).AppendFrame(frame[:0], c.d, c.piece, c.base, nil)
		var d Decoder
		dst := make([]byte, len(c.piece))
		b.Run(fmt.Sprintf("decode/%s", c.name), func(b *testing.B) {
			b.SetBytes(int64(len(c.piece)))
			for b.Loop() {
				if err := d.Frame(dst, frame, c.base); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
