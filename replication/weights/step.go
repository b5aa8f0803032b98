package weights

import "encoding/binary"

// Steps are how far an element is from the base's, along the order of all values of its type: FM-Delta's idea (NeurIPS
// 2024). Where every element moved a little, steps are small numbers, while an exclusive or has a random bit
// for every bit below the highest that a carry reached.
//
// order maps a float's bits to numbers in the order of the values: negative ones are turned over. Sign and step are
// then folded into one number, the sign in its lowest bit.

func order16(u uint16) uint16  { return u ^ uint16(int16(u)>>15)&0x7fff }
func order32(u uint32) uint32  { return u ^ uint32(int32(u)>>31)&0x7fffffff }
func order8(u uint8) uint8     { return u ^ uint8(int8(u)>>7)&0x7f }
func fold16(d uint16) uint32   { return uint32(d<<1 ^ uint16(int16(d)>>15)) }
func fold32(d uint32) uint32   { return d<<1 ^ uint32(int32(d)>>31) }
func fold8(d uint8) uint32     { return uint32(d<<1 ^ uint8(int8(d)>>7)) }
func unfold16(v uint32) uint16 { return uint16(v>>1) ^ -uint16(v&1) }
func unfold32(v uint32) uint32 { return v>>1 ^ -(v & 1) }
func unfold8(v uint32) uint8   { return uint8(v>>1) ^ -uint8(v&1) }

// The same for four lanes of 16 bits in a word.
const (
	lane1  = 0x0001000100010001
	laneLo = 0x7fff7fff7fff7fff
	laneHi = 0x8000800080008000
)

func order4(x uint64) uint64  { return x ^ (x>>15&lane1)*0x7fff }
func fold4(d uint64) uint64   { return d&laneLo<<1 ^ (d>>15&lane1)*0xffff }
func unfold4(v uint64) uint64 { return v>>1&laneLo ^ (v&lane1)*0xffff }

// sub4 and add4 keep carries in their lanes by having the top bits apart.
func sub4(a, b uint64) uint64 { return (a | laneHi) - b&laneLo ^ (a^^b)&laneHi }
func add4(a, b uint64) uint64 { return (a&laneLo + b&laneLo) ^ (a^b)&laneHi }

// difference gives the number for element t where the base has b.
func (l *layout) difference(t, b uint32) uint32 {
	switch l.arith {
	case opaque:
		return t ^ b
	case integer:
		switch l.width {
		case 1:
			return fold8(uint8(t - b))
		case 2:
			return fold16(uint16(t - b))
		}
		return fold32(t - b)
	}
	switch l.width {
	case 1:
		return fold8(order8(uint8(t)) - order8(uint8(b)))
	case 2:
		return fold16(order16(uint16(t)) - order16(uint16(b)))
	}
	return fold32(order32(t) - order32(b))
}

// applied gives the element for number v where the base has b.
func (l *layout) applied(v, b uint32) uint32 {
	switch l.arith {
	case opaque:
		return v ^ b
	case integer:
		switch l.width {
		case 1:
			return uint32(uint8(b) + unfold8(v))
		case 2:
			return uint32(uint16(b) + unfold16(v))
		}
		return b + unfold32(v)
	}
	switch l.width {
	case 1:
		return uint32(order8(order8(uint8(b)) + unfold8(v)))
	case 2:
		return uint32(order16(order16(uint16(b)) + unfold16(v)))
	}
	return order32(order32(b) + unfold32(v))
}

// steps says whether a type has steps: all but those of eight bytes, and those whose bits are no number.
func (l *layout) steps() bool { return l.arith != opaque && l.width <= 4 }

// differences fills out with the numbers of all elements of a block of t and b, which are equally long.
func (l *layout) differences(out []uint32, t, b []byte) []uint32 {
	n := len(t) / l.width
	out = out[:n]
	switch {
	case l.width == 2 && l.arith == float:
		t, b = t[:2*n], b[:2*n]
		out := out
		for len(t) >= 8 && len(b) >= 8 && len(out) >= 4 {
			d := fold4(sub4(order4(binary.LittleEndian.Uint64(t)), order4(binary.LittleEndian.Uint64(b))))
			out[0], out[1], out[2], out[3] = uint32(d&0xffff), uint32(d>>16&0xffff), uint32(d>>32&0xffff), uint32(d>>48)
			t, b, out = t[8:], b[8:], out[4:]
		}
		for i := range out {
			x, y := binary.LittleEndian.Uint16(t[2*i:]), binary.LittleEndian.Uint16(b[2*i:])
			out[i] = fold16(order16(x) - order16(y))
		}
	case l.width == 4 && l.arith == float:
		t, b = t[:4*n], b[:4*n]
		for i := range out {
			x, y := binary.LittleEndian.Uint32(t[4*i:]), binary.LittleEndian.Uint32(b[4*i:])
			out[i] = fold32(order32(x) - order32(y))
		}
	default:
		for i := range out {
			out[i] = l.difference(l.element(t, i), l.element(b, i))
		}
	}
	return out
}

