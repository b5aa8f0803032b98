package route

// maxTurns bounds the trees of routers that are not neighbours which backups are sought with in one update
// of one plane. Rings and chains, where such backups are needed, have few; where there are many neighbours,
// there is nearly always one that is loop-free. Beyond it, routers stay without a backup.
const maxTurns = 64

// turn finds backups for routers that have none among the loop-free neighbours. Neighbour N whose next hop for
// v is we ourselves does not loop in this data path, though the inequality says so: a router never sends a
// packet where it came from, so N takes its own backup M at once (Atlas, "U-turn Alternates for IP/LDP
// Fast-Reroute", 2006, where routers must be told to; ours do it anyway). It is good when N's choice, which
// we make here as N makes it, avoids us:
//
//	dist(M, D) < dist(M, N) + dist(N, D)      N may choose M
//	dist(M, D) < dist(M, S) + dist(S, D)      M's way avoids S, and with it the link that failed
//
// N must have no other way as good as that through us, or it might not turn but take that one. One thing it
// cannot do: a packet that we have from N itself is not sent back to N. N's own packets are lost until N has
// heard of the failure, as with no backup.
func (p *plane) turn(g *graph, self int32) {
	p.turns, p.turny = 0, false
	for v := range p.ways {
		w := &p.ways[v]
		if w.next < 0 || w.backup >= 0 {
			continue
		}
		p.turny = true
		k, _ := g.place(self, w.next)
		best := candidate{next: -1}
		for i, n := range p.via {
			if n.root == w.next || n.root == int32(v) || !n.leads(int32(v), 1) || p.avoid != nil && p.avoid[n.root] {
				continue
			}
			c, beyond := p.around(g, self, i, n, int32(v), w.next, p.via[k], g.links[self][k].risk)
			if c.leads && (best.next < 0 || c.better(&best)) {
				best, w.beyond = c, beyond
			}
		}
		if best.next >= 0 {
			w.backup, w.cost, w.guard = best.next, best.cost, Guard{Node: best.avoids, SharesRisk: best.shares, Turn: true}
		}
	}
}

// around judges a turn through our neighbour at place i, whose tree is n, for packets to v.
func (p *plane) around(g *graph, self int32, i int, n *tree, v, next int32, nextTree *tree, risk uint64) (candidate, int32) {
	c := candidate{next: n.root}
	if n.spots[v].first != self {
		return c, -1
	}
	back, ok := g.place(n.root, self)
	if !ok {
		return c, -1
	}
	best := candidate{next: -1}
	var beyond *tree
	at := 0
	for k, a := range p.arcs[n.root] {
		if a.to == self {
			continue
		}
		m := p.further(g, a.to)
		if m == nil {
			return c, -1
		}
		d := p.consider(g, n, k, m, v, self, p.own, g.links[n.root][back].risk)
		if d.leads && d.cost == n.spots[v].dist {
			return c, -1 // as good as through us
		}
		if d.leads && d.loopFree && (best.next < 0 || d.better(&best)) {
			best, beyond, at = d, m, k
		}
	}
	if best.next < 0 || !best.avoids || !beyond.leads(v, 2) {
		return c, -1
	}
	c.leads, c.cost = true, uint64(p.arcs[self][i].cost)+best.cost
	c.avoids = next == v || beyond.root != next && beyond.spots[v].dist < beyond.spots[next].dist+nextTree.spots[v].dist
	if p.risky && risk != 0 {
		c.shares = (beyond.spots[v].risk|g.links[self][i].risk|g.links[n.root][at].risk)&risk != 0
	}
	return c, beyond.root
}

// further is the tree of a router that may be further off than a neighbour; nil when there have been too many.
func (p *plane) further(g *graph, root int32) *tree {
	if t := p.trees[root]; t != nil && t.used {
		return t
	}
	if p.turns == maxTurns {
		return nil
	}
	p.turns++
	return p.tree(g, root)
}
