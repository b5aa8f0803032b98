package route

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// continent is a network as operators build them: regions on a globe, up to eight routers in each, meshed
// inside, and every router with links to routers of other regions, near ones first choice, so that each has
// between 8 and 17 neighbours. The links of the regions form a ring besides, so that nothing falls apart when
// a router dies. Prefixes are shared out evenly; the same arguments give the same network.
func continent(routers, prefixes int) Input {
	const inRegion = 8
	rnd := rand.New(rand.NewPCG(7, uint64(routers)))
	regions := (routers + inRegion - 1) / inRegion
	type place struct{ x, y float64 } // on a map of 20,000 by 10,000 km
	at := make([]place, regions)
	for i := range at {
		at[i] = place{rnd.Float64() * 20_000, rnd.Float64() * 10_000}
	}
	in := Input{Self: 1, FabricMTU: 1400, Draining: map[topo.RouterID]bool{}}
	degree := make([]int, routers)
	linked := map[topo.Pair]bool{}
	link := func(a, b int) {
		p := topo.PairOf(topo.RouterID(a+1), topo.RouterID(b+1))
		if a == b || linked[p] {
			return
		}
		linked[p] = true
		degree[a]++
		degree[b]++
		d := math.Hypot(at[a/inRegion].x-at[b/inRegion].x, at[a/inRegion].y-at[b/inRegion].y)
		rtt := time.Duration(300+rnd.IntN(700))*time.Microsecond + time.Duration(d*1.4/100*1000)*time.Microsecond // 100 km a millisecond, there and back
		for _, l := range []Link{{From: p.A, To: p.B}, {From: p.B, To: p.A}} {
			l.RTT, l.MTU, l.RateMbps, l.Up = rtt, 1400, 1000, true
			in.Links = append(in.Links, l)
		}
	}
	for a := range routers {
		for b := a + 1; b < routers && b/inRegion == a/inRegion; b++ {
			link(a, b)
		}
	}
	for r := range regions {
		link(r*inRegion, (r+1)%regions*inRegion)
	}
	for a := range routers {
		for tries := 0; degree[a] < 8+a%7 && tries < 400; tries++ {
			b, c := rnd.IntN(routers), rnd.IntN(routers)
			if near(at[a/inRegion], at[c/inRegion]) < near(at[a/inRegion], at[b/inRegion]) {
				b = c
			}
			if degree[b] < 17 {
				link(a, b)
			}
		}
	}
	for i := range prefixes {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
		in.Announcements = append(in.Announcements, Announcement{topo.RouterID(i%routers + 1), topo.SegPrefix{Prefix: p}, 0})
	}
	return in
}

func near(a, b struct{ x, y float64 }) float64 { return math.Hypot(a.x-b.x, a.y-b.y) }

// shape tells of a network what a benchmark's reader wants to know.
func shape(in Input) string {
	degree := map[topo.RouterID]int{}
	for _, l := range in.Links {
		degree[l.From]++
	}
	lo, hi := len(degree), 0
	for _, d := range degree {
		lo, hi = min(lo, d), max(hi, d)
	}
	return fmt.Sprintf("%d routers, %d links, degree %d to %d, %d prefixes", len(degree), len(in.Links)/2, lo, hi, len(in.Announcements))
}
