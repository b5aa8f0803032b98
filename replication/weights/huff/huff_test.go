package huff

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// gaussian gives n exponents of normal values cast to BF16.
func gaussian(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(math.Float32bits(float32(r.NormFloat64()*0.02)) >> 23)
	}
	return b
}

func encode(src []byte) []byte {
	var c Counts
	c.Count(src)
	out, _ := new(Encoder).Encode(nil, src, &c)
	return out
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(2, 5000), rapid.IntRange(fastFrom, 4*fastFrom)).Draw(t, "n")
		shape := rapid.Float64Range(0.05, 20).Draw(t, "shape")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		src := make([]byte, n)
		for i := range src {
			src[i] = byte(r.ExpFloat64() * shape)
		}
		src[0], src[1] = 0, 255
		var c Counts
		c.Count(src)
		prefix := []byte("before")
		coded, ok := new(Encoder).Encode(prefix, src, &c)
		if !ok || !bytes.HasPrefix(coded, prefix) {
			t.Fatal("what was before is gone")
		}
		coded = coded[len(prefix):]
		if s := Size(&c); s < len(coded)-3 || s > len(coded)+3 {
			t.Fatalf("%d bytes, foretold %d", len(coded), s)
		}
		got := make([]byte, n)
		if err := new(Decoder).Decode(got, coded); err != nil || !bytes.Equal(got, src) {
			t.Fatalf("%v, equal %v", err, bytes.Equal(got, src))
		}
		if twin := slowDecode(coded, n); !bytes.Equal(twin, src) {
			t.Fatal("the slow twin reads something else")
		}
	})
}

// slowDecode is the format of the package comment, bit by bit.
func slowDecode(src []byte, n int) (out []byte) {
	var l lengths
	src, err := l.readTable(src)
	if err != nil {
		return nil
	}
	symbols := map[uint32]byte{}
	for s, c := range l.codes() {
		if c != noCode {
			symbols[c] = byte(s)
		}
	}
	sizes := src[:sizeLen]
	src = src[sizeLen:]
	for i := range streams {
		part := src
		if i < streams-1 {
			part = src[:get24(sizes[3*i:])]
		}
		src = src[len(part):]
		bit := 0
		quarter := (n + 3) / 4
		for k := min(i*quarter, n); k < min((i+1)*quarter, n); k++ {
			code, length := uint32(0), uint32(0)
			found, ok := byte(0), false
			for !ok {
				code |= uint32(part[bit>>3]>>(bit&7)&1) << length
				length++
				bit++
				found, ok = symbols[code|length<<16]
			}
			out = append(out, found)
		}
	}
	return out
}

func TestOptimal(t *testing.T) {
	src := gaussian(1 << 18)
	var c Counts
	c.Count(src)
	entropy := 0.0
	for _, n := range c {
		if n > 0 {
			entropy -= float64(n) * math.Log2(float64(n)/float64(len(src)))
		}
	}
	if bits := 8 * float64(len(encode(src))); bits > 1.03*entropy {
		t.Errorf("%.0f bits for an entropy of %.0f", bits, entropy)
	}
}

func BenchmarkEncode(b *testing.B) {
	src := gaussian(1 << 19)
	var e Encoder
	var out []byte
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		var c Counts
		c.Sample(src)
		var ok bool
		if out, ok = e.Encode(out[:0], src, &c); !ok {
			b.Fatal("a symbol has no code")
		}
	}
}

func BenchmarkCount(b *testing.B) {
	src := gaussian(1 << 19)
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		var c Counts
		c.Count(src)
	}
}

func BenchmarkDecode(b *testing.B) {
	src := gaussian(1 << 19)
	coded := encode(src)
	var d Decoder
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		if err := d.Decode(src, coded); err != nil {
			b.Fatal(err)
		}
	}
}

