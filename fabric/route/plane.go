package route

import (
	"slices"

	"github.com/galleon-net/galleon/fabric/topo"
)

// plane is one router's ways in one plane.
type plane struct {
	id    topo.Plane
	cost  Cost
	avoid []bool // by router: not to be passed through; nil when nothing is
	risky bool   // there are links of ours that share risks with others

	arcs    [][]arc // by router, in the places of graph.links
	touches []touch // since the ways were computed
	fresh   bool    // nothing that was computed counts

	own   *tree
	last  []spot          // own's, before the last update
	trees map[int32]*tree // of neighbours, and of others as far as they were asked for
	via   []*tree         // of neighbours, in the places of arcs[self]
	spare []*tree         // trees that are not used any more
	ways  []way           // by router
	turns int             // trees of routers further off that backups were sought with
	turny bool            // backups were sought among neighbours that would send back
	heap  heap            // memory for growing
}

// way is how packets to one router leave.
type way struct {
	next   int32 // -1: there is none
	backup int32 // -1: there is none
	beyond int32 // with guard.Turn, whom backup sends the packet to
	guard  Guard
	spread uint64 // neighbours, by place in arcs[self], that are as good as next; 0 when it is alone
	cost   uint64 // of the backup
}

// price gives what an arc costs in this plane.
func (p *plane) price(l Link, draining bool, mtu int) uint32 {
	c := min(max(p.cost(l), 1), maxCost)
	if draining { // also of ourselves: all routers must see the same costs, or backups could loop
		c += drainCost
	}
	if l.MTU > 0 && l.MTU < mtu {
		c += shortMTUCost
	}
	return uint32(min(c, maxCost))
}

// reset prices the whole graph.
func (p *plane) reset(g *graph, draining []bool, mtu int) {
	if cap(p.arcs) < len(g.ids) {
		p.arcs = make([][]arc, len(g.ids))
	}
	p.arcs = p.arcs[:len(g.ids)]
	for u, ls := range g.links {
		as := p.arcs[u][:0]
		for i := range ls {
			as = append(as, arc{ls[i].to, p.price(ls[i].Link, draining[u], mtu)})
		}
		p.arcs[u] = as
	}
	p.touches, p.fresh = p.touches[:0], true
}

// apply does what was done to the graph.
func (p *plane) apply(steps []step, draining []bool, mtu int) {
	for _, s := range steps {
		t := touch{from: s.from, to: s.to}
		as := p.arcs[s.from]
		if s.had {
			t.was = as[s.at].cost
		}
		if s.has {
			t.is = p.price(s.is, draining[s.from], mtu)
		}
		switch {
		case s.had && s.has:
			as[s.at].cost = t.is
		case s.has:
			p.arcs[s.from] = slices.Insert(as, s.at, arc{s.to, t.is})
		case s.had:
			p.arcs[s.from] = slices.Delete(as, s.at, s.at+1)
		}
		p.touches = append(p.touches, t)
	}
}

// update computes the ways of router self after changes, and says whether there was anything to do.
func (p *plane) update(g *graph, self int32) bool {
	n := len(g.ids)
	if !p.fresh && len(p.touches) == 0 && len(p.ways) == n {
		return false
	}
	if p.own == nil {
		p.own, p.trees = &tree{root: self}, map[int32]*tree{}
	}
	// Where much changed, looking which tree was hit costs more than growing it.
	all := p.fresh || len(p.own.spots) != n || len(p.touches) > n
	// What links of ours and of our neighbours cost can matter without any tree changing.
	judge := all || slices.ContainsFunc(p.touches, func(t touch) bool {
		return t.from == self || p.turny && p.trees[t.from] != nil
	})

	p.last = append(p.last[:0], p.own.spots...)
	p.own.root = self
	if all || p.own.hit(p, p.touches) {
		p.own.grow(g, p, &p.heap)
		judge = true
	}
	for root, t := range p.trees {
		t.used = false
		if all || t.hit(p, p.touches) {
			judge = true
			p.spare = append(p.spare, t)
			delete(p.trees, root)
		}
	}
	p.touches, p.fresh = p.touches[:0], false
	if !judge {
		for _, t := range p.trees {
			t.used = true
		}
		return true
	}
	p.via = p.via[:0]
	for _, a := range p.arcs[self] {
		p.via = append(p.via, p.tree(g, a.to))
	}
	if cap(p.ways) < n {
		p.ways = make([]way, n, n+n/4)
	}
	p.ways = p.ways[:n]
	p.judge(g, self)
	p.turn(g, self)
	for root, t := range p.trees {
		if !t.used {
			p.spare = append(p.spare, t)
			delete(p.trees, root)
		}
	}
	return true
}

