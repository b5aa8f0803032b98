package weights

import (
	"cmp"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// All pairs would take too long; all values against a few are enough for lanes.
func TestSteps16(t *testing.T) {
	for _, b := range []uint16{0, 1, 0x7fff, 0x8000, 0x8001, 0xffff, 0x3f80, 0xbf80} {
		for x := range uint32(1 << 16) {
			v := fold16(order16(uint16(x)) - order16(b))
			if got := order16(order16(b) + unfold16(v)); got != uint16(x) {
				t.Fatalf("%#x from %#x gives %#x", x, b, got)
			}
			word := uint64(x) | uint64(b)<<16 | uint64(x)<<32 | 0xffff<<48
			base := uint64(b) | uint64(x)<<16 | uint64(b)<<32 | uint64(x)<<48
			d := fold4(sub4(order4(word), order4(base)))
			for lane := range 4 {
				s := 16 * lane
				if want := fold16(order16(uint16(word>>s)) - order16(uint16(base>>s))); uint32(d>>s)&0xffff != want {
					t.Fatalf("lane %d of %#x from %#x: %#x, want %#x", lane, word, base, d>>s&0xffff, want)
				}
			}
			if got := order4(add4(order4(base), unfold4(d))); got != word {
				t.Fatalf("%#x from %#x gives %#x", word, base, got)
			}
		}
	}
}

// The order is that of the values, and the smallest steps have the smallest numbers.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.Float32().Draw(t, "a"), rapid.Float32().Draw(t, "b")
		if a == b {
			return // 0 and -0 are a step apart
		}
		x, y := order32(math.Float32bits(a)), order32(math.Float32bits(b))
		if cmp.Compare(a, b) != cmp.Compare(int32(x), int32(y)) {
			t.Fatalf("%v and %v are in another order as %d and %d", a, b, int32(x), int32(y))
		}
	})
	for d, want := range map[uint32]uint32{0: 0, ^uint32(0): 1, 1: 2, ^uint32(1): 3} {
		if got := fold32(d); got != want || unfold32(got) != d {
			t.Errorf("step %d is %d", int32(d), got)
		}
	}
}

func TestNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.SliceOfN(rapid.OneOf(rapid.Uint32Max(100), rapid.Uint32Max(1<<16-1), rapid.Uint32()), 0, 3*numbersBlock).Draw(t, "v")
		var w bitWriter
		var syms []byte
		for rest := v; len(rest) > 0; {
			n := min(len(rest), numbersBlock)
			syms = w.numbers(syms, rest[:n])
			rest = rest[n:]
		}
		r := bitReader{b: w.flush()}
		for rest, s := v, syms; len(rest) > 0; {
			n := min(len(rest), numbersBlock)
			out := make([]uint32, n)
			r.numbers(out, s[:n])
			for i := range out {
				if out[i] != rest[i] || s[i] >= symbols {
					t.Fatalf("%d became %d, symbol %d", rest[i], out[i], s[i])
				}
			}
			rest, s = rest[n:], s[n:]
		}
		if !r.done() {
			t.Fatalf("%d bits of %d bytes", r.bit, len(r.b))
		}
	})
}