// What a sample did not foresee is refused, not coded wrongly, wherever it is.
func TestUnforeseen(t *testing.T) {
	for _, n := range []int{100, 5000, 300 << 10} {
		for _, at := range []int{0, 1, n / 2, n - 2, n - 1} {
			src := gaussian(n)
			var c Counts
			c.Count(src)
			src[at] = 255
			if out, ok := new(Encoder).Encode([]byte{1}, src, &c); ok || len(out) != 1 {
				t.Errorf("symbol without a code at %d of %d was coded in %d bytes", at, n, len(out))
			}
		}
	}
}

// A sampled table costs little.
func TestSample(t *testing.T) {
	src := gaussian(1 << 19)
	var c Counts
	if c.Sample(src) {
		t.Fatal("nothing was left out")
	}
	out, ok := new(Encoder).Encode(nil, src, &c)
	if full := encode(src); !ok || float64(len(out)) > 1.01*float64(len(full)) {
		t.Errorf("%v, %d bytes; with all counts %d", ok, len(out), len(full))
	}
	if err := new(Decoder).Decode(make([]byte, len(src)), out); err != nil {
		t.Error(err)
	}
}

// Every byte of a coded plane, changed in every bit: an error or other symbols, and no panic.
func TestCorrupt(t *testing.T) {
	src := gaussian(3000)
	coded := encode(src)
	var d Decoder
	got := make([]byte, len(src))
	for i := range coded {
		for bit := range 8 {
			coded[i] ^= 1 << bit
			if err := d.Decode(got, coded); err == nil && bytes.Equal(got, src) {
				t.Errorf("byte %d bit %d may be anything", i, bit)
			}
			coded[i] ^= 1 << bit
		}
	}
	for i := range coded {
		if err := d.Decode(got, coded[:i]); err == nil {
			t.Errorf("cut at %d of %d: no error", i, len(coded))
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, n := range []int{2, 5, 100, 3000, fastFrom, 2 * fastFrom} {
		src := append(gaussian(n), 1, 2)
		f.Add(n+2, encode(src))
	}
	var d Decoder
	f.Fuzz(func(t *testing.T, n int, src []byte) {
		if n < 0 || n > 4*fastFrom { // the twin is slow
			return
		}
		dst := make([]byte, n)
		if d.Decode(dst, src) != nil {
			return
		}
		if twin := slowDecode(src, n); !bytes.Equal(dst, twin) {
			t.Fatal("the slow twin reads something else")
		}
	})
}

// The code is as short as Huffman's where that keeps to the limit, and common symbols are never longer than rare ones.
func TestLengths(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Counts
		n := rapid.IntRange(2, 256).Draw(t, "n")
		steep := rapid.Float64Range(0, 0.5).Draw(t, "steep")
		for i := range n {
			c[i] = 1 + uint32(math.Min(1e6, math.Exp(steep*float64(i))))
		}
		l := lengthsOf(&c)
		if !l.complete() {
			t.Fatalf("not a complete code: %v", l)
		}
		cost, plain, longest := cost(&c, &l), uint64(0), uint8(0)
		var heap []uint64
		for _, n := range c {
			if n > 0 {
				heap = append(heap, uint64(n))
			}
		}
		for len(heap) > 1 {
			slices.Sort(heap)
			heap[1] += heap[0]
			plain += heap[1]
			heap = heap[1:]
		}
		for _, n := range l {
			longest = max(longest, n)
		}
		if cost < plain || longest < MaxBits && cost != plain {
			t.Fatalf("%d bits; without a limit %d", cost, plain)
		}
		for a := range l {
			for b := range l {
				if c[a] > c[b] && c[b] > 0 && l[a] > l[b] {
					t.Fatalf("symbol %d is more common than %d and longer", a, b)
				}
			}
		}
	})
}

func cost(c *Counts, l *lengths) (sum uint64) {
	for s, n := range c {
		sum += uint64(n) * uint64(l[s])
	}
	return sum
}
