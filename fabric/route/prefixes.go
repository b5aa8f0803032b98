package route

import (
	"cmp"
	"slices"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// announced collects who announces what.
func (e *Engine) announced(f Facts) {
	e.offers = e.offers[:0]
	for i := range f.Records {
		r := &f.Records[i]
		for _, p := range r.Prefixes {
			if a := (Announcement{r.Origin, p.SegPrefix, p.Metric}); f.Granted == nil || f.Granted(a) {
				e.offers = append(e.offers, a)
			}
		}
	}
	e.group()
}

func compareOffers(a, b Announcement) int {
	return cmp.Or(comparePrefixes(a.Prefix, b.Prefix), cmp.Compare(a.Router, b.Router))
}

func comparePrefixes(a, b topo.SegPrefix) int {
	if a.Segment != b.Segment {
		return cmp.Compare(a.Segment, b.Segment)
	}
	if c := a.Prefix.Addr().Compare(b.Prefix.Addr()); c != 0 {
		return c
	}
	return cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits())
}

// group makes the list of prefixes out of the offers; what was chosen for those that stay is kept.
func (e *Engine) group() {
	if !slices.IsSortedFunc(e.offers, compareOffers) {
		slices.SortFunc(e.offers, compareOffers)
	}
	e.avoids = slices.Grow(e.avoids[:0], len(e.offers))
	home := e.intent.Site(e.self).Region
	for _, a := range e.offers {
		avoid, _ := e.intent.For(a.Prefix, home, e.intent.Site(a.Router).Region)
		e.avoids = append(e.avoids, avoid)
	}
	old := e.prefixes
	e.prefixes = make([]PrefixChoice, 0, max(len(old), 16))
	for from := 0; from < len(e.offers); {
		p := PrefixChoice{SegPrefix: e.offers[from].Prefix, from: int32(from)}
		for from < len(e.offers) && e.offers[from].Prefix == p.SegPrefix {
			from++
		}
		p.to = int32(from)
		for len(old) > 0 && comparePrefixes(old[0].SegPrefix, p.SegPrefix) < 0 {
			old = old[1:]
		}
		if len(old) > 0 && old[0].SegPrefix == p.SegPrefix {
			p.Choice = old[0].Choice
		}
		e.prefixes = append(e.prefixes, p)
	}
}

// choose picks an egress for every prefix, and says whether one is different from before.
func (e *Engine) choose(now time.Time) (changed bool) {
	e.when = time.Time{}
	for i := range e.prefixes {
		p := &e.prefixes[i]
		was := p.Choice
		if p.to == p.from+1 {
			p.Choice = e.single(now, p)
		} else {
			p.Choice = Choose(was, now, e.self, key(p.SegPrefix), e.egresses(p))
			if at := p.Better.Add(settle); p.Rival != 0 && (e.when.IsZero() || at.Before(e.when)) {
				e.when = at
			}
		}
		changed = changed || p.Egress != was.Egress || p.Standby != was.Standby || p.Avoid != was.Avoid
	}
	return changed
}

// single is Choose for the most common case.
func (e *Engine) single(now time.Time, p *PrefixChoice) Choice {
	g := e.egress(p.from)
	c := Choice{Egress: g.Router, Avoid: g.Avoid, Since: now, Why: OnlyOne}
	switch {
	case g.Router == e.self:
		c.Why = OurOwn
	case !g.Reachable:
		c.Egress, c.Avoid, c.Why = 0, 0, NobodyLeft
		if g.Barred {
			c.Why = RuledOut
		}
	}
	if c.Egress == p.Egress && !p.Since.IsZero() {
		c.Since = p.Since
	}
	return c
}

// egresses lists who announces a prefix, in memory that the next call uses again.
func (e *Engine) egresses(p *PrefixChoice) []Egress {
	e.gather = e.gather[:0]
	for i := p.from; i < p.to; i++ {
		e.gather = append(e.gather, e.egress(i))
	}
	return e.gather
}

// egress is how the announcer of an offer is seen from here.
func (e *Engine) egress(i int32) Egress {
	a := &e.offers[i]
	g := Egress{Router: a.Router, Metric: a.Metric, Avoid: e.avoids[i]}
	v, known := e.graph.node(a.Router)
	if e.intent != nil {
		g.Zone = e.intent.Site(a.Router).Zone
	}
	switch {
	case a.Router == e.self:
		g.Reachable = true
	case known:
		p := e.plane(g.Avoid)
		g.Cost, g.Reachable = e.cost(p, v)
		if !g.Reachable && g.Avoid != 0 {
			_, g.Barred = e.cost(e.base(), v)
		}
	}
	g.Draining = known && e.draining[v]
	return g
}

// cost is what the way to a router costs, without what every way of ours pays while we drain, which is not
// worth telling anybody.
func (e *Engine) cost(p *plane, v int32) (uint64, bool) {
	if p.ways[v].next < 0 {
		return 0, false
	}
	return p.own.spots[v].dist - e.toll(), true
}

func (e *Engine) toll() uint64 {
	if e.draining[e.node] {
		return drainCost
	}
	return 0
}

// key tells prefixes apart for sharing.
func key(p topo.SegPrefix) uint64 {
	b := p.Prefix.Addr().As16()
	k := uint64(p.Segment)<<8 | uint64(p.Prefix.Bits())
	for _, c := range b {
		k = k*1099511628211 ^ uint64(c)
	}
	return k
}

// Prefixes lists what is announced, in order, with what was chosen. It is good until the next update.
func (e *Engine) Prefixes() []PrefixChoice { return e.prefixes }

// Egresses lists the routers that announce p, best first.
func (e *Engine) Egresses(p topo.SegPrefix) []Egress {
	i, ok := slices.BinarySearchFunc(e.prefixes, p, func(c PrefixChoice, p topo.SegPrefix) int { return comparePrefixes(c.SegPrefix, p) })
	if !ok {
		return nil
	}
	all := slices.Clone(e.egresses(&e.prefixes[i]))
	slices.SortFunc(all, func(a, b Egress) int {
		switch {
		case a.better(b, e.self):
			return -1
		case b.better(a, e.self):
			return 1
		}
		return 0
	})
	return all
}

// Egresses lists the routers that announce p, best first.
func (r *Result) Egresses(p topo.SegPrefix) []Egress { return r.engine.Egresses(p) }
