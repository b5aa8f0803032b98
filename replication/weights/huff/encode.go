package huff

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// pairsFrom is the plane's length from which a table of pairs pays for being built, per pair of symbols
// that occur.
const pairsFrom = 8

// Encoder codes planes, one at a time. The zero value is ready; it holds 260 KiB from the first long plane on.
type Encoder struct {
	code  [256]uint32
	pairs *[1 << 16]uint32 // two symbols' bits in the low 24 bits, the length of both above
}

// Size gives what Encode would append for n symbols that occur so often, in bytes, to within three.
// At least two symbols must occur.
func Size(c *Counts) int {
	l := lengthsOf(c)
	sum := uint64(0)
	for s, n := range c {
		sum += uint64(n) * uint64(l[s])
	}
	var b [maxTable]byte
	return len(l.appendTable(b[:0])) + sizeLen + int(sum+7)/8 + streams/2
}

// Encode appends the coded plane to dst. At least two symbols must occur in c. Symbols of src that do not occur in c
// have no code: then it says false and dst is as it was. So c may come from a sample (see Counts.Sample).
func (e *Encoder) Encode(dst, src []byte, c *Counts) ([]byte, bool) {
	if len(src) > MaxPlane {
		panic(fmt.Sprintf("huff: a plane of %d symbols; the most is %d", len(src), MaxPlane))
	}
	l := lengthsOf(c)
	e.code = l.codes()
	start := len(dst)
	dst = l.appendTable(slices.Grow(dst, maxTable+sizeLen))
	sizes := len(dst)
	dst = append(dst, make([]byte, sizeLen)...)
	used := c.Used()
	byPairs := used*used*pairsFrom <= len(src)
	if byPairs {
		e.makePairs()
	}
	quarter := (len(src) + streams - 1) / streams
	for i := range streams {
		part := src[min(i*quarter, len(src)):min((i+1)*quarter, len(src))]
		dst = slices.Grow(dst, (len(part)*MaxBits+7)/8+2*slack)
		out := dst[len(dst):cap(dst)]
		var n int
		if byPairs {
			n = e.streamPairs(out, part)
		} else {
			n = e.stream(out, part)
		}
		if n < 0 {
			return dst[:start], false
		}
		dst = dst[:len(dst)+n]
		if i < streams-1 {
			put24(dst[sizes+3*i:], n)
		}
	}
	return dst, true
}

func put24(b []byte, n int) { b[0], b[1], b[2] = byte(n), byte(n>>8), byte(n>>16) }
func get24(b []byte) int    { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// noCode is what the tables have for symbols without a code.
const noCode = 1 << 31

func (e *Encoder) makePairs() {
	if e.pairs == nil {
		e.pairs = new([1 << 16]uint32)
	}
	for i := range e.pairs {
		e.pairs[i] = noCode
	}
	for b, codeB := range e.code {
		if codeB == noCode {
			continue
		}
		row := (*[256]uint32)(e.pairs[b<<8:])
		bitsB, lenB := codeB&0xffff, codeB>>16
		for a, codeA := range e.code {
			if codeA != noCode {
				lenA := codeA >> 16
				row[a] = codeA&0xffff | bitsB<<(lenA&31) | (lenA+lenB)<<24
			}
		}
	}
}

// streamPairs codes src into out, which has room for it and slack more, and gives the length, or -1 when a symbol has
// no code.
func (e *Encoder) streamPairs(out, src []byte) int {
	var acc uint64
	var n uint // bits in acc, under 8 before each two pairs; with them at most 7 + 44
	var seen uint32
	at := 0
	t := e.pairs
	for len(src) >= 8 && at+16 <= len(out) {
		v := binary.LittleEndian.Uint64(src)
		src = src[8:]
		a, b, c, d := t[v&0xffff], t[v>>16&0xffff], t[v>>32&0xffff], t[v>>48]
		seen |= a | b | c | d
		o := out[at : at+16 : at+16]
		la := uint(a >> 24)
		acc |= (uint64(a&0xffffff) | uint64(b&0xffffff)<<(la&63)) << (n & 63)
		n += la + uint(b>>24)
		binary.LittleEndian.PutUint64(o, acc)
		k := n >> 3
		acc >>= (n &^ 7) & 63
		n &= 7
		lc := uint(c >> 24)
		acc |= (uint64(c&0xffffff) | uint64(d&0xffffff)<<(lc&63)) << (n & 63)
		n += lc + uint(d>>24)
		binary.LittleEndian.PutUint64(o[k&7:], acc)
		at += int(k + n>>3)
		acc >>= (n &^ 7) & 63
		n &= 7
	}
	if seen&noCode != 0 {
		return -1
	}
	return e.tail(out, src, at, acc, n)
}

// stream is streamPairs without the table of pairs.
func (e *Encoder) stream(out, src []byte) int {
	var acc uint64
	var n uint
	var seen uint32
	at := 0
	t := &e.code
	for len(src) >= 4 && at+8 <= len(out) {
		v := binary.LittleEndian.Uint32(src)
		src = src[4:]
		a, b, c, d := t[byte(v)], t[byte(v>>8)], t[byte(v>>16)], t[v>>24]
		seen |= a | b | c | d
		la, lc := uint(a>>16), uint(c>>16)
		ab := uint64(a&0xffff) | uint64(b&0xffff)<<(la&63)
		cd := uint64(c&0xffff) | uint64(d&0xffff)<<(lc&63)
		lab := la + uint(b>>16)
		acc |= (ab | cd<<(lab&63)) << (n & 63)
		n += lab + lc + uint(d>>16)
		binary.LittleEndian.PutUint64(out[at:], acc)
		at += int(n >> 3)
		acc >>= (n &^ 7) & 63
		n &= 7
	}
	if seen&noCode != 0 {
		return -1
	}
	return e.tail(out, src, at, acc, n)
}

// tail codes the last symbols, byte by byte.
func (e *Encoder) tail(out, src []byte, at int, acc uint64, n uint) int {
	for _, s := range src {
		c := e.code[s]
		if c == noCode {
			return -1
		}
		acc |= uint64(c&0xffff) << (n & 63)
		n += uint(c >> 16)
		for n >= 8 {
			out[at] = byte(acc)
			at++
			acc >>= 8
			n -= 8
		}
	}
	if n > 0 {
		out[at] = byte(acc)
		at++
	}
	return at
}
