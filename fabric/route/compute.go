package route

import (
	"cmp"
	"slices"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Compute finds the ways from in.Self to every other router and prefix.
func Compute(in Input) *Result {
	g := newGraph(in)
	r := &Result{
		Self:     in.Self,
		Hops:     make(map[topo.RouterID]Hop, len(g.ids)),
		Prefixes: make(map[topo.SegPrefix]topo.RouterID, len(in.Announcements)),
		in:       in,
		graph:    g,
		self:     g.index[in.Self],
		via:      make([]tree, len(g.ids)),
	}
	r.in.Links = nil // the graph has what is needed of them
	r.own = g.from(r.self)
	if in.Draining[in.Self] {
		r.toll = drainCost
	}
	for _, e := range g.edges[r.self] {
		r.via[e.to] = g.from(e.to)
	}
	for v, id := range g.ids {
		if v != r.self && r.own.dist[v] < far && r.own.hops[v] <= MaxHops {
			r.Hops[id] = r.hop(v)
		}
	}
	r.choose()
	return r
}

// hop is the way to router v, which can be reached.
func (r *Result) hop(v int) Hop {
	path := r.own.path(r.graph, v, 0)
	h := Hop{Next: path[1], Cost: r.own.dist[v] - r.toll, Path: path, MTU: r.graph.mtu(path)}
	next := r.graph.index[h.Next]
	best := candidate{next: -1}
	for _, e := range r.graph.edges[r.self] {
		if c := r.consider(e, v, next); c.loopFree && e.to != next && (best.next < 0 || c.better(best)) {
			best = c
		}
	}
	if best.next >= 0 {
		h.Backup, h.BackupCost, h.BackupPath = r.graph.ids[best.next], best.cost-r.toll, r.pathVia(best.next, v)
		h.BackupMTU = r.graph.mtu(h.BackupPath)
	}
	return h
}

// candidate is a neighbour as the first hop of a way to v.
type candidate struct {
	next     int
	leads    bool // to v, within MaxHops
	cost     uint64
	loopFree bool // its own way to v does not come back through Self
	avoids   bool // nor go through the primary next hop, or that is v itself
}

// consider judges neighbour e.to for packets to v, whose primary next hop is next (-1: there is none).
func (r *Result) consider(e edge, v, next int) candidate {
	t := r.via[e.to]
	if t.dist[v] >= far || t.hops[v]+1 > MaxHops {
		return candidate{next: e.to}
	}
	c := candidate{
		next:     e.to,
		leads:    true,
		cost:     e.cost + t.dist[v],
		loopFree: t.dist[v] < t.dist[r.self]+r.own.dist[v],
	}
	if next >= 0 {
		c.avoids = next == v || t.dist[v] < t.dist[next]+r.via[next].dist[v]
	}
	return c
}

// pathVia is Self and then the neighbour's own way to v.
func (r *Result) pathVia(neighbour, v int) []topo.RouterID {
	p := r.via[neighbour].path(r.graph, v, 1)
	p[0] = r.Self
	return p
}

// better orders backups: one that survives the death of the primary next hop first, then by cost, then by
// the neighbour's ID.
func (c candidate) better(d candidate) bool {
	if c.avoids != d.avoids {
		return c.avoids
	}
	return cmp.Or(cmp.Compare(c.cost, d.cost), cmp.Compare(c.next, d.next)) < 0
}

// choose fills Prefixes.
func (r *Result) choose() {
	best := make(map[topo.SegPrefix]Egress, len(r.in.Announcements))
	for _, a := range r.in.Announcements {
		e := r.egress(a)
		if b, ok := best[a.Prefix]; e.Reachable && (!ok || e.better(b, r.Self)) {
			best[a.Prefix] = e
		}
	}
	for p, e := range best {
		r.Prefixes[p] = e.Router
	}
}

// Egress is a router that announces a prefix, as seen from Self.
type Egress struct {
	Router    topo.RouterID
	Metric    uint32
	Cost      uint64 // of the way to it
	Draining  bool
	Reachable bool
}

func (r *Result) egress(a Announcement) Egress {
	h, ok := r.Hops[a.Router]
	return Egress{a.Router, a.Metric, h.Cost, r.in.Draining[a.Router], ok || a.Router == r.Self}
}

// better orders egresses: Self first, since what can be delivered here must never go round; then those that
// can be reached, those that do not drain, lowest metric, cost, ID.
func (e Egress) better(f Egress, self topo.RouterID) bool {
	if (e.Router == self) != (f.Router == self) {
		return e.Router == self
	}
	if e.Reachable != f.Reachable {
		return e.Reachable
	}
	if e.Draining != f.Draining {
		return f.Draining
	}
	return cmp.Or(cmp.Compare(e.Metric, f.Metric), cmp.Compare(e.Cost, f.Cost), cmp.Compare(e.Router, f.Router)) < 0
}

// Egresses lists the routers that announce p, best first.
func (r *Result) Egresses(p topo.SegPrefix) []Egress {
	var all []Egress
	for _, a := range r.in.Announcements {
		if a.Prefix == p {
			all = append(all, r.egress(a))
		}
	}
	slices.SortFunc(all, func(a, b Egress) int {
		switch {
		case a.better(b, r.Self):
			return -1
		case b.better(a, r.Self):
			return 1
		}
		return 0
	})
	return all
}