// apply is the inverse of differences.
func (l *layout) apply(dst, b []byte, v []uint32) {
	switch {
	case l.width == 2 && l.arith == float:
		dst, b = dst[:2*len(v)], b[:2*len(v)]
		for len(dst) >= 8 && len(b) >= 8 && len(v) >= 4 {
			d := uint64(v[0])&0xffff | uint64(v[1])&0xffff<<16 | uint64(v[2])&0xffff<<32 | uint64(v[3])<<48
			binary.LittleEndian.PutUint64(dst, order4(add4(order4(binary.LittleEndian.Uint64(b)), unfold4(d))))
			dst, b, v = dst[8:], b[8:], v[4:]
		}
		for i, v := range v {
			y := binary.LittleEndian.Uint16(b[2*i:])
			binary.LittleEndian.PutUint16(dst[2*i:], order16(order16(y)+unfold16(v)))
		}
	case l.width == 4 && l.arith == float:
		dst, b = dst[:4*len(v)], b[:4*len(v)]
		for i, v := range v {
			y := binary.LittleEndian.Uint32(b[4*i:])
			binary.LittleEndian.PutUint32(dst[4*i:], order32(order32(y)+unfold32(v)))
		}
	default:
		for i, v := range v {
			l.putElement(dst, i, l.applied(v, l.element(b, i)))
		}
	}
}

// element gives element i; its width is at most 4.
func (l *layout) element(p []byte, i int) uint32 {
	switch l.width {
	case 1:
		return uint32(p[i])
	case 2:
		return uint32(binary.LittleEndian.Uint16(p[2*i:]))
	}
	return binary.LittleEndian.Uint32(p[4*i:])
}

func (l *layout) putElement(p []byte, i int, v uint32) {
	switch l.width {
	case 1:
		p[i] = byte(v)
	case 2:
		binary.LittleEndian.PutUint16(p[2*i:], uint16(v))
	default:
		binary.LittleEndian.PutUint32(p[4*i:], v)
	}
}

// appendSteps appends all steps of target from base:
//
//	plane of symbols | uvarint n | n bytes of open bits | the bytes behind the last whole element
func (e *Encoder) appendSteps(dst []byte, l *layout, target, base []byte) []byte {
	w := bitWriter{b: e.bits[:0]}
	syms := e.syms[:0]
	n := len(target) / l.width * l.width
	for at := 0; at < n; at += numbersBlock * l.width {
		end := min(n, at+numbersBlock*l.width)
		v := l.differences(e.numbers[:], target[at:end], base[at:end])
		syms = w.numbers(syms, v)
	}
	e.syms, e.bits = syms, w.flush()
	dst = e.coder.plane(dst, syms, &e.hints[hintSteps])
	dst = binary.AppendUvarint(dst, uint64(len(e.bits)))
	dst = append(dst, e.bits...)
	return append(dst, target[n:]...)
}

func (d *Decoder) steps(dst, body, base []byte, l *layout) error {
	n := len(dst) / l.width
	syms, body, err := d.decoder.plane(grow(&d.syms, n), n, body)
	if err != nil {
		return err
	}
	open, body, err := lengthed(body)
	if err != nil {
		return err
	}
	r := bitReader{b: open}
	for at := 0; at < n; at += numbersBlock {
		end := min(n, at+numbersBlock)
		v := d.numbers[:end-at]
		r.numbers(v, syms[at:end])
		l.apply(dst[at*l.width:], base[at*l.width:], v)
	}
	if rest := dst[n*l.width:]; len(body) != len(rest) || !r.done() {
		return corrupt("steps: %d bytes left where %d belong", len(body), len(rest))
	}
	copy(dst[n*l.width:], body)
	return nil
}