// tree gives the tree of a router, growing it where it is not there or not good any more.
func (p *plane) tree(g *graph, root int32) *tree {
	t := p.trees[root]
	if t == nil {
		if n := len(p.spare); n > 0 {
			t, p.spare = p.spare[n-1], p.spare[:n-1]
		} else {
			t = &tree{}
		}
		t.root = root
		t.grow(g, p, &p.heap)
		p.trees[root] = t
	}
	t.used = true
	return t
}

// candidate is a neighbour as the first router of a way to v.
type candidate struct {
	next     int32
	leads    bool // to v, within MaxHops, without passing through what the plane avoids
	barred   bool // it would, but for what the plane avoids
	loopFree bool // its own way to v does not come back through us
	avoids   bool // nor go through the primary next hop, or that is v itself
	shares   bool // a risk with the link to the primary next hop
	cost     uint64
}

// better orders backups: one whose way does not share the primary's risks first, then one that survives the
// death of the primary next hop, then by cost, then by the neighbour's ID.
func (c *candidate) better(d *candidate) bool {
	switch {
	case c.shares != d.shares:
		return d.shares
	case c.avoids != d.avoids:
		return c.avoids
	case c.cost != d.cost:
		return c.cost < d.cost
	}
	return c.next < d.next
}

// consider judges the neighbour of router s at place k for packets to v, whose primary next hop is next with
// the tree nextTree (nil: there is none) over a link with the risks risk. own is the tree of s.
func (p *plane) consider(g *graph, own *tree, k int, t *tree, v int32, next int32, nextTree *tree, risk uint64) candidate {
	s := own.root
	a := p.arcs[s][k]
	c := candidate{next: a.to}
	if !t.leads(v, 1) {
		return c
	}
	if p.avoid != nil && p.avoid[a.to] && a.to != v {
		c.barred = true
		return c
	}
	d := t.spots[v].dist
	c.leads, c.cost = true, uint64(a.cost)+d
	c.loopFree = d < t.spots[s].dist+own.spots[v].dist
	if nextTree != nil {
		c.avoids = next == v || d < t.spots[next].dist+nextTree.spots[v].dist
		if p.risky && risk != 0 {
			c.shares = (t.spots[v].risk|g.links[s][k].risk)&risk != 0
		}
	}
	return c
}

// judge finds for every router the next hop, what is as good, and the backup among the loop-free neighbours.
func (p *plane) judge(g *graph, self int32) {
	for v := range p.ways {
		v := int32(v)
		w := &p.ways[v]
		*w = way{next: -1, backup: -1, beyond: -1}
		if v == self || !p.own.leads(v, 0) {
			continue
		}
		w.next = p.own.spots[v].first
		k, _ := g.place(self, w.next)
		nextTree, risk := p.via[k], g.links[self][k].risk
		best := candidate{next: -1}
		dist, hops := p.own.spots[v].dist, p.own.spots[v].hops
		for i, t := range p.via {
			c := p.consider(g, p.own, i, t, v, w.next, nextTree, risk)
			if !c.leads {
				continue
			}
			if i < 64 && c.cost == dist && t.spots[v].hops+1 == hops {
				w.spread |= 1 << i
			}
			if c.loopFree && c.next != w.next && (best.next < 0 || c.better(&best)) {
				best = c
			}
		}
		if w.spread&(w.spread-1) == 0 {
			w.spread = 0
		}
		if best.next >= 0 {
			w.backup, w.cost, w.guard = best.next, best.cost, Guard{Node: best.avoids, SharesRisk: best.shares}
		}
	}
}
