package route

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"pgregory.net/rapid"
)

// TestChooseOverTime plays a prefix with two announcers, r2 and r3, second by second.
func TestChooseOverTime(t *testing.T) {
	type event struct {
		at     int // seconds
		change func(e []Egress)
		want   topo.RouterID // from that second on
		why    Reason
	}
	cost := func(i int, c uint64) func([]Egress) { return func(e []Egress) { e[i].Cost = c } }
	for name, events := range map[string][]event{
		"a little better is not worth it": {
			{0, cost(0, 50_000), 2, LowestCost}, {5, cost(1, 47_000), 2, NotWorth},
		},
		"much better is, after a while": {
			{0, cost(0, 50_000), 2, LowestCost}, {5, cost(1, 30_000), 2, TooSoon}, {7, nil, 2, TooSoon}, {8, nil, 3, LowestCost},
		},
		"better for a moment is not": {
			{0, cost(0, 50_000), 2, LowestCost}, {5, cost(1, 30_000), 2, TooSoon}, {7, cost(1, 60_000), 2, LowestCost},
			{8, cost(1, 30_000), 2, TooSoon}, {10, nil, 2, TooSoon}, {11, nil, 3, LowestCost},
		},
		"gone is at once, and so is draining and another metric": {
			{0, cost(0, 50_000), 2, LowestCost},
			{5, func(e []Egress) { e[0].Reachable = false }, 3, OnlyOne},
			{6, func(e []Egress) { e[0].Reachable = true }, 3, TooSoon}, {9, nil, 2, LowestCost},
			{12, func(e []Egress) { e[0].Draining = true }, 3, NotDraining},
			{13, func(e []Egress) { e[0].Draining, e[1].Metric = false, 5 }, 2, LowestMetric},
		},
		"nobody, then somebody": {
			{0, func(e []Egress) { e[0].Reachable, e[1].Reachable = false, false }, 0, NobodyLeft},
			{3, func(e []Egress) { e[1].Barred = true }, 0, RuledOut},
			{4, func(e []Egress) { e[1].Reachable = true }, 3, OnlyOne},
		},
	} {
		all := []Egress{{Router: 2, Cost: 50_000, Reachable: true}, {Router: 3, Cost: 80_000, Reachable: true}}
		var c Choice
		start := time.Unix(1000, 0)
		for s, i := 0, 0; i < len(events); s++ {
			if s == events[i].at && events[i].change != nil {
				events[i].change(all)
			}
			c = Choose(c, start.Add(time.Duration(s)*time.Second), 1, 0, all)
			if s == events[i].at {
				if c.Egress != events[i].want || c.Why != events[i].why {
					t.Errorf("%s: at second %d %s (%s), want %s (%s)", name, s, c.Egress, c.Why, events[i].want, events[i].why)
				}
				i++
			}
		}
	}
}

// TestChooseHolds: what is chosen can be reached, the standby is another that can, self is always taken, and
// the same question asked again has the same answer.
func TestChooseHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Choice
		now := time.Unix(1000, 0)
		for range rapid.IntRange(1, 20).Draw(t, "rounds") {
			var all []Egress
			for r := topo.RouterID(1); r <= 5; r++ {
				if rapid.Bool().Draw(t, "announces") {
					all = append(all, Egress{
						Router: r, Metric: uint32(rapid.IntRange(0, 1).Draw(t, "metric")), Cost: uint64(rapid.IntRange(1, 20).Draw(t, "cost")) * 1000,
						Draining: rapid.Bool().Draw(t, "draining"), Reachable: r == 1 || rapid.Bool().Draw(t, "reachable"),
						Zone: topo.Zone(rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "zone")),
					})
				}
			}
			now = now.Add(time.Duration(rapid.IntRange(0, 4000).Draw(t, "ms")) * time.Millisecond)
			key := rapid.Uint64().Draw(t, "key")
			c = Choose(c, now, 1, key, all)
			can := func(r topo.RouterID) bool {
				return slices.ContainsFunc(all, func(e Egress) bool { return e.Router == r && e.Reachable })
			}
			some := slices.ContainsFunc(all, func(e Egress) bool { return e.Reachable })
			switch {
			case c.Egress == 0 && some, c.Egress != 0 && !can(c.Egress):
				t.Fatalf("chose %+v of %+v", c, all)
			case can(1) && c.Egress != 1:
				t.Fatalf("left what is announced here: %+v of %+v", c, all)
			case c.Standby != 0 && (c.Standby == c.Egress || !can(c.Standby)):
				t.Fatalf("standby %+v of %+v", c, all)
			case c.Since.After(now) || c.Better.After(now):
				t.Fatalf("%+v at %v", c, now)
			}
			if again := Choose(c, now, 1, key, all); again.Egress != c.Egress || again.Since != c.Since {
				t.Fatalf("asked again: %+v, then %+v", c, again)
			}
		}
	})
}

// TestZoneForwardsTogether: of many prefixes that two routers of a zone announce, each is the egress of about half,
// and when one dies its half moves and the other's does not.
func TestZoneForwardsTogether(t *testing.T) {
	all := []Egress{{Router: 2, Cost: 50_000, Reachable: true, Zone: "z"}, {Router: 3, Cost: 50_500, Reachable: true, Zone: "z"}}
	counts := map[topo.RouterID]int{}
	for i := range 1000 {
		k := key(topo.SegPrefix{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)})
		c := Choose(Choice{}, time.Unix(1000, 0), 1, k, all)
		counts[c.Egress]++
		dead := slices.Clone(all)
		dead[0].Reachable = false
		after := Choose(c, time.Unix(1001, 0), 1, k, dead)
		if after.Egress != 3 || c.Egress == 3 && after.Since != c.Since || c.Standby == 0 {
			t.Fatalf("%+v, and when r2 is dead %+v", c, after)
		}
	}
	if counts[2] < 400 || counts[3] < 400 {
		t.Errorf("shares %v", counts)
	}
}
