package weights

import (
	"encoding/binary"
	"math/bits"
)

// patchable is the share of elements that may have changed for a patch to be tried: beyond it steps or planes are shorter.
const patchable = 0.35

// changes lists the elements in which target differs from base, and gives up when there are more than most. Each is its
// number in the piece.
func (l *layout) changes(list []uint32, target, base []byte, most int) ([]uint32, bool) {
	list = list[:0]
	n := len(target) / l.width * l.width
	target, base = target[:n], base[:n]
	if l.width == 2 {
		return changes16(list, target, base, most)
	}
	shift := bits.TrailingZeros(uint(l.width))
	word := 0
	for ; len(target) >= 8 && len(base) >= 8; target, base, word = target[8:], base[8:], word+8 {
		x := binary.LittleEndian.Uint64(target) ^ binary.LittleEndian.Uint64(base)
		for x != 0 {
			at := bits.TrailingZeros64(x) >> 3 >> shift // element in the word
			list = append(list, uint32(word>>shift+at))
			x &^= (1<<(8*uint(l.width)) - 1) << (8 * uint(l.width) * uint(at) & 63)
		}
		if len(list) > most {
			return list, false
		}
	}
	for i := 0; i < len(target); i += l.width {
		if string(target[i:i+l.width]) != string(base[i:i+l.width]) {
			list = append(list, uint32((word+i)>>shift))
		}
	}
	return list, len(list) <= most
}

// changes16 is changes for elements of two bytes, of which there are most.
func changes16(list []uint32, target, base []byte, most int) ([]uint32, bool) {
	if cap(list) < most+64 {
		list = make([]uint32, 0, most+64)
	}
	out, k := list[:cap(list)], 0
	at := uint32(0)
	for ; len(target) >= 32 && len(base) >= 32; target, base, at = target[32:], base[32:], at+16 {
		w := binary.LittleEndian.Uint64(target) ^ binary.LittleEndian.Uint64(base)
		x := binary.LittleEndian.Uint64(target[8:]) ^ binary.LittleEndian.Uint64(base[8:])
		y := binary.LittleEndian.Uint64(target[16:]) ^ binary.LittleEndian.Uint64(base[16:])
		z := binary.LittleEndian.Uint64(target[24:]) ^ binary.LittleEndian.Uint64(base[24:])
		if w|x|y|z == 0 {
			continue
		}
		// One bit for each lane that is not zero.
		m := lanes(w) | lanes(x)<<4 | lanes(y)<<8 | lanes(z)<<12
		for ; m != 0; m &= m - 1 {
			if k == len(out) {
				return list, false
			}
			out[k] = at + uint32(bits.TrailingZeros64(m))
			k++
		}
		if k > most {
			return list, false
		}
	}
	for ; len(target) >= 2 && len(base) >= 2; target, base, at = target[2:], base[2:], at+1 {
		if k < len(out) && binary.LittleEndian.Uint16(target) != binary.LittleEndian.Uint16(base) {
			out[k] = at
			k++
		}
	}
	return out[:k], k <= most
}

// lanes gives in the low four bits which 16-bit lanes of x are not zero.
func lanes(x uint64) uint64 {
	const low = 0x7fff7fff7fff7fff
	x = (x&low + low | x) &^ low // the top bit of each lane that is not zero
	return x * 0x0000200040008001 >> 60 & 15
}

