package route

import (
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"pgregory.net/rapid"
)

// drawNetwork makes a network of a few routers with links of any cost, some of them down at one end, and
// risks that links share.
func drawNetwork(t *rapid.T) Input {
	n := rapid.IntRange(2, 9).Draw(t, "routers")
	in := Input{Draining: map[topo.RouterID]bool{}, FabricMTU: 1400}
	density := rapid.IntRange(20, 100).Draw(t, "density")
	risks := map[topo.Pair][]string{}
	sites := map[topo.RouterID]Site{}
	for a := 1; a <= n; a++ {
		sites[topo.RouterID(a)] = Site{Region: topo.Region(rapid.SampledFrom([]string{"eu-north", "eu-south", "ap", "us"}).Draw(t, "region"))}
		if rapid.IntRange(0, 9).Draw(t, "drain") == 0 {
			in.Draining[topo.RouterID(a)] = true
		}
		for b := a + 1; b <= n; b++ {
			if rapid.IntRange(0, 99).Draw(t, "link") >= density {
				continue
			}
			if r := rapid.SampledFrom([]string{"", "", "", "cable", "station"}).Draw(t, "risk"); r != "" {
				risks[topo.PairOf(topo.RouterID(a), topo.RouterID(b))] = []string{r}
			}
			for _, d := range [][2]int{{a, b}, {b, a}} {
				in.Links = append(in.Links, drawLink(t, topo.RouterID(d[0]), topo.RouterID(d[1])))
			}
		}
	}
	var err error
	in.Intent, err = NewIntent(sites, risks, []Rule{{Name: "home", Between: [2]topo.Region{"ap", "us"}, Never: []topo.Region{"eu"}}})
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func drawLink(t *rapid.T, from, to topo.RouterID) Link {
	return Link{
		From: from, To: to,
		RTT:      time.Duration(rapid.IntRange(0, 20).Draw(t, "rtt")) * 10 * time.Millisecond,
		LossPPM:  uint32(rapid.SampledFrom([]int{0, 0, 0, 10_000, 100_000}).Draw(t, "loss")),
		MTU:      rapid.SampledFrom([]int{0, 1400, 1400, 1280}).Draw(t, "mtu"),
		RateMbps: uint32(rapid.SampledFrom([]int{0, 100, 1000}).Draw(t, "rate")),
		Up:       rapid.IntRange(0, 9).Draw(t, "up") > 0,
	}
}

// slow is the computation written down plainly: matrices, Floyd and Warshall's algorithm, the inequalities as
// they stand in the package comment.
type slow struct {
	ids   []topo.RouterID
	cost  map[topo.RouterID]map[topo.RouterID]uint64
	dist  map[topo.RouterID]map[topo.RouterID]uint64
	avoid map[topo.RouterID]bool
	risks map[topo.Pair][]string
}

func newSlow(in Input, avoid topo.Avoid) *slow {
	s := &slow{cost: map[topo.RouterID]map[topo.RouterID]uint64{}, dist: map[topo.RouterID]map[topo.RouterID]uint64{}, avoid: map[topo.RouterID]bool{}, risks: in.Intent.risks}
	word := map[[2]topo.RouterID]Link{}
	for _, l := range in.Links {
		word[[2]topo.RouterID{l.From, l.To}] = l
		for _, r := range []topo.RouterID{l.From, l.To} {
			if s.cost[r] == nil {
				s.ids = append(s.ids, r)
				s.cost[r], s.dist[r] = map[topo.RouterID]uint64{}, map[topo.RouterID]uint64{}
				s.avoid[r] = in.Intent.Forbids(avoid, in.Intent.Site(r).Region)
			}
		}
	}
	for d, l := range word {
		back, ok := word[[2]topo.RouterID{d[1], d[0]}]
		if !ok || !l.Up || !back.Up {
			continue
		}
		l.RTT = max(l.RTT, back.RTT)
		if back.MTU > 0 && (l.MTU == 0 || back.MTU < l.MTU) {
			l.MTU = back.MTU
		}
		c := CostFor(topo.ClassInteractive)(l)
		if in.Draining[l.From] {
			c += drainCost
		}
		if l.MTU > 0 && l.MTU < in.FabricMTU {
			c += shortMTUCost
		}
		s.cost[l.From][l.To] = c
	}
	for _, a := range s.ids {
		for _, b := range s.ids {
			s.dist[a][b] = far
			if c, ok := s.cost[a][b]; ok {
				s.dist[a][b] = c
			}
		}
		s.dist[a][a] = 0
	}
	for _, k := range s.ids {
		for _, a := range s.ids {
			for _, b := range s.ids {
				if k != a && k != b && !s.avoid[k] {
					s.dist[a][b] = min(s.dist[a][b], s.dist[a][k]+s.dist[k][b])
				}
			}
		}
	}
	return s
}

// onWays says whether a link lies on any shortest way from a to b.
func (s *slow) onWays(u, w, a, b topo.RouterID) bool {
	c, ok := s.cost[u][w]
	return ok && (u == a || !s.avoid[u]) && (w == b || !s.avoid[w]) && s.dist[a][u]+c+s.dist[w][b] == s.dist[a][b] && s.dist[a][b] < far
}

// sharing says whether the way over first and then any shortest one on to v has a risk of the link a-e.
func (s *slow) sharing(a, first, v, e topo.RouterID) bool {
	for _, r := range s.risks[topo.PairOf(a, e)] {
		has := func(u, w topo.RouterID) bool {
			for _, q := range s.risks[topo.PairOf(u, w)] {
				if q == r {
					return true
				}
			}
			return false
		}
		if has(a, first) {
			return true
		}
		for _, u := range s.ids {
			for _, w := range s.ids {
				if s.onWays(u, w, first, v) && has(u, w) {
					return true
				}
			}
		}
	}
	return false
}

// backup is the best loop-free neighbour of a toward v round the next hop e: its cost, and whether it shares
// a risk and avoids e; far is none.
func (s *slow) backup(a, v, e topo.RouterID) (n topo.RouterID, cost uint64, shares, avoids bool) {
	cost = far
	for _, x := range s.ids {
		c, ok := s.cost[a][x]
		if !ok || x == e || s.dist[x][v] >= far || s.avoid[x] && x != v || s.dist[x][v] >= s.dist[x][a]+s.dist[a][v] {
			continue
		}
		xShares := s.sharing(a, x, v, e)
		xAvoids := e == v || s.dist[x][v] < s.dist[x][e]+s.dist[e][v]
		xCost := c + s.dist[x][v]
		switch {
		case n == 0, xShares != shares && shares, xShares == shares && xAvoids && !avoids,
			xShares == shares && xAvoids == avoids && (xCost < cost || xCost == cost && x < n):
			n, cost, shares, avoids = x, xCost, xShares, xAvoids
		}
	}
	return n, cost, shares, avoids
}

// TestAgainstTwin: ways and backups are those that the plain computation finds, in the plane without rule and
// in one that keeps out of Europe.
func TestAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawNetwork(t)
		in.Self = topo.RouterID(rapid.IntRange(1, 9).Draw(t, "self"))
		e := Compute(in).engine
		for _, a := range in.Intent.Avoids() {
			plane := topo.Plane{Class: topo.ClassInteractive, Avoid: a}
			d := newSlow(in, a)
			for _, v := range d.ids {
				h, ok := e.Hop(plane, v)
				if v == in.Self || d.cost[in.Self] == nil || d.dist[in.Self][v] >= far {
					if ok {
						t.Fatalf("%s: %s has a way, the twin has none", plane, v)
					}
					continue
				}
				if !ok && in.Intent == nil || ok && h.Cost+e.toll() != d.dist[in.Self][v] {
					t.Fatalf("%s: %s costs %d, for the twin %d", plane, v, h.Cost+e.toll(), d.dist[in.Self][v])
				}
				if !ok {
					t.Fatalf("%s: no way to %s, the twin has one", plane, v)
				}
				if d.cost[in.Self][h.Next]+d.dist[h.Next][v] != d.dist[in.Self][v] {
					t.Fatalf("%s: %s over %s is not shortest", plane, v, h.Next)
				}
				n, cost, shares, avoids := d.backup(in.Self, v, h.Next)
				if h.Guard.Turn && n == 0 {
					continue // the walking test is about these
				}
				if h.Backup != n || n != 0 && (h.BackupCost+e.toll() != cost || h.Guard != Guard{Node: avoids, SharesRisk: shares}) {
					t.Fatalf("%s: to %s: backup %s at %d %+v, the twin has %s at %d, avoids %v, shares %v",
						plane, v, h.Backup, h.BackupCost, h.Guard, n, cost, avoids, shares)
				}
				for _, s := range h.Shares {
					if d.cost[in.Self][s.Next]+d.dist[s.Next][v] != d.dist[in.Self][v] {
						t.Fatalf("%s: share %s of %s is not as good", plane, s.Next, v)
					}
				}
			}
		}
	})
}
