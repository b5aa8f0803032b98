package fib

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// addr is an address as a 128-bit number. An IPv4 address lies in the high half, at its top, in a table
// of its own, so that the ruler need only ever look at that half.
type addr struct{ hi, lo uint64 }

func numberOf(a netip.Addr, v4 bool) addr {
	if v4 {
		b := a.As4()
		return addr{hi: uint64(binary.BigEndian.Uint32(b[:])) << 32}
	}
	b := a.As16()
	return addr{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (a addr) less(b addr) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

// behind is the first address after a prefix, and false when it ends with the line.
func behind(p netip.Prefix) (addr, bool) {
	a := numberOf(p.Addr(), p.Addr().Is4())
	if p.Bits() > 64 {
		step := uint64(1) << (128 - p.Bits())
		var carry uint64
		a.lo, carry = bits.Add64(a.lo, step, 0)
		a.hi += carry
	} else {
		a.hi += 1 << (64 - p.Bits()) // of /0 nothing, which is the end of the line
	}
	return a, a != addr{}
}

// ranges is the address line of one segment and family: range i is from start[i] to before
// start[i+1], and its longest match is entry match[i] of the table, or none where that is negative.
type ranges struct {
	start []addr
	match []int32
	ruler ruler
}

const none = -1

// cut makes the ranges of entries sorted by compare, the first of which is entry base of the table: outer
// prefixes come before those in them, so that the ones open at an address form a stack with the longest
// on top.
func cut(entries []Entry, base int) *ranges {
	r := &ranges{start: make([]addr, 0, 2*len(entries)), match: make([]int32, 0, 2*len(entries))}
	var open []int32
	closeTo := func(before *addr) {
		for len(open) > 0 {
			next, more := behind(entries[open[len(open)-1]].Prefix.Prefix)
			if before != nil && (!more || before.less(next)) {
				return
			}
			open = open[:len(open)-1]
			if more {
				r.add(next, top(open, base))
			}
		}
	}
	for i, e := range entries {
		from := numberOf(e.Prefix.Prefix.Addr(), e.Prefix.Prefix.Addr().Is4())
		closeTo(&from)
		open = append(open, int32(i))
		r.add(from, int32(base+i))
	}
	closeTo(nil)
	r.ruler = measure(r.start)
	return r
}

func top(open []int32, base int) int32 {
	if len(open) == 0 {
		return none
	}
	return int32(base) + open[len(open)-1]
}

// add begins a range. One that begins where the last did replaces it: it is the more specific, or
// what lies behind two prefixes that end together.
func (r *ranges) add(from addr, match int32) {
	if n := len(r.start); n > 0 && r.start[n-1] == from {
		r.match[n-1] = match
		return
	}
	r.start = append(r.start, from)
	r.match = append(r.match, match)
}

// find is the longest match of a: that of the last range that starts at or before it.
func (r *ranges) find(a addr) int32 {
	lo, hi := r.ruler.part(a.hi, len(r.start))
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if a.less(r.start[mid]) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	if lo == 0 {
		return none
	}
	return r.match[lo-1]
}

// ruler divides a line into equal parts of 2^shift, from first on. Of the ranges, begins[i] start before part
// i does. It has at most four parts for each range.
type ruler struct {
	first  uint64
	shift  uint8
	begins []int32
}

// measure makes the ruler of sorted starts.
func measure(start []addr) ruler {
	if len(start) < 8 {
		return ruler{} // a few steps are quicker than a look
	}
	first, span := start[0].hi, start[len(start)-1].hi-start[0].hi
	shift := max(bits.Len64(span)-bits.Len(uint(len(start)))-1, 0)
	r := ruler{first: first, shift: uint8(shift), begins: make([]int32, span>>shift+2)}
	i, last := 0, len(r.begins)-1
	for part := range last {
		for i < len(start) && start[i].hi-first < uint64(part)<<shift {
			i++
		}
		r.begins[part] = int32(i)
	}
	r.begins[last] = int32(len(start))
	return r
}

// part bounds the number of ranges that start at or before an address with the high half hi.
func (r *ruler) part(hi uint64, n int) (from, to int) {
	if len(r.begins) == 0 {
		return 0, n
	}
	if hi < r.first {
		return 0, 0
	}
	i := (hi - r.first) >> r.shift
	if i >= uint64(len(r.begins)-1) {
		return n, n // behind the last start, by a part or more
	}
	return int(r.begins[i]), int(r.begins[i+1])
}

// compare orders entries by segment, address and length, and equal prefixes by who wins.
func compare(a, b Entry) int {
	if c := cmp.Compare(a.Prefix.Segment, b.Prefix.Segment); c != 0 {
		return c
	}
	if c := a.Prefix.Prefix.Addr().Compare(b.Prefix.Prefix.Addr()); c != 0 {
		return c
	}
	if c := cmp.Compare(a.Prefix.Prefix.Bits(), b.Prefix.Prefix.Bits()); c != 0 {
		return c
	}
	if a.Local != b.Local {
		if a.Local {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.Egress, b.Egress)
}
