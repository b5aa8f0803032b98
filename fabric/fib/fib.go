// Package fib finds the router that a packet leaves by: longest-prefix match in a segment, then the
// next hop. A Table is an immutable value; a new one is built and swapped whole (atomic.Pointer), so
// that a packet sees one topology from end to end and no lookup takes a lock.
//
// # How it matches
//
// Two prefixes are either disjoint or one lies in the other. So the prefixes of a segment cut the
// line of all addresses into ranges, each of which has one longest match, and 2n+1 ranges are enough
// for n prefixes. Build cuts once:
//
//	10.0.0.0/8   |---------------------------------|
//	10.1.0.0/16         |-----------|
//	10.1.2.0/24             |--|
//	ranges       | /8   |/16|24|/16 | /8           | none ...
//
// Lookup is a binary search over the starts of the ranges, which for a thousand prefixes is eleven
// comparisons in a few cache lines. A trie or a stride table is quicker with a hundred thousand routes,
// and is then what to look at again; it has more code, more memory and many ways to be wrong.
package fib

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Entry says where the addresses of a prefix live.
type Entry struct {
	Prefix topo.SegPrefix
	Egress topo.RouterID // the router that opens the packet; 0 with Local
	Local  bool          // this router
}

// Hop is the way to a router.
type Hop struct {
	Next   topo.RouterID // neighbour that the packet goes to; the router itself when it is one
	Backup topo.RouterID // loop-free alternative while Next is down; 0 when there is none
	MTU    int           // largest IP packet that passes on the way, octets
}

// Table is a set of entries and hops. The zero value, and nil, know no way.
type Table struct {
	lines   map[line]*ranges
	hops    map[topo.RouterID]Hop
	entries []Entry
}

// line names one address line: IPv4 and IPv6 never meet, nor do two segments.
type line struct {
	segment topo.SegmentID
	v4      bool
}

// Build makes a table. Host bits of a prefix are ignored, invalid prefixes too. Where two entries have
// the same prefix the local one counts, else the one with the lower router: which should win is
// decided in package route.
func Build(entries []Entry, hops map[topo.RouterID]Hop) *Table {
	t := &Table{lines: map[line]*ranges{}, hops: maps.Clone(hops), entries: tidy(entries)}
	split := map[line][]Entry{}
	for _, e := range t.entries {
		l := line{e.Prefix.Segment, e.Prefix.Prefix.Addr().Is4()}
		split[l] = append(split[l], e)
	}
	for l, es := range split {
		t.lines[l] = cut(es)
	}
	return t
}

// Lookup returns the entry with the longest prefix that contains a in seg.
func (t *Table) Lookup(seg topo.SegmentID, a netip.Addr) (Entry, bool) {
	if t == nil || !a.IsValid() {
		return Entry{}, false
	}
	r, ok := t.lines[line{seg, a.Is4() || a.Is4In6()}]
	if !ok {
		return Entry{}, false
	}
	return r.find(numberOf(a))
}

// Hop returns the way to a router.
func (t *Table) Hop(r topo.RouterID) (Hop, bool) {
	if t == nil {
		return Hop{}, false
	}
	h, ok := t.hops[r]
	return h, ok
}

// Entries lists the table, by segment and address, wider prefixes first. Do not change it.
func (t *Table) Entries() []Entry {
	if t == nil {
		return nil
	}
	return t.entries
}

// tidy masks, sorts and removes what has the same prefix.
func tidy(entries []Entry) []Entry {
	out := make([]Entry, 0, len(entries))
	for _, e := range entries {
		p := e.Prefix.Prefix
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		if e.Prefix.Prefix = p.Masked(); e.Prefix.Prefix.IsValid() {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, compare)
	return slices.CompactFunc(out, func(a, b Entry) bool { return a.Prefix == b.Prefix })
}