// appendPatch appends the changes in list:
//
//	uvarint how many | gaps: plane of symbols, uvarint n, n bytes of open bits
//	values, types with steps or of two bytes and less: the same | else a plane for each byte
//	the bytes behind the last whole element
//
// A gap is how many elements between two changes are as they were. A value is the step from the base's, or what
// of it is to be turned over.
func (e *Encoder) appendPatch(dst []byte, l *layout, target, base []byte, list []uint32) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	dst = e.appendNumbers(dst, len(list), hintGaps, func(v []uint32, from int) {
		last := uint32(0)
		if from > 0 {
			last = list[from-1] + 1
		}
		for i, at := range list[from : from+len(v)] {
			v[i], last = at-last, at+1
		}
	})
	if l.width <= 4 {
		dst = e.appendNumbers(dst, len(list), hintValues, func(v []uint32, from int) {
			part := list[from : from+len(v)]
			if l.width == 2 && l.arith == float {
				for i, at := range part {
					x, y := binary.LittleEndian.Uint16(target[2*at:]), binary.LittleEndian.Uint16(base[2*at:])
					v[i] = fold16(order16(x) - order16(y))
				}
				return
			}
			for i, at := range part {
				v[i] = l.difference(l.element(target, int(at)), l.element(base, int(at)))
			}
		})
	} else {
		for k := range l.width {
			syms := e.syms[:0]
			for _, at := range list {
				i := int(at)*l.width + k
				syms = append(syms, target[i]^base[i])
			}
			e.syms = syms
			dst = e.coder.plane(dst, syms, &hint{})
		}
	}
	return append(dst, target[len(target)/l.width*l.width:]...)
}

// appendNumbers appends n numbers, which fill gives from one on.
func (e *Encoder) appendNumbers(dst []byte, n int, kind int, fill func(v []uint32, from int)) []byte {
	w := bitWriter{b: e.bits[:0]}
	syms := e.syms[:0]
	for at := 0; at < n; at += numbersBlock {
		v := e.numbers[:min(n-at, numbersBlock)]
		fill(v, at)
		syms = w.numbers(syms, v)
	}
	e.syms, e.bits = syms, w.flush()
	dst = e.coder.plane(dst, syms, &e.hints[kind])
	dst = binary.AppendUvarint(dst, uint64(len(e.bits)))
	return append(dst, e.bits...)
}

// patch is the inverse of appendPatch.
func (d *Decoder) patch(dst, body, base []byte, l *layout) error {
	copy(dst, base)
	elements := len(dst) / l.width
	count, k := binary.Uvarint(body)
	if k <= 0 || count > uint64(elements) {
		return corrupt("a patch of %d changes in %d elements", count, elements)
	}
	n := int(count)
	if cap(d.list) < n {
		d.list = make([]uint32, elements)
	}
	list := d.list[:n]
	last := uint64(0)
	body, err := d.eachNumber(body[k:], n, func(v []uint32, from int) error {
		for i, v := range v {
			last += uint64(v)
			if last >= uint64(elements) {
				return corrupt("a patch changes element %d of %d", last, elements)
			}
			list[from+i] = uint32(last)
			last++
		}
		return nil
	})
	if err != nil {
		return err
	}
	if l.width <= 4 {
		body, err = d.eachNumber(body, n, func(v []uint32, from int) error {
			for i, v := range v {
				at := int(list[from+i])
				l.putElement(dst, at, l.applied(v, l.element(base, at)))
			}
			return nil
		})
		if err != nil {
			return err
		}
	} else {
		for k := range l.width {
			var syms []byte
			if syms, body, err = d.decoder.plane(grow(&d.syms, n), n, body); err != nil {
				return err
			}
			for i, at := range list {
				dst[int(at)*l.width+k] ^= syms[i]
			}
		}
	}
	if rest := dst[elements*l.width:]; len(body) != len(rest) {
		return corrupt("patch: %d bytes left where %d belong", len(body), len(rest))
	}
	copy(dst[elements*l.width:], body)
	return nil
}

// eachNumber gives n numbers to use, in blocks, and what is behind them.
func (d *Decoder) eachNumber(body []byte, n int, use func(v []uint32, from int) error) ([]byte, error) {
	syms, body, err := d.decoder.plane(grow(&d.syms, n), n, body)
	if err != nil {
		return nil, err
	}
	open, body, err := lengthed(body)
	if err != nil {
		return nil, err
	}
	r := bitReader{b: open}
	for at := 0; at < n; at += numbersBlock {
		v := d.numbers[:min(n-at, numbersBlock)]
		r.numbers(v, syms[at:at+len(v)])
		if err := use(v, at); err != nil {
			return nil, err
		}
	}
	if !r.done() {
		return nil, corrupt("numbers do not end where their bits do")
	}
	return body, nil
}
