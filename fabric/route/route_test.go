package route

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/linkstate"
	"github.com/galleon-net/galleon/fabric/topo"
	"pgregory.net/rapid"
)

// drawNetwork makes a network of a few routers with links of any cost, some of them down at one end.
func drawNetwork(t *rapid.T) Input {
	n := rapid.IntRange(2, 9).Draw(t, "routers")
	in := Input{Draining: map[topo.RouterID]bool{}, FabricMTU: 1400}
	density := rapid.IntRange(20, 100).Draw(t, "density")
	for a := 1; a <= n; a++ {
		if rapid.IntRange(0, 9).Draw(t, "drain") == 0 {
			in.Draining[topo.RouterID(a)] = true
		}
		for b := a + 1; b <= n; b++ {
			if rapid.IntRange(0, 99).Draw(t, "link") >= density {
				continue
			}
			for _, d := range [][2]int{{a, b}, {b, a}} {
				in.Links = append(in.Links, Link{
					From: topo.RouterID(d[0]), To: topo.RouterID(d[1]),
					RTT:     time.Duration(rapid.IntRange(0, 20).Draw(t, "rtt")) * 10 * time.Millisecond,
					LossPPM: uint32(rapid.SampledFrom([]int{0, 0, 0, 10_000, 100_000}).Draw(t, "loss")),
					MTU:     rapid.SampledFrom([]int{0, 1400, 1400, 1280}).Draw(t, "mtu"),
					Up:      rapid.IntRange(0, 9).Draw(t, "up") > 0,
				})
			}
		}
	}
	return in
}

// twin is Floyd and Warshall's algorithm over the edges of the graph.
func twin(g *graph) [][]uint64 {
	n := len(g.ids)
	d := make([][]uint64, n)
	for i := range d {
		d[i] = make([]uint64, n)
		for j := range d[i] {
			if i != j {
				d[i][j] = far
			}
		}
		for _, e := range g.edges[i] {
			d[i][e.to] = e.cost
		}
	}
	for k := range n {
		for i := range n {
			for j := range n {
				d[i][j] = min(d[i][j], d[i][k]+d[k][j])
			}
		}
	}
	return d
}

// TestAgainstTwin: costs are those of Floyd and Warshall; backups are the ones that the inequalities pick
// when they are written down plainly.
func TestAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawNetwork(t)
		in.Self = topo.RouterID(rapid.IntRange(1, 9).Draw(t, "self"))
		r := Compute(in)
		g := newGraph(in)
		d := twin(g)
		s := g.index[in.Self]
		for v, id := range g.ids {
			h, ok := r.Hops[id]
			if v == s || d[s][v] >= far {
				if ok {
					t.Fatalf("%s has a way, the twin has none", id)
				}
				continue
			}
			if !ok || h.Cost+r.toll != d[s][v] {
				t.Fatalf("%s: cost %d, the twin has %d", id, h.Cost, d[s][v]-r.toll)
			}
			e := g.index[h.Next]
			bestAvoids, best := false, uint64(far)
			for _, n := range g.edges[s] {
				if n.to == e || d[n.to][v] >= far || d[n.to][v] >= d[n.to][s]+d[s][v] {
					continue
				}
				avoids := e == v || d[n.to][v] < d[n.to][e]+d[e][v]
				if cost := n.cost + d[n.to][v]; avoids && !bestAvoids || avoids == bestAvoids && cost < best {
					bestAvoids, best = avoids, cost
				}
			}
			if (h.Backup == 0) != (best == far) || h.Backup != 0 && h.BackupCost+r.toll != best {
				t.Fatalf("%s: backup %s at %d, the twin has %d", id, h.Backup, h.BackupCost, best)
			}
		}
	})
}

// TestPacketsArrive forwards a packet between every two routers by each router's own routes, first in peace,
// then with one link down that only its ends know of: they use their backups, the others know nothing.
func TestPacketsArrive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawNetwork(t)
		all := map[topo.RouterID]*Result{}
		for _, l := range in.Links {
			if all[l.From] == nil {
				one := in
				one.Self = l.From
				all[l.From] = Compute(one)
			}
		}
		for _, from := range all {
			for to, h := range from.Hops {
				if at, path := forward(all, from.Self, to, topo.Pair{}); at != to {
					t.Fatalf("from %s to %s: stuck, path %v, meant %v", from.Self, to, path, h.Path)
				}
				if h.Backup == 0 {
					continue
				}
				cut := topo.PairOf(from.Self, h.Next)
				if at, path := forward(all, from.Self, to, cut); at != to {
					t.Fatalf("from %s to %s with %v cut: %v, backup %v", from.Self, to, cut, path, h.BackupPath)
				}
			}
		}
	})
}

// forward hands a packet on until it arrives, returns to where it started, or dies of its hop limit.
func forward(all map[topo.RouterID]*Result, from, to topo.RouterID, cut topo.Pair) (topo.RouterID, []topo.RouterID) {
	path := []topo.RouterID{from}
	at := from
	for range MaxHops {
		h := all[at].Hops[to]
		next := h.Next
		if topo.PairOf(at, next) == cut {
			next = h.Backup
		}
		path = append(path, next)
		if at = next; at == to || at == 0 || at == from {
			break
		}
	}
	return at, path
}

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
		want := 0
		for pair := range r.graph.reports {
			if pair.A == 1 {
				want++
			}
		}
		for _, to := range r.graph.ids[1:] {
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
		{Origin: 1, Links: []linkstate.Link{{To: 2, RTT: time.Second, LossPPM: 5, RateMbps: 6, MTU: 7, Up: true}}},
		{Origin: 2, Draining: true, Prefixes: []linkstate.Announcement{{SegPrefix: p, Metric: 8}}},
	})
	want := Input{Self: 1, Draining: map[topo.RouterID]bool{2: true},
		Links:         []Link{{From: 1, To: 2, RTT: time.Second, LossPPM: 5, RateMbps: 6, MTU: 7, Up: true}},
		Announcements: []Announcement{{2, p, 8}}}
	if !reflect.DeepEqual(in, want) {
		t.Fatalf("\n got %+v\nwant %+v", in, want)
	}
}

// mesh is n routers, every one linked to every other, 10 prefixes each.
func mesh(n int) Input {
	in := Input{Self: 1, FabricMTU: 1400}
	for a := 1; a <= n; a++ {
		for b := 1; b <= n; b++ {
			if a != b {
				rtt := time.Duration(5+(min(a, b)*7919+max(a, b)*104729)%300) * time.Millisecond
				in.Links = append(in.Links, Link{From: topo.RouterID(a), To: topo.RouterID(b), RTT: rtt, MTU: 1400, Up: true})
			}
		}
		for p := range 10 {
			in.Announcements = append(in.Announcements, Announcement{topo.RouterID(a), topo.SegPrefix{Segment: topo.SegmentID(p)}, 0})
		}
	}
	return in
}

func BenchmarkCompute(b *testing.B) {
	for _, n := range []int{10, 32, 100} {
		in := mesh(n)
		b.Run(fmt.Sprintf("mesh-%d", n), func(b *testing.B) {
			for b.Loop() {
				Compute(in)
			}
		})
	}
}
