package route

import (
	"cmp"
	"slices"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Tunnel is a repair that this data path does not have: packets would be wrapped for the router Through, sent
// to neighbour Next, and go on from Through to where they are addressed (RFC 7490, remote LFA).
type Tunnel struct {
	Next, Through topo.RouterID
	Cost          uint64
	Node          bool // it avoids the primary next hop too
}

// Remote finds the cheapest tunnel to a router round the link to its next hop. A router P will do when some
// neighbour's own way to it does not come back through us (P is in the extended P-space), and its own way
// to the destination does not either (Q-space, by destination rather than by next hop, which finds more). It
// tells the operator, and whoever plans links, what a tunnel would add to Hop.Backup. It grows two trees.
func (e *Engine) Remote(plane topo.Plane, to topo.RouterID) (Tunnel, bool) {
	p := e.planes[plane.Index()]
	v, known := e.graph.node(to)
	if p == nil || !known || p.ways[v].next < 0 {
		return Tunnel{}, false
	}
	next := p.ways[v].next
	toV, toSelf, toNext := e.reverse(p, v), e.reverse(p, e.node), e.reverse(p, next)
	place, _ := e.graph.place(e.node, next)
	best, found := Tunnel{}, false
	for x := range e.graph.ids {
		x := int32(x)
		barred := p.avoid != nil && p.avoid[x]
		if x == e.node || x == v || barred || toV[x] >= far || toV[x] >= add(toSelf[x], p.own.spots[v].dist) {
			continue
		}
		node := next == v || toV[x] < add(toNext[x], p.via[place].spots[v].dist)
		for i, n := range p.via {
			d := n.spots[x].dist
			if n.root == next || d >= far || p.avoid != nil && p.avoid[n.root] || d >= n.spots[e.node].dist+p.own.spots[x].dist {
				continue
			}
			t := Tunnel{
				Next: e.graph.ids[n.root], Through: e.graph.ids[x], Cost: uint64(p.arcs[e.node][i].cost) + d + toV[x],
				Node: node && x != next && d < n.spots[next].dist+p.via[place].spots[x].dist,
			}
			if !found || t.better(best) {
				best, found = t, true
			}
		}
	}
	best.Cost -= min(best.Cost, e.toll())
	return best, found
}

func (t Tunnel) better(u Tunnel) bool {
	if t.Node != u.Node {
		return t.Node
	}
	return cmp.Or(cmp.Compare(t.Cost, u.Cost), cmp.Compare(t.Through, u.Through), cmp.Compare(t.Next, u.Next)) < 0
}

func add(a, b uint64) uint64 { return min(a+b, far) }

// reverse is the distances from all routers to one.
func (e *Engine) reverse(p *plane, to int32) []uint64 {
	turned := &plane{arcs: make([][]arc, len(p.arcs))}
	for u, as := range p.arcs {
		for _, a := range as { // a link counts in both directions or not at all
			turned.arcs[a.to] = append(turned.arcs[a.to], arc{int32(u), a.cost})
		}
	}
	turned.avoid = p.avoid
	t := &tree{root: to}
	t.grow(&e.graph, turned, &p.heap)
	d := make([]uint64, len(t.spots))
	for i := range d {
		d[i] = t.spots[i].dist
	}
	return slices.Clip(d)
}
