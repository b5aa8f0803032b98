package route

import (
	"iter"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Way is how packets to a router leave in a plane; false when they cannot, or the plane is not computed.
func (e *Engine) Way(plane topo.Plane, to topo.RouterID) (Way, bool) {
	p := e.planes[plane.Index()]
	v, known := e.graph.node(to)
	if p == nil || !known || p.ways[v].next < 0 {
		return Way{}, false
	}
	return e.way(p, v), true
}

// Ways lists the routers that can be reached in a plane, ascending.
func (e *Engine) Ways(plane topo.Plane) iter.Seq2[topo.RouterID, Way] {
	return func(yield func(topo.RouterID, Way) bool) {
		p := e.planes[plane.Index()]
		if p == nil {
			return
		}
		for v := range p.ways {
			if p.ways[v].next >= 0 && !yield(e.graph.ids[v], e.way(p, int32(v))) {
				return
			}
		}
	}
}

func (e *Engine) way(p *plane, v int32) Way {
	w, s := &p.ways[v], &p.own.spots[v]
	out := Way{Next: e.graph.ids[w.next], Cost: s.dist - e.toll(), Hops: int(s.hops), MTU: int(s.mtu), Guard: w.guard}
	if w.backup >= 0 {
		out.Backup = e.graph.ids[w.backup]
	}
	return out
}

// Hop is Way with paths for people, and what flows are spread over.
func (e *Engine) Hop(plane topo.Plane, to topo.RouterID) (Hop, bool) {
	p := e.planes[plane.Index()]
	v, known := e.graph.node(to)
	if p == nil || !known {
		return Hop{}, false
	}
	return e.hop(p, v)
}

func (e *Engine) hop(p *plane, v int32) (Hop, bool) {
	w := &p.ways[v]
	if w.next < 0 {
		return Hop{}, false
	}
	s := &p.own.spots[v]
	h := Hop{
		Next: e.graph.ids[w.next], Cost: s.dist - e.toll(), MTU: int(s.mtu), Shares: e.shares(p, v),
		Path: p.own.path(&e.graph, v, make([]topo.RouterID, 0, s.hops+1)),
	}
	if w.backup >= 0 {
		h.Backup, h.BackupCost, h.Guard = e.graph.ids[w.backup], w.cost-e.toll(), w.guard
		h.BackupPath = e.backupPath(p, v)
		h.BackupMTU = e.graph.mtu(h.BackupPath)
	}
	return h, true
}

// backupPath is the way that packets to v take while the link to their next hop is down.
func (e *Engine) backupPath(p *plane, v int32) []topo.RouterID {
	w := &p.ways[v]
	path := append(make([]topo.RouterID, 0, MaxHops+1), e.self)
	last := w.backup
	if w.guard.Turn {
		path, last = append(path, e.graph.ids[last]), w.beyond
	}
	return p.trees[last].path(&e.graph, v, path)
}

// Shares lists the neighbours that lead to a router as well as the next hop does, with their weights.
func (e *Engine) Shares(plane topo.Plane, to topo.RouterID) []Share {
	p := e.planes[plane.Index()]
	v, known := e.graph.node(to)
	if p == nil || !known {
		return nil
	}
	return e.shares(p, v)
}

func (e *Engine) shares(p *plane, v int32) []Share {
	var out []Share
	for i, t := range p.via {
		if i >= 64 || p.ways[v].spread&(1<<i) == 0 {
			continue
		}
		s := Share{Next: e.graph.ids[t.root], Mbps: e.graph.links[e.node][i].RateMbps}
		for at := v; at != t.root; at = t.spots[at].prev {
			s.Mbps = lesser(s.Mbps, e.graph.link(t.spots[at].prev, at).RateMbps)
		}
		out = append(out, s)
	}
	for _, s := range out {
		if s.Mbps == 0 { // against an unknown rate no other can be weighed
			for i := range out {
				out[i].Mbps = 0
			}
			break
		}
	}
	return out
}

// mtu is the least along a path.
func (g *graph) mtu(path []topo.RouterID) (mtu int) {
	for i := 1; i < len(path); i++ {
		u, _ := g.node(path[i-1])
		w, _ := g.node(path[i])
		mtu = lesser(mtu, g.link(u, w).MTU)
	}
	return mtu
}
