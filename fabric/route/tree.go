package route

import "github.com/galleon-net/galleon/fabric/topo"

// arc is a link in one plane. It is small, since Dijkstra's algorithm reads all of them for every tree.
type arc struct {
	to   int32
	cost uint32
}

// spot is what a tree knows of one router; 32 bytes, so that a thousand of them stay in the nearest cache.
type spot struct {
	dist  uint64
	risk  uint64 // of all links on all shortest ways to it
	prev  int32  // the router before it; -1 at the root and where nothing leads
	first int32  // the router behind the root on the way to it
	mtu   int32  // the least on the way; 0 is unknown
	hops  uint16 // links on the way
	at    uint16 // which of prev's links leads to it; valid while the tree grows
}

// tree is the shortest ways from one router. Among ways of equal cost the one with fewer links wins, then the
// one over the lower router, so that a tree depends on the graph alone.
type tree struct {
	root  int32
	spots []spot
	used  bool // in this update
}

// The heap's items are a distance and, in the low bits, a router: one comparison orders them.
const (
	nodeBits = 20
	nodeMask = 1<<nodeBits - 1
)

// heap has the least item on top; each has up to four below it, which are one cache line. There is no
// decreasing of keys: a router whose distance falls is pushed again, and what is stale is passed over when it
// comes out.
type heap []uint64

func (h *heap) push(x uint64) {
	q := append(*h, x)
	i := len(q) - 1
	for i > 0 {
		up := (i - 1) / 4
		if q[up] <= x {
			break
		}
		q[i] = q[up]
		i = up
	}
	q[i] = x
	*h = q
}

func (h *heap) pop() uint64 {
	q := *h
	top, x := q[0], q[len(q)-1]
	q = q[:len(q)-1]
	*h = q
	i := 0
	for {
		down := 4*i + 1
		if down >= len(q) {
			break
		}
		least := q[down]
		for k := down + 1; k < min(4*i+5, len(q)); k++ {
			if q[k] < least {
				down, least = k, q[k]
			}
		}
		if least >= x {
			break
		}
		q[i] = least
		i = down
	}
	if len(q) > 0 {
		q[i] = x
	}
	return top
}

// grow finds the shortest ways from t.root (Dijkstra 1959). A router that the plane avoids is reached and may
// be the root, but nothing passes through it.
func (t *tree) grow(g *graph, p *plane, h *heap) {
	n := len(g.ids)
	if cap(t.spots) < n {
		t.spots = make([]spot, n, n+n/4)
	}
	t.spots = t.spots[:n]
	for i := range t.spots {
		t.spots[i] = spot{dist: far, prev: -1, first: -1}
	}
	t.spots[t.root].dist = 0
	*h = append((*h)[:0], uint64(t.root))
	for len(*h) > 0 {
		item := h.pop()
		u, d := int32(item&nodeMask), item>>nodeBits
		su := &t.spots[u]
		if su.dist != d {
			continue // a shorter way was found since
		}
		if u != t.root {
			before := &t.spots[su.prev]
			su.mtu = lesser(before.mtu, int32(g.links[su.prev][su.at].MTU))
			if su.first = before.first; su.prev == t.root {
				su.first = u
			}
			if p.avoid != nil && p.avoid[u] {
				continue
			}
		}
		hops := su.hops + 1
		for i, a := range p.arcs[u] {
			sv := &t.spots[a.to]
			dv := d + uint64(a.cost)
			if dv > sv.dist {
				continue
			}
			if dv < sv.dist {
				sv.dist, sv.hops, sv.prev, sv.at, sv.risk = dv, hops, u, uint16(i), 0
				h.push(dv<<nodeBits | uint64(a.to))
			} else if hops < sv.hops || hops == sv.hops && u < sv.prev {
				sv.hops, sv.prev, sv.at = hops, u, uint16(i)
			}
			if p.risky {
				sv.risk |= su.risk | g.links[u][i].risk
			}
		}
	}
}

// touch is a change of one arc; a cost of 0 is none.
type touch struct {
	from, to int32
	was, is  uint32
}

// hit says whether a change may alter the tree. If no arc that changed was on a shortest way, and none leads
// to a router as cheaply as it is reached already, all distances and all ties are what they were: the tree is
// still what grow would make.
func (t *tree) hit(p *plane, touches []touch) bool {
	for _, c := range touches {
		from := t.spots[c.from].dist
		if from == far || p.avoid != nil && p.avoid[c.from] && c.from != t.root {
			continue
		}
		to := t.spots[c.to].dist
		if c.was != 0 && from+uint64(c.was) == to || c.is != 0 && from+uint64(c.is) <= to {
			return true
		}
	}
	return false
}

// leads says whether packets from the root arrive at v with used links behind them already.
func (t *tree) leads(v int32, used int) bool {
	return t.spots[v].dist < far && int(t.spots[v].hops)+used <= MaxHops
}

// path appends the routers from the root to v.
func (t *tree) path(g *graph, v int32, p []topo.RouterID) []topo.RouterID {
	from := len(p)
	n := int(t.spots[v].hops) + 1
	for range n {
		p = append(p, 0)
	}
	for i := from + n - 1; i >= from; i-- {
		p[i] = g.ids[v]
		v = t.spots[v].prev
	}
	return p
}
