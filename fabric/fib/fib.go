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
// Lookup is a binary search over the starts of the ranges. Its first steps are done by a ruler, which divides
// the line between the first and the last start into equal parts, about as many as there are ranges, and
// says for each with which range it begins:
//
//	ruler        |     |     |     |     |     |     |     |
//	begins in     0     0     1     3     4     4     4
//
// What is left is to search the few ranges that begin within one part: one or two for prefixes that lie
// evenly, and never more steps than without the ruler. A trie or a stride table is quicker with a hundred
// thousand routes, and is then what to look at again; it has more code, more memory and many ways to be wrong.
//
// # What a change costs
//
// Build sorts and cuts, near linear in the entries. Update makes the next table from one that is there: where
// the prefixes are the same as before, which is so for every change that is only about links, the ranges
// and rulers are shared and nothing is sorted or cut.
package fib

import (
	"net/netip"
	"slices"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Entry says where the addresses of a prefix live.
type Entry struct {
	Prefix  topo.SegPrefix
	Egress  topo.RouterID // the router that opens the packet; 0 with Local
	Standby topo.RouterID // another that may, when Egress cannot be reached; 0 is none
	Avoid   topo.Avoid    // what packets to the prefix must not pass through
	Local   bool          // this router
}

// Hop is the way to a router.
type Hop struct {
	Next   topo.RouterID // neighbour that the packet goes to; the router itself when it is one
	Backup topo.RouterID // loop-free alternative while Next is down; 0 when there is none
	MTU    int           // largest IP packet that passes on the way, octets
	Spread *Spread       // neighbours that are as good as Next, Next among them; nil when Next is alone
}

// Table is a set of entries and hops. The zero value, and nil, know no way.
type Table struct {
	own4, own6 *ranges // of the default segment, where nearly all lookups are
	lines      map[line]*ranges
	hops       [topo.Planes]*hops
	entries    []Entry
}

// line names one address line: IPv4 and IPv6 never meet, nor do two segments.
type line struct {
	segment topo.SegmentID
	v4      bool
}

// Build makes a table. Host bits of a prefix are ignored, invalid prefixes too. Where two entries have
// the same prefix the local one counts, else the one with the lower router: which should win is
// decided in package route. The hops are those of all classes.
func Build(entries []Entry, h map[topo.RouterID]Hop) *Table {
	return (*Table)(nil).Update(entries, h)
}

// Update makes a table like Build does, and saves the work that was done for t: the result is the same.
// Entries in the order of Table.Entries need no sorting.
func (t *Table) Update(entries []Entry, h map[topo.RouterID]Hop) *Table {
	return t.UpdatePlanes(entries, map[topo.Plane]map[topo.RouterID]Hop{{Class: topo.ClassInteractive}: h})
}

// UpdatePlanes makes a table with hops of their own for each plane. A class without any goes the way of the
// interactive one; but in a plane with something to avoid that nobody computed, there is no way at all,
// since a packet had better be dropped than led astray.
func (t *Table) UpdatePlanes(entries []Entry, planes map[topo.Plane]map[topo.RouterID]Hop) *Table {
	n := &Table{entries: tidy(entries)}
	if t != nil && sameLines(t.entries, n.entries) {
		n.own4, n.own6, n.lines = t.own4, t.own6, t.lines
	} else {
		n.cut()
	}
	for p, h := range planes {
		n.hops[p.Index()] = makeHops(h)
	}
	usual := n.hops[topo.Plane{Class: topo.ClassInteractive}.Index()]
	for c := range topo.ClassBulk + 1 {
		if p := (topo.Plane{Class: c}).Index(); n.hops[p] == nil {
			n.hops[p] = usual
		}
	}
	return n
}

// cut makes the ranges of every line.
func (t *Table) cut() {
	t.lines = map[line]*ranges{}
	for from := 0; from < len(t.entries); {
		l := lineOf(t.entries[from])
		to := from + 1
		for to < len(t.entries) && lineOf(t.entries[to]) == l {
			to++
		}
		t.lines[l] = cut(t.entries[from:to], from)
		from = to
	}
	t.own4, t.own6 = t.lines[line{topo.DefaultSegment, true}], t.lines[line{topo.DefaultSegment, false}]
}

func lineOf(e Entry) line { return line{e.Prefix.Segment, e.Prefix.Prefix.Addr().Is4()} }

// Lookup returns the entry with the longest prefix that contains a in seg.
func (t *Table) Lookup(seg topo.SegmentID, a netip.Addr) (Entry, bool) {
	if e := t.Find(seg, a); e != nil {
		return *e, true
	}
	return Entry{}, false
}

// Find is Lookup without the copy: nil is no entry, and what is returned must not be changed.
func (t *Table) Find(seg topo.SegmentID, a netip.Addr) *Entry {
	if t == nil || !a.IsValid() {
		return nil
	}
	v4 := a.Is4() || a.Is4In6()
	r := t.own6
	if seg != topo.DefaultSegment {
		r = t.lines[line{seg, v4}]
	} else if v4 {
		r = t.own4
	}
	if r == nil {
		return nil
	}
	i := r.find(numberOf(a, v4))
	if i == none {
		return nil
	}
	return &t.entries[i]
}

// Hop returns the way to a router in the interactive plane.
func (t *Table) Hop(r topo.RouterID) (Hop, bool) {
	return t.HopIn(topo.Plane{Class: topo.ClassInteractive}, r)
}

// HopIn returns the way to a router in a plane.
func (t *Table) HopIn(p topo.Plane, r topo.RouterID) (Hop, bool) {
	if t == nil {
		return Hop{}, false
	}
	return t.hops[p.Index()].of(r)
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
	sorted := true
	for _, e := range entries {
		p := e.Prefix.Prefix
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		if e.Prefix.Prefix = p.Masked(); e.Prefix.Prefix.IsValid() {
			sorted = sorted && (len(out) == 0 || compare(out[len(out)-1], e) <= 0)
			out = append(out, e)
		}
	}
	if !sorted {
		slices.SortFunc(out, compare)
	}
	return slices.CompactFunc(out, func(a, b Entry) bool { return a.Prefix == b.Prefix })
}

// sameLines says whether the ranges of a fit b: the same prefixes in the same places.
func sameLines(a, b []Entry) bool {
	return slices.EqualFunc(a, b, func(a, b Entry) bool { return a.Prefix == b.Prefix })
}
