package fib

import (
	"cmp"
	"encoding/binary"
	"net/netip"
)

// addr is an address as a 128-bit number; IPv4 lies in its low half, in a table of its own.
type addr struct{ hi, lo uint64 }

func numberOf(a netip.Addr) addr {
	if a.Is4() || a.Is4In6() {
		b := a.As4()
		return addr{lo: uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return addr{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (a addr) less(b addr) bool { return a.hi < b.hi || a.hi == b.hi && a.lo < b.lo }

// after is the next address, and false after the last.
func (a addr) after() (addr, bool) {
	a.lo++
	if a.lo == 0 {
		a.hi++
	}
	return a, a != addr{}
}

// last is the highest address of a prefix.
func last(p netip.Prefix) addr {
	a := numberOf(p.Addr())
	host := p.Addr().BitLen() - p.Bits()
	if host >= 64 {
		a.lo = ^uint64(0)
		a.hi |= 1<<(host-64) - 1
	} else {
		a.lo |= 1<<host - 1
	}
	return a
}

// ranges is the address line of one segment and family: range i is from start[i] to before
// start[i+1], and its longest match is entries[match[i]], or none where match[i] is negative.
type ranges struct {
	start   []addr
	match   []int32
	entries []Entry
}

const none = -1

// cut makes the ranges of entries sorted by compare: outer prefixes come before those in them, so
// that the ones open at an address form a stack with the longest on top.
func cut(entries []Entry) *ranges {
	r := &ranges{entries: entries}
	var open []int32
	close := func(before *addr) {
		for len(open) > 0 {
			end := last(entries[open[len(open)-1]].Prefix.Prefix)
			if before != nil && !end.less(*before) {
				return
			}
			open = open[:len(open)-1]
			if next, ok := end.after(); ok {
				r.add(next, top(open))
			}
		}
	}
	for i, e := range entries {
		from := numberOf(e.Prefix.Prefix.Addr())
		close(&from)
		open = append(open, int32(i))
		r.add(from, int32(i))
	}
	close(nil)
	return r
}

func top(open []int32) int32 {
	if len(open) == 0 {
		return none
	}
	return open[len(open)-1]
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

// find is a binary search for the last range that starts at or before a.
func (r *ranges) find(a addr) (Entry, bool) {
	lo, hi := 0, len(r.start)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		if a.less(r.start[mid]) {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	if lo == 0 || r.match[lo-1] == none {
		return Entry{}, false
	}
	return r.entries[r.match[lo-1]], true
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
