package route

import (
	"slices"
	"time"

	"github.com/galleon-net/galleon/fabric/linkstate"
	"github.com/galleon-net/galleon/fabric/topo"
)

// Engine computes one router's routes again and again, in all planes, and keeps what a change does not touch:
// words that are the same as before cost a comparison of their version, trees that no changed link was part of
// stay, choices of egresses remember how long another has been better. Its results are those of Compute,
// apart from that memory. It holds the memory that it computes in; nothing grows with the number of updates.
// It is used by one goroutine.
type Engine struct {
	self    topo.RouterID
	node    int32 // self's number in the graph
	classes []topo.Class
	custom  Cost // for the base plane, when not nil

	graph    graph
	draining []bool // by node
	mtu      int
	intent   *Intent
	hazards  hazards
	planes   [topo.Planes]*plane
	steps    []step // of the update that goes on
	spare    []Link // memory for the next word

	seen     map[topo.RouterID]*seen
	grants   uint64
	offers   []Announcement // granted; ascending by prefix, then router
	avoids   []topo.Avoid   // by offer: what packets to it must not pass through
	prefixes []PrefixChoice
	gather   []Egress  // memory for choosing
	when     time.Time // of the next change that comes by itself
	log      map[logKey][]Switch
}

// seen is what was taken from one router's record.
type seen struct {
	version  linkstate.Version
	prefixes []linkstate.Announcement
	here     bool // in the records of this update
}

// PrefixChoice is a prefix that somebody announces, and where packets to it go.
type PrefixChoice struct {
	topo.SegPrefix
	Choice
	from, to int32 // in offers
}

// Facts are what an update is computed from.
type Facts struct {
	Now       time.Time
	Records   []linkstate.Record // ascending by origin; a record of a known version is taken to be unchanged
	FabricMTU int                // bytes of a datagram that the data path wants to send; 0 asks for nothing
	Intent    *Intent            // nil asks for nothing; what changes is a new one

	// Granted says whether a router may announce a prefix; nil is always. Grants is changed by the caller
	// when it may answer differently than before.
	Granted func(Announcement) bool
	Grants  uint64
}

// Updated says what an update did.
type Updated struct {
	Ways     bool      // next hops, backups or costs may have changed in some plane
	Prefixes bool      // the set of prefixes or the choice for one changed
	Again    time.Time // when to update again though no news came; zero is never
}

// NewEngine makes an engine for a router, for the classes given; egresses are chosen by what the first costs,
// for all classes, since replies and firewalls at a site want one.
func NewEngine(self topo.RouterID, classes ...topo.Class) *Engine {
	if len(classes) == 0 {
		classes = []topo.Class{topo.ClassInteractive}
	}
	return newEngine(self, classes, nil)
}

func newEngine(self topo.RouterID, classes []topo.Class, custom Cost) *Engine {
	return &Engine{self: self, classes: classes, custom: custom, seen: map[topo.RouterID]*seen{}, log: map[logKey][]Switch{}}
}

// base is the plane that egresses are chosen in where nothing is to be avoided.
func (e *Engine) base() *plane { return e.plane(0) }

// plane is the plane of the first class that avoids a set.
func (e *Engine) plane(a topo.Avoid) *plane {
	return e.planes[topo.Plane{Class: e.classes[0], Avoid: a}.Index()]
}

// Update computes everything from what is so now.
func (e *Engine) Update(f Facts) Updated {
	news := false // of announcements
	whole := e.planes == [topo.Planes]*plane{} || f.Intent != e.intent || f.FabricMTU != e.mtu
	for _, s := range e.seen {
		s.here = false
	}
	for i := range f.Records {
		s := e.seen[f.Records[i].Origin]
		if s == nil {
			s, whole = &seen{}, true
			e.seen[f.Records[i].Origin] = s
		}
		s.here = true
	}
	if whole || f.Grants != e.grants {
		news = true
	}
	e.mtu, e.grants = f.FabricMTU, f.Grants
	e.steps = e.steps[:0]
	if whole {
		e.whole(f)
	} else {
		news = e.part(f) || news
	}
	up := e.compute(f.Now)
	if news {
		e.announced(f)
	}
	if up.Ways || news || !e.when.IsZero() && !f.Now.Before(e.when) {
		up.Prefixes = e.choose(f.Now) || news
	}
	up.Again = e.when
	return up
}

