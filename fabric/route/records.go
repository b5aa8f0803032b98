package route

import (
	"cmp"
	"slices"
	"time"

	"github.com/galleon-net/galleon/fabric/linkstate"
	"github.com/galleon-net/galleon/fabric/topo"
)

// FromRecords makes the input of Compute from a link-state database's records. FabricMTU and Cost are the
// caller's to set.
func FromRecords(self topo.RouterID, records []linkstate.Record) Input {
	in := Input{Self: self, Draining: map[topo.RouterID]bool{}}
	for _, r := range records {
		if r.Draining {
			in.Draining[r.Origin] = true
		}
		in.Links = appendLinks(in.Links, &r)
		for _, p := range r.Prefixes {
			in.Announcements = append(in.Announcements, Announcement{r.Origin, p.SegPrefix, p.Metric})
		}
	}
	return in
}

// load takes an Input, for Compute.
func (e *Engine) load(in Input) {
	links := slices.Clone(in.Links)
	order := func(a, b Link) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) }
	if !slices.IsSortedFunc(links, order) {
		slices.SortStableFunc(links, order)
	}
	ids := append(make([]topo.RouterID, 0, len(links)/4), in.Self)
	for i, l := range links {
		if l.From == l.To {
			continue
		}
		if i == 0 || links[i-1].From != l.From {
			ids = append(ids, l.From)
		}
		ids = append(ids, l.To)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	said, draining := make([][]Link, len(ids)), make([]bool, len(ids))
	for from := 0; from < len(links); {
		to := from + 1
		for to < len(links) && links[to].From == links[from].From {
			to++
		}
		if u, ok := slices.BinarySearch(ids, links[from].From); ok {
			said[u] = unique(links[from:to])
		}
		from = to
	}
	for u, id := range ids {
		draining[u] = in.Draining[id]
	}
	e.mtu = in.FabricMTU
	e.reset(in.Intent, ids, said, draining)
	e.compute(time.Time{})
	e.offers = slices.Clone(in.Announcements)
	e.group()
	e.choose(time.Time{})
}

// unique keeps the last word about each link, and none about a link to itself.
func unique(ls []Link) []Link {
	out := ls[:0]
	for i, l := range ls {
		if l.To != l.From && (i+1 == len(ls) || ls[i+1].To != l.To) {
			out = append(out, l)
		}
	}
	return out
}
