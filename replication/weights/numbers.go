package weights

import (
	"encoding/binary"
	"math/bits"
)

// Numbers of which small ones are common (steps between values, gaps between changes) are coded as a
// symbol, which is Huffman-coded in a plane, and the bits that the symbol leaves open, as they are:
//
//	0 to 63          the symbol is the number
//	64 and greater   k = position of the highest bit, from 6 on; the symbol is 64 + 4*(k-6) + the two bits
//	                 below the highest; the k-2 bits below those follow apart
//
// The bits of one plane's numbers lie one behind the other, lowest first. In a range where a symbol covers several
// numbers they are nearly equally common, since it covers an eighth of them at the most: what is lost is under
// a hundredth of a bit.
const (
	exact     = 64
	exactBits = 6
	subBits   = 2
	symbols   = exact + (32-exactBits)<<subBits // how many symbols there are
	// numbersBlock is how many numbers are handled at once, so that they stay in the first-level cache.
	numbersBlock = 2048
)

// bitWriter appends bits, lowest first.
type bitWriter struct {
	b   []byte
	acc uint64
	n   uint // bits in acc, under 32 between calls
}

// numbers appends the symbols of v to syms and their open bits to w.
func (w *bitWriter) numbers(syms []byte, v []uint32) []byte {
	acc, n, b := w.acc, w.n, w.b
	for _, v := range v {
		if v < exact {
			syms = append(syms, byte(v))
			continue
		}
		k := uint(bits.Len32(v)) - 1
		open := k - subBits
		syms = append(syms, byte(exact-4-4*exactBits+4*k)+byte(v>>(open&31)))
		acc |= uint64(v&(1<<(open&31)-1)) << (n & 63)
		if n += open; n >= 32 {
			b = binary.LittleEndian.AppendUint32(b, uint32(acc))
			acc >>= 32
			n -= 32
		}
	}
	w.acc, w.n, w.b = acc, n, b
	return syms
}

func (w *bitWriter) flush() []byte {
	for ; w.n > 0; w.n -= min(w.n, 8) {
		w.b = append(w.b, byte(w.acc))
		w.acc >>= 8
	}
	w.acc = 0
	return w.b
}

// bitReader reads what bitWriter wrote. Behind the end there are zeros, and done tells of it.
type bitReader struct {
	b   []byte
	at  int // next byte
	acc uint64
	n   uint
}

// numbers gives the numbers of syms in out, which is as long. Symbols that there are not give anything; done
// does not see that, and the piece's sum does.
func (r *bitReader) numbers(out []uint32, syms []byte) {
	out = out[:len(syms)]
	acc, n := r.acc, r.n
	for i, s := range syms {
		if s < exact {
			out[i] = uint32(s)
			continue
		}
		t := uint(s - exact)
		k := t>>subBits + exactBits
		open := k - subBits
		if n < open {
			if r.at+4 <= len(r.b) {
				acc |= uint64(binary.LittleEndian.Uint32(r.b[r.at:])) << (n & 63)
				r.at += 4
				n += 32
			} else {
				for n < open {
					if r.at < len(r.b) {
						acc |= uint64(r.b[r.at]) << (n & 63)
					}
					r.at++
					n += 8
				}
			}
		}
		out[i] = uint32(1<<subBits|t&(1<<subBits-1))<<(open&31) | uint32(acc)&(1<<(open&31)-1)
		acc >>= open & 63
		n -= open
	}
	r.acc, r.n = acc, n
}

// done says whether all bits were read and none that were not there.
func (r *bitReader) done() bool {
	return r.at <= len(r.b) && len(r.b)-r.at+int(r.n/8) == 0 && r.acc == 0
}
