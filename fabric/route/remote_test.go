package route

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"pgregory.net/rapid"
)

// TestTunnelsArrive: a packet that would be wrapped for the router that Remote names gets there and from there
// to where it is addressed, by tables that know of no failure.
func TestTunnelsArrive(t *testing.T) {
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		in := drawNetwork(t)
		in.Draining = map[topo.RouterID]bool{}
		plane := topo.Plane{Class: topo.ClassInteractive, Avoid: rapid.SampledFrom(in.Intent.Avoids()).Draw(t, "avoid")}
		all := tablesOf(in, plane)
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "flow") }
		for s := range all {
			in.Self = s
			e := Compute(in).engine
			for to, h := range all[s] {
				tunnel, ok := e.Remote(plane, to)
				if !ok {
					continue
				}
				found++
				dead := func(a, b topo.RouterID) bool {
					if tunnel.Node && h.Next != to {
						return a == h.Next || b == h.Next
					}
					return topo.PairOf(a, b) == topo.PairOf(s, h.Next)
				}
				for _, leg := range [][2]topo.RouterID{{tunnel.Next, tunnel.Through}, {tunnel.Through, to}} {
					if p := all.walk(leg[0], leg[1], dead, pick); leg[0] != leg[1] && len(p) <= MaxHops && p[len(p)-1] != leg[1] {
						t.Fatalf("%s to %s by %+v: %v", s, to, tunnel, p)
					}
				}
			}
		}
	})
	if found == 0 {
		t.Error("no tunnel was ever found")
	}
}

// ring is n routers in a circle.
func ring(n int) Input {
	in := Input{Self: 1, Draining: map[topo.RouterID]bool{}}
	for a := range n {
		in.Links = append(in.Links, both(a+1, (a+1)%n+1, 20*time.Millisecond)...)
	}
	return in
}

// ladder is two rings, one in the other, joined at every router.
func ladder(n int) Input {
	in := ring(n)
	for a := range n {
		in.Links = append(in.Links, both(n+a+1, n+(a+1)%n+1, 21*time.Millisecond)...)
		in.Links = append(in.Links, both(a+1, n+a+1, 5*time.Millisecond)...)
	}
	return in
}

// random is n routers in a tree with n more links, of random lengths.
func random(n int) Input {
	in := Input{Self: 1, Draining: map[topo.RouterID]bool{}}
	rnd := rand.New(rand.NewPCG(3, uint64(n)))
	linked := map[topo.Pair]bool{}
	link := func(a, b int) {
		if p := topo.PairOf(topo.RouterID(a), topo.RouterID(b)); a != b && !linked[p] {
			linked[p] = true
			in.Links = append(in.Links, both(a, b, time.Duration(5+rnd.IntN(100))*time.Millisecond)...)
		}
	}
	for a := 2; a <= n; a++ {
		link(a, 1+rnd.IntN(a-1))
	}
	for range n {
		link(1+rnd.IntN(n), 1+rnd.IntN(n))
	}
	return in
}

func both(a, b int, rtt time.Duration) []Link {
	l := Link{From: topo.RouterID(a), To: topo.RouterID(b), RTT: rtt, Up: true}
	back := l
	back.From, back.To = l.To, l.From
	return []Link{l, back}
}

// TestCoverage counts for which pairs of a router and a destination each kind of backup exists, in networks
// of several shapes, walks every one of the first two kinds, and holds the figures to what the design page says
// of them.
func TestCoverage(t *testing.T) {
	for _, c := range []struct {
		name          string
		in            Input
		free, turning int // least percentage guarded by loop-free neighbours, and with turns
	}{
		{"mesh of 32", mesh(32), 100, 100},
		{"continent of 100", continent(100, 0), 100, 100},
		{"ring of 5", ring(5), 50, 100},
		{"ring of 8", ring(8), 14, 14}, // here only tunnels would help
		{"ladder of 2 x 5", ladder(5), 80, 100},
		{"random, 30 routers and 60 links", random(30), 80, 95},
	} {
		plane := topo.Plane{Class: topo.ClassInteractive}
		all := tablesOf(c.in, plane)
		pairs, free, turns, node, tunnels := 0, 0, 0, 0, 0
		for s := range all {
			in := c.in
			in.Self = s
			e := Compute(in).engine
			for to, h := range all[s] {
				pairs++
				switch {
				case h.Backup == 0:
					if _, ok := e.Remote(plane, to); ok {
						tunnels++
					}
					continue
				case h.Guard.Turn:
					turns++
				default:
					free++
				}
				if h.Guard.Node {
					node++
				}
				dead := func(a, b topo.RouterID) bool { return topo.PairOf(a, b) == topo.PairOf(s, h.Next) }
				if h.Guard.Node && h.Next != to {
					dead = func(a, b topo.RouterID) bool { return a == h.Next || b == h.Next }
				}
				if p := all.walk(s, to, dead, func(int) int { return 0 }); p[len(p)-1] != to || len(unseen(p)) != len(p) {
					t.Fatalf("%s: %s to %s: %v, claimed %+v by %v", c.name, s, to, p, h.Guard, h.BackupPath)
				}
			}
		}
		part := func(n int) string { return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(pairs)) }
		t.Logf("%-32s %6d pairs: loop-free %s, turn %s, tunnel only %s, none %s; survive the next hop's death %s",
			c.name, pairs, part(free), part(turns), part(tunnels), part(pairs-free-turns-tunnels), part(node))
		if 100*free < c.free*pairs || 100*(free+turns) < c.turning*pairs {
			t.Errorf("%s: %s guarded by loop-free neighbours, %s with turns; want %d and %d", c.name, part(free), part(free+turns), c.free, c.turning)
		}
	}
}
