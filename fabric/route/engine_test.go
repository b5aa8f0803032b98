package route

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/linkstate"
	"github.com/galleon-net/galleon/fabric/topo"
	"pgregory.net/rapid"
)

// world is what an engine's records are made from.
type world struct {
	in  Input
	seq map[topo.RouterID]uint64
}

// records are the routers' words, ascending.
func (w *world) records() []linkstate.Record {
	by := map[topo.RouterID]*linkstate.Record{}
	get := func(id topo.RouterID) *linkstate.Record {
		if by[id] == nil {
			by[id] = &linkstate.Record{Origin: id, Incarnation: 1, Seq: w.seq[id] + 1, Draining: w.in.Draining[id]}
		}
		return by[id]
	}
	for _, l := range w.in.Links {
		r := get(l.From)
		r.Links = append(r.Links, linkstate.Link{To: l.To, RTT: l.RTT, LossPPM: l.LossPPM, RateMbps: l.RateMbps, MTU: l.MTU, Up: l.Up, RTT95: l.RTT95, Price: l.Price})
	}
	for _, a := range w.in.Announcements {
		r := get(a.Router)
		r.Prefixes = append(r.Prefixes, linkstate.Announcement{SegPrefix: a.Prefix, Metric: a.Metric})
	}
	var out []linkstate.Record
	for _, r := range by {
		slices.SortFunc(r.Links, func(a, b linkstate.Link) int { return int(int64(a.To) - int64(b.To)) })
		out = append(out, *r)
	}
	slices.SortFunc(out, func(a, b linkstate.Record) int { return int(int64(a.Origin) - int64(b.Origin)) })
	return out
}

// step changes one thing.
func (w *world) step(t *rapid.T) {
	n := topo.RouterID(rapid.IntRange(1, 9).Draw(t, "who"))
	w.seq[n]++
	switch rapid.IntRange(0, 5).Draw(t, "what") {
	case 0: // drains, or stops to
		w.in.Draining[n] = !w.in.Draining[n]
	case 1: // goes silent, or is there again
		if ls := slices.DeleteFunc(slices.Clone(w.in.Links), func(l Link) bool { return l.From == n }); len(ls) < len(w.in.Links) {
			w.in.Links = ls
			w.in.Announcements = slices.DeleteFunc(slices.Clone(w.in.Announcements), func(a Announcement) bool { return a.Router == n })
			break
		}
		fallthrough
	case 2: // another link, or the same in another state
		to := topo.RouterID(rapid.IntRange(1, 9).Draw(t, "to"))
		if to == n {
			break
		}
		w.in.Links = slices.DeleteFunc(slices.Clone(w.in.Links), func(l Link) bool { return l.From == n && l.To == to })
		w.in.Links = append(w.in.Links, drawLink(t, n, to))
	case 3:
		a := Announcement{n, topo.SegPrefix{Prefix: netip.MustParsePrefix(fmt.Sprintf("10.%d.0.0/16", rapid.IntRange(1, 4).Draw(t, "prefix")))}, 0}
		if !slices.ContainsFunc(w.in.Announcements, func(b Announcement) bool { return a.Router == b.Router && a.Prefix == b.Prefix }) {
			w.in.Announcements = append(slices.Clone(w.in.Announcements), a)
		}
	default: // a figure
		if i := slices.IndexFunc(w.in.Links, func(l Link) bool { return l.From == n }); i >= 0 {
			w.in.Links = slices.Clone(w.in.Links)
			w.in.Links[i] = drawLink(t, n, w.in.Links[i].To)
		}
	}
}

// TestEngineEqualsCompute: after any changes an engine knows what Compute finds anew, in every plane.
func TestEngineEqualsCompute(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{in: drawNetwork(t), seq: map[topo.RouterID]uint64{}}
		w.in.Self = topo.RouterID(rapid.IntRange(1, 9).Draw(t, "self"))
		e := NewEngine(w.in.Self, topo.ClassInteractive, topo.ClassControl, topo.ClassBulk)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			e.Update(Facts{Records: w.records(), FabricMTU: w.in.FabricMTU, Intent: w.in.Intent})
			for _, c := range e.classes {
				in := w.in
				in.Cost = CostFor(c)
				want := Compute(in)
				for _, a := range in.Intent.Avoids() {
					plane := topo.Plane{Class: c, Avoid: a}
					hops := map[topo.RouterID]Hop{}
					for to := range e.Ways(plane) {
						hops[to], _ = e.Hop(plane, to)
					}
					anew := map[topo.RouterID]Hop{}
					for to := range want.engine.Ways(topo.Plane{Class: topo.ClassInteractive, Avoid: a}) {
						anew[to], _ = want.engine.Hop(topo.Plane{Class: topo.ClassInteractive, Avoid: a}, to)
					}
					if !reflect.DeepEqual(hops, anew) {
						t.Fatalf("%s:\n engine %+v\n  anew  %+v", plane, hops, anew)
					}
				}
				if c != topo.ClassInteractive {
					continue
				}
				got := map[topo.SegPrefix]topo.RouterID{}
				for _, p := range e.Prefixes() {
					if p.Egress != 0 {
						got[p.SegPrefix] = p.Egress
					}
				}
				// An engine may keep an egress that is nearly as good; what it offers must be the same.
				if len(got) != len(want.Prefixes) {
					t.Fatalf("prefixes %v, anew %v", got, want.Prefixes)
				}
			}
			w.step(t)
		}
	})
}

// TestNothingGrows: a thousand changes later, an engine holds what it held.
func TestNothingGrows(t *testing.T) {
	w := &world{in: continent(64, 640), seq: map[topo.RouterID]uint64{}}
	e := NewEngine(1, topo.ClassInteractive)
	change := func(i int) {
		l := &w.in.Links[i%len(w.in.Links)]
		l.RTT += time.Millisecond
		w.seq[l.From]++
	}
	facts := func() Facts { return Facts{Records: w.records(), FabricMTU: 1400} }
	for i := range 50 {
		change(i * 7)
		e.Update(facts())
	}
	records := facts()
	if n := testing.AllocsPerRun(100, func() { e.Update(records) }); n != 0 {
		t.Errorf("an update without news allocates %v times", n)
	}
	odd, even := facts(), facts()
	w.in.Links[0].RTT *= 3
	w.seq[w.in.Links[0].From]++
	odd = facts()
	flip := false
	both := func() {
		if flip = !flip; flip {
			e.Update(odd)
		} else {
			e.Update(even)
		}
	}
	both()
	both()
	if n := testing.AllocsPerRun(100, both); n > 4 {
		t.Errorf("an update with one link's news allocates %v times", n)
	}
	p := e.base()
	if len(p.trees) > len(p.via)+maxTurns || len(p.spare) > len(p.via)+maxTurns {
		t.Errorf("%d trees and %d spare ones for %d neighbours", len(p.trees), len(p.spare), len(p.via))
	}
}
