package route

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/galleon-net/galleon/fabric/topo"
)

// far is the distance to what cannot be reached; no way costs as much.
const far = 1 << 44

// graph is the links that count, with routers as small numbers in ascending order of their IDs. All planes
// share it; they differ in what an arc costs.
type graph struct {
	ids   []topo.RouterID
	index map[topo.RouterID]int32
	said  [][]Link // by router: its word about its links, ascending by To
	links [][]link // by router: its links that count, ascending by to
}

// link is one direction of a link that counts, as both its ends see it.
type link struct {
	Link
	to   int32
	risk uint64 // risks that it shares with links of ours, as bits
}

// node gives a router's number.
func (g *graph) node(id topo.RouterID) (int32, bool) {
	// Most clusters have routers 1 to n, all of them alive.
	if i := int(id) - 1; i >= 0 && i < len(g.ids) && g.ids[i] == id {
		return int32(i), true
	}
	i, ok := g.index[id]
	return i, ok
}

// reset makes the graph of the routers ids, ascending, and what each said, ascending by To and with only
// routers of ids in it.
func (g *graph) reset(ids []topo.RouterID, said [][]Link, risk func(a, b topo.RouterID) uint64) {
	g.ids, g.said = ids, said
	g.index = make(map[topo.RouterID]int32, len(ids))
	for i, id := range ids {
		g.index[id] = int32(i)
	}
	g.links = make([][]link, len(ids))
	// Routers are met in ascending order, and so is each in the words of the others: one finger for each list.
	finger := make([]int, len(ids))
	for u, id := range ids {
		out := make([]link, 0, len(said[u]))
		for i := range said[u] {
			w, ok := g.node(said[u][i].To)
			if !ok {
				continue
			}
			theirs := said[w]
			for finger[w] < len(theirs) && theirs[finger[w]].To < id {
				finger[w]++
			}
			if f := finger[w]; f < len(theirs) && theirs[f].To == id && said[u][i].Up && theirs[f].Up {
				out = append(out, link{joint(&said[u][i], &theirs[f]), w, risk(id, said[u][i].To)})
			}
		}
		g.links[u] = out
	}
}

// joint is one direction of a link as both ends see it. The round trip is the same quantity at both, so
// the worse word counts; the loss and the price are the sending end's; the MTU and the rate are the lesser.
func joint(mine, theirs *Link) Link {
	l := *mine
	l.RTT = max(mine.RTT, theirs.RTT)
	l.RTT95 = max(mine.RTT95, theirs.RTT95)
	l.MTU = lesser(mine.MTU, theirs.MTU)
	l.RateMbps = lesser(mine.RateMbps, theirs.RateMbps)
	return l
}

// lesser is the minimum of two figures of which zero means unknown.
func lesser[T int | int32 | uint32](a, b T) T {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

// word is what router u says of its link to id; nil is nothing.
func (g *graph) word(u int32, id topo.RouterID) *Link {
	i, ok := slices.BinarySearchFunc(g.said[u], id, func(l Link, id topo.RouterID) int { return cmp.Compare(l.To, id) })
	if !ok {
		return nil
	}
	return &g.said[u][i]
}

// place finds the link from u to w, or where it would be.
func (g *graph) place(u, w int32) (int, bool) {
	return slices.BinarySearchFunc(g.links[u], w, func(l link, w int32) int { return cmp.Compare(l.to, w) })
}

// link returns the link from u to w, which counts.
func (g *graph) link(u, w int32) *link {
	i, ok := g.place(u, w)
	if !ok {
		panic(fmt.Sprintf("route: no link from %s to %s", g.ids[u], g.ids[w]))
	}
	return &g.links[u][i]
}

// counts says whether packets may use the link between two routers; if not, why, for people.
func (g *graph) counts(u, w int32) (bool, string) {
	if u > w {
		u, w = w, u
	}
	for _, end := range [][2]int32{{u, w}, {w, u}} {
		l := g.word(end[0], g.ids[end[1]])
		switch {
		case l == nil:
			return false, fmt.Sprintf("%s does not report the link", g.ids[end[0]])
		case !l.Up:
			return false, fmt.Sprintf("%s reports the link down", g.ids[end[0]])
		}
	}
	return true, ""
}

// step is one change of one direction of a link, to be done to the graph and then, at the same place, to the
// arcs of every plane.
type step struct {
	from, to int32
	at       int // in links[from]
	was, is  Link
	had, has bool // whether the link counted, counts
}

// restate takes a new word of router u, with only routers of the graph in it, and appends what it changes.
func (g *graph) restate(u int32, said []Link, risk func(a, b topo.RouterID) uint64, steps []step) []step {
	old := g.said[u]
	g.said[u] = said
	for i, k := 0, 0; i < len(old) || k < len(said); {
		var to topo.RouterID
		same := false
		switch {
		case k == len(said) || i < len(old) && old[i].To < said[k].To:
			to, i = old[i].To, i+1
		case i == len(old) || said[k].To < old[i].To:
			to, k = said[k].To, k+1
		default:
			to, same = old[i].To, old[i] == said[k]
			i, k = i+1, k+1
		}
		if w, ok := g.node(to); ok && !same {
			steps = g.relink(w, u, risk, g.relink(u, w, risk, steps))
		}
	}
	return steps
}

// relink makes the link from u to w what both ends say now.
func (g *graph) relink(u, w int32, risk func(a, b topo.RouterID) uint64, steps []step) []step {
	mine, theirs := g.word(u, g.ids[w]), g.word(w, g.ids[u])
	at, had := g.place(u, w)
	s := step{from: u, to: w, at: at, had: had, has: mine != nil && theirs != nil && mine.Up && theirs.Up}
	if had {
		s.was = g.links[u][at].Link
	}
	if s.has {
		s.is = joint(mine, theirs)
	}
	switch {
	case s.had == s.has && s.was == s.is:
		return steps
	case s.had && s.has:
		g.links[u][at].Link = s.is
	case s.has:
		g.links[u] = slices.Insert(g.links[u], at, link{s.is, w, risk(g.ids[u], g.ids[w])})
	default:
		g.links[u] = slices.Delete(g.links[u], at, at+1)
	}
	return append(steps, s)
}