// whole begins anew with all records.
func (e *Engine) whole(f Facts) {
	known := map[topo.RouterID]bool{e.self: true}
	ids := []topo.RouterID{e.self}
	for i := range f.Records {
		if o := f.Records[i].Origin; !known[o] {
			known[o] = true
			ids = append(ids, o)
		}
	}
	slices.Sort(ids)
	said, draining := make([][]Link, len(ids)), make([]bool, len(ids))
	for id, s := range e.seen {
		if !s.here {
			delete(e.seen, id)
		}
	}
	for i := range f.Records {
		r := &f.Records[i]
		u, _ := slices.BinarySearch(ids, r.Origin)
		said[u], draining[u] = appendLinks(nil, r), r.Draining
		*e.seen[r.Origin] = seen{r.Version(), r.Prefixes, true}
	}
	e.reset(f.Intent, ids, said, draining)
}

// reset makes graph and planes.
func (e *Engine) reset(intent *Intent, ids []topo.RouterID, said [][]Link, draining []bool) {
	if !slices.Equal(ids, e.graph.ids) {
		for _, p := range e.planes {
			if p != nil && p.own != nil {
				p.own.spots = p.own.spots[:0] // of other numbers: nothing to compare with
			}
		}
	}
	e.intent, e.hazards, e.draining = intent, newHazards(intent, e.self), draining
	e.graph.reset(ids, said, e.hazards.of)
	e.node, _ = e.graph.node(e.self)
	var want [topo.Planes]bool
	for _, a := range intent.Avoids() {
		var avoid []bool
		if a != 0 {
			avoid = make([]bool, len(ids))
			for u, id := range ids {
				avoid[u] = intent.Forbids(a, intent.Site(id).Region)
			}
		}
		for i, c := range e.classes {
			id := topo.Plane{Class: c, Avoid: a}
			want[id.Index()] = true
			p := e.planes[id.Index()]
			if p == nil {
				p = &plane{id: id, cost: CostFor(c)}
				if e.custom != nil && i == 0 {
					p.cost = e.custom
				}
				e.planes[id.Index()] = p
			}
			p.avoid, p.risky = avoid, len(e.hazards.bit) > 0
			p.reset(&e.graph, draining, e.mtu)
		}
	}
	for i := range e.planes {
		if !want[i] {
			e.planes[i] = nil
		}
	}
}

// part takes what is different in the records, and says whether announcements are.
func (e *Engine) part(f Facts) (news bool) {
	for i := range f.Records {
		r := &f.Records[i]
		s := e.seen[r.Origin]
		if s.version == r.Version() {
			continue
		}
		news = e.restate(r) || news
	}
	for id, s := range e.seen {
		if !s.here && s.version.Origin != 0 {
			news = e.restate(&linkstate.Record{Origin: id}) || news
			s.version = linkstate.Version{} // silent: its number stays, for when it comes back
		}
	}
	return news
}

// restate takes one router's word.
func (e *Engine) restate(r *linkstate.Record) (news bool) {
	s := e.seen[r.Origin]
	news = !slices.Equal(s.prefixes, r.Prefixes)
	s.version, s.prefixes = r.Version(), r.Prefixes
	u, _ := e.graph.node(r.Origin)
	from := len(e.steps)
	old := e.graph.said[u]
	e.steps = e.graph.restate(u, appendLinks(e.spare[:0], r), e.hazards.of, e.steps)
	e.spare = old
	if e.draining[u] != r.Draining {
		// What it costs to pass through it changes for all its links; each step says so once more, at least.
		e.draining[u] = r.Draining
		news = true
		for i := range e.graph.links[u] {
			l := &e.graph.links[u][i]
			e.steps = append(e.steps, step{from: u, to: l.to, at: i, was: l.Link, is: l.Link, had: true, has: true})
		}
	}
	for _, p := range e.planes {
		if p != nil {
			p.apply(e.steps[from:], e.draining, e.mtu)
		}
	}
	return news
}

// appendLinks reads a record's links; those to itself are nothing.
func appendLinks(b []Link, r *linkstate.Record) []Link {
	b = slices.Grow(b, len(r.Links))
	for i := range r.Links {
		l := &r.Links[i]
		b = append(b, Link{r.Origin, l.To, l.RTT, l.LossPPM, l.RateMbps, l.MTU, l.Up, l.RTT95, l.Price})
	}
	return b
}

// compute brings the ways of all planes up to date.
func (e *Engine) compute(now time.Time) (up Updated) {
	for _, p := range e.planes {
		if p != nil && p.update(&e.graph, e.node) {
			up.Ways = true
			if !now.IsZero() {
				e.note(now, p)
			}
		}
	}
	return up
}
