package route

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/linkstate"
	"github.com/galleon-net/galleon/fabric/topo"
	"pgregory.net/rapid"
)

// TestSameForAnyOrder: the order in which records arrived does not matter.
func TestSameForAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawNetwork(t)
		in.Self = 1
		a := Compute(in)
		in.Links = rapid.Permutation(in.Links).Draw(t, "order")
		if b := Compute(in); !reflect.DeepEqual(a.Hops, b.Hops) {
			t.Fatalf("\n%v\n%v", a.Hops, b.Hops)
		}
	})
}

func TestExplainNamesEveryNeighbour(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawNetwork(t)
		in.Self = 1
		r := Compute(in)
		neighbours := map[topo.RouterID]bool{}
		for _, l := range in.Links {
			if l.From == 1 {
				neighbours[l.To] = true
			}
		}
		want := len(neighbours)
		for _, to := range r.engine.graph.ids[1:] {
			ex := r.Explain(to)
			if len(ex.Alternatives) != want {
				t.Fatalf("to %s: %d alternatives of %d neighbours", to, len(ex.Alternatives), want)
			}
			var cost uint64
			for _, s := range ex.Steps {
				cost += s.Cost
			}
			best := slices.ContainsFunc(ex.Alternatives, func(a Alternative) bool { return a.Verdict == Best && a.Cost == ex.Hop.Cost })
			if ex.Reachable && (cost != ex.Hop.Cost || !best) {
				t.Fatalf("to %s: steps cost %d, the way %d: %+v", to, cost, ex.Hop.Cost, ex)
			}
		}
	})
}

func TestFromRecords(t *testing.T) {
	p := topo.SegPrefix{Segment: 3}
	in := FromRecords(1, []linkstate.Record{
		{Origin: 1, Links: []linkstate.Link{{To: 2, RTT: time.Second, LossPPM: 5, RateMbps: 6, MTU: 7, Up: true, RTT95: time.Minute, Price: 8}}},
		{Origin: 2, Draining: true, Prefixes: []linkstate.Announcement{{SegPrefix: p, Metric: 8}}},
	})
	want := Input{Self: 1, Draining: map[topo.RouterID]bool{2: true},
		Links:         []Link{{From: 1, To: 2, RTT: time.Second, LossPPM: 5, RateMbps: 6, MTU: 7, Up: true, RTT95: time.Minute, Price: 8}},
		Announcements: []Announcement{{2, p, 8}}}
	if !reflect.DeepEqual(in, want) {
		t.Fatalf("\n got %+v\nwant %+v", in, want)
	}
}
