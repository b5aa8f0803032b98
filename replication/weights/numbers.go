package weights

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// Numbers of which small ones are common (steps between values, gaps between changes) are coded as a
// symbol, which is Huffman-coded in a plane, and the bits that the symbol leaves open, as they are:
//
//	0 to 63          the symbol is the number
//	64 and greater   k = position of the highest bit, from 6 on; the symbol is 64 + 4*(k-6) + the two bits
//	                 below the highest; the k-2 bits below those follow apart
//
// The bits of one plane's numbers lie one behind the other, lowest first; the last byte is filled with zeros. In a
// range where a symbol covers several numbers they are nearly equally common, since it covers a fifth of them
// at the most: what is lost is about a hundredth of a bit.
const (
	exact     = 64
	exactBits = 6
	subBits   = 2
	symbols   = exact + (32-exactBits)<<subBits // how many symbols there are
	// numbersBlock is how many numbers are handled at once, so that they stay in the first-level cache.
	numbersBlock = 2048
)

// classes are by the position of a number's highest bit: how many bits are open, and what to add to those above them to
// make the symbol. Numbers under 64 are all as those of 32 to 63.
var classes = func() (t [32]struct{ open, add uint8 }) {
	for k := exactBits; k < len(t); k++ {
		t[k].open = uint8(k - subBits)
		t[k].add = uint8(exact + (k-exactBits)<<subBits - 1<<subBits)
	}
	return t
}()

// shorts are by number, of those under 1<<16: the symbol, and how many bits are open above it.
var shorts = func() (t [1 << 16]uint16) {
	for v := range t {
		c := classes[bits.Len32(uint32(v)|(exact-1))-1]
		t[v] = uint16(byte(v>>c.open)+c.add) | uint16(c.open)<<8
	}
	return t
}()

// values are by symbol: how many bits are open, and the number with all of them zero.
var values = func() (t [256]struct {
	open  uint32
	value uint32
}) {
	for s := range t {
		t[s].value = uint32(s)
		if s >= exact && s < symbols {
			k := (s-exact)>>subBits + exactBits
			t[s].open = uint32(k - subBits)
			t[s].value = uint32(1<<subBits|s&(1<<subBits-1)) << (k - subBits)
		}
	}
	return t
}()

// bitWriter appends bits, lowest first.
type bitWriter struct {
	b   []byte
	acc uint64
	n   uint // bits in acc, under 8 between calls
}

// numbers appends the symbols of v to syms and their open bits to w.
func (w *bitWriter) numbers(syms []byte, v []uint32) []byte {
	at := len(syms)
	syms = slices.Grow(syms, len(v))[:at+len(v)]
	out := syms[at:][:len(v)]
	// At most 29 bits are open, so that four bytes a number and a word at the end are enough.
	b := slices.Grow(w.b, 4*len(v)+16)
	full := b[:cap(b)]
	acc, n, end := w.acc, w.n, len(b)
	var any uint32
	for _, v := range v {
		any |= v
	}
	if any < 1<<16 {
		// Of four numbers at most 52 bits are open, so that they go out together. No branches: they would be
		// guessed wrongly where numbers under exact and over it are both common.
		for len(v) >= 4 && len(out) >= 4 {
			v0, v1, v2, v3 := v[0]&0xffff, v[1]&0xffff, v[2]&0xffff, v[3]&0xffff
			c0, c1, c2, c3 := uint(shorts[v0]), uint(shorts[v1]), uint(shorts[v2]), uint(shorts[v3])
			binary.LittleEndian.PutUint32(out, uint32(c0&0xff|c1&0xff<<8|c2&0xff<<16|c3<<24))
			o0, o1, o2, o3 := c0>>8, c1>>8, c2>>8, c3>>8
			x := uint64(v0)&(1<<(o0&63)-1) | uint64(v1)&(1<<(o1&63)-1)<<(o0&63)
			y := uint64(v2)&(1<<(o2&63)-1) | uint64(v3)&(1<<(o3&63)-1)<<(o2&63)
			acc |= (x | y<<((o0+o1)&63)) << (n & 63)
			n += o0 + o1 + o2 + o3
			binary.LittleEndian.PutUint64(full[end:], acc)
			end += int(n >> 3)
			acc >>= n &^ 7 & 63
			n &= 7
			v, out = v[4:], out[4:]
		}
	}
	for i, v := range v {
		c := classes[(bits.Len32(v|(exact-1))-1)&31]
		out[i] = byte(v>>(c.open&31)) + c.add
		acc |= uint64(v&(1<<(c.open&31)-1)) << (n & 63)
		n += uint(c.open)
		binary.LittleEndian.PutUint64(full[end:], acc)
		end += int(n >> 3)
		acc >>= n &^ 7 & 63
		n &= 7
	}
	w.acc, w.n, w.b = acc, n, full[:end]
	return syms
}

// flush ends the bits and gives them.
func (w *bitWriter) flush() []byte {
	if w.n > 0 {
		w.b = append(w.b, byte(w.acc))
	}
	w.acc, w.n = 0, 0
	return w.b
}

// bitReader reads what bitWriter wrote. Behind the end there are zeros, and done tells of it.
type bitReader struct {
	b   []byte
	bit int
}

// numbers gives the numbers of syms in out, which is as long. Symbols that there are not give anything: the
// piece's sum sees that.
func (r *bitReader) numbers(out []uint32, syms []byte) {
	out = out[:len(syms)]
	bit, b := r.bit, r.b
	for i, s := range syms {
		c := &values[s]
		var w uint64
		if at := bit >> 3; at+8 <= len(b) {
			w = binary.LittleEndian.Uint64(b[at:])
		} else {
			for k := 0; at < len(b); k, at = k+8, at+1 {
				w |= uint64(b[at]) << (k & 63)
			}
		}
		w >>= bit & 7
		out[i] = c.value | uint32(w)&(1<<(c.open&31)-1)
		bit += int(c.open)
	}
	r.bit = bit
}

// done says whether all bits were read, none that were not there, and that the last byte ends in zeros.
func (r *bitReader) done() bool {
	return (r.bit+7)>>3 == len(r.b) && (r.bit&7 == 0 || r.b[r.bit>>3]>>(r.bit&7) == 0)
}
