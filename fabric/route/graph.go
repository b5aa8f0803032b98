package route

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/galleon-net/galleon/fabric/topo"
)

// far is the distance to what cannot be reached. Sums of two distances must not overflow.
const far = math.MaxUint64 / 4

// graph is the links that count, with routers as small numbers in ascending order of their IDs.
type graph struct {
	ids     []topo.RouterID
	index   map[topo.RouterID]int
	edges   [][]edge // by from, ascending by to
	links   []Link   // what the edges stand for
	reports map[topo.Pair]report
}

// edge is small, since Dijkstra's algorithm reads all of them for every neighbour.
type edge struct {
	to   int
	cost uint64
	link int // in links: as both ends see it
}

// report is what the two ends of a pair say: ends[0] is the lower router's word.
type report struct {
	ends [2]*Link
}

// say returns the two directions as seen from router r: what it says, and what the other says.
func (p report) say(r topo.RouterID, pair topo.Pair) (mine, theirs *Link) {
	if r == pair.A {
		return p.ends[0], p.ends[1]
	}
	return p.ends[1], p.ends[0]
}

// counts says whether packets may use the link; if not, why, for people.
func (p report) counts(pair topo.Pair) (bool, string) {
	for i, end := range []topo.RouterID{pair.A, pair.B} {
		switch {
		case p.ends[i] == nil:
			return false, fmt.Sprintf("%s does not report the link", end)
		case !p.ends[i].Up:
			return false, fmt.Sprintf("%s reports the link down", end)
		}
	}
	return true, ""
}

func newGraph(in Input) *graph {
	g := &graph{index: map[topo.RouterID]int{}, reports: make(map[topo.Pair]report, len(in.Links)/2)}
	known := map[topo.RouterID]bool{in.Self: true}
	for i := range in.Links {
		l := &in.Links[i]
		if l.From == l.To {
			continue
		}
		known[l.From], known[l.To] = true, true
		pair := topo.PairOf(l.From, l.To)
		p := g.reports[pair]
		if l.From == pair.A {
			p.ends[0] = l
		} else {
			p.ends[1] = l
		}
		g.reports[pair] = p
	}
	g.ids = slices.Sorted(maps.Keys(known))
	for i, id := range g.ids {
		g.index[id] = i
	}
	g.edges = make([][]edge, len(g.ids))
	cost := in.Cost
	if cost == nil {
		cost = CostFor(topo.ClassInteractive)
	}
	for pair, p := range g.reports {
		if ok, _ := p.counts(pair); !ok {
			continue
		}
		for _, from := range []topo.RouterID{pair.A, pair.B} {
			l := p.joint(from, pair)
			c := max(cost(l), 1)
			if in.Draining[from] { // also Self: all routers must see the same costs, or backups could loop
				c += drainCost
			}
			if l.MTU > 0 && l.MTU < in.FabricMTU {
				c += shortMTUCost
			}
			u := g.index[from]
			g.edges[u] = append(g.edges[u], edge{g.index[l.To], min(c, far/1024), len(g.links)})
			g.links = append(g.links, l)
		}
	}
	for _, es := range g.edges {
		slices.SortFunc(es, func(a, b edge) int { return a.to - b.to })
	}
	return g
}

// joint is one direction of a link as both ends see it. The round trip is the same quantity at both, so
// the worse word counts; the loss is what the sending end learned; the MTU and the rate are the lesser.
func (p report) joint(from topo.RouterID, pair topo.Pair) Link {
	mine, theirs := p.say(from, pair)
	l := *mine
	l.RTT = max(mine.RTT, theirs.RTT)
	l.MTU = lesser(mine.MTU, theirs.MTU)
	l.RateMbps = lesser(mine.RateMbps, theirs.RateMbps)
	return l
}

// lesser is the minimum of two figures of which zero means unknown.
func lesser[T int | uint32](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// tree is the shortest ways from one router.
type tree struct {
	dist []uint64
	hops []int // links on the way
	prev []int // the router before; -1 at the root and where nothing leads
}

// from is Dijkstra's algorithm on arrays: with as many links as a mesh has, a heap would not pay. Among
// ways of equal cost the one with fewer links wins, then the one over the lower router.
func (g *graph) from(root int) tree {
	n := len(g.ids)
	t := tree{make([]uint64, n), make([]int, n), make([]int, n)}
	for i := range n {
		t.dist[i], t.prev[i] = far, -1
	}
	t.dist[root] = 0
	open := make([]int, n)
	for i := range n {
		open[i] = i
	}
	for len(open) > 0 {
		at := 0
		for i, v := range open {
			if t.dist[v] < t.dist[open[at]] {
				at = i
			}
		}
		u := open[at]
		du := t.dist[u]
		if du == far {
			break
		}
		open[at] = open[len(open)-1]
		open = open[:len(open)-1]
		hops := t.hops[u] + 1
		for _, e := range g.edges[u] {
			v, d := e.to, du+e.cost
			if d > t.dist[v] {
				continue
			}
			if d < t.dist[v] || hops < t.hops[v] || hops == t.hops[v] && u < t.prev[v] {
				t.dist[v], t.hops[v], t.prev[v] = d, hops, u
			}
		}
	}
	return t
}

// path lists the routers from the root to v, after skip places left free.
func (t tree) path(g *graph, v, skip int) []topo.RouterID {
	p := make([]topo.RouterID, skip+t.hops[v]+1)
	for i := len(p) - 1; i >= skip; i-- {
		p[i] = g.ids[v]
		v = t.prev[v]
	}
	return p
}

// edge returns the edge between two routers, nil when there is none that counts.
func (g *graph) edge(from, to int) *edge {
	i, ok := slices.BinarySearchFunc(g.edges[from], to, func(e edge, to int) int { return e.to - to })
	if !ok {
		return nil
	}
	return &g.edges[from][i]
}

// mtu is the least along a path.
func (g *graph) mtu(path []topo.RouterID) (mtu int) {
	for i := 1; i < len(path); i++ {
		if e := g.edge(g.index[path[i-1]], g.index[path[i]]); e != nil {
			mtu = lesser(mtu, g.links[e.link].MTU)
		}
	}
	return mtu
}
