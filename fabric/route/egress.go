package route

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Egress is a router that announces a prefix, as seen from Self.
type Egress struct {
	Router    topo.RouterID
	Metric    uint32
	Cost      uint64 // of the way to it
	Draining  bool
	Reachable bool       // in the plane that packets to it must take
	Avoid     topo.Avoid // what packets to it must not pass through
	Barred    bool       // it is reachable but for what packets must not pass through
	Zone      topo.Zone
}

// better orders egresses: Self first, since what can be delivered here must never go round; then those that
// can be reached, those that do not drain, lowest metric, cost, ID.
func (e Egress) better(f Egress, self topo.RouterID) bool {
	if (e.Router == self) != (f.Router == self) {
		return e.Router == self
	}
	if e.Reachable != f.Reachable {
		return e.Reachable
	}
	if e.Draining != f.Draining {
		return f.Draining
	}
	return cmp.Or(cmp.Compare(e.Metric, f.Metric), cmp.Compare(e.Cost, f.Cost), cmp.Compare(e.Router, f.Router)) < 0
}

// Choice is the egress of a prefix, and what the next choice must know of this one.
type Choice struct {
	Egress  topo.RouterID // 0: no router that announces the prefix can be reached
	Standby topo.RouterID // the next best: for packets while there is no way to Egress; 0 is none
	Avoid   topo.Avoid    // what packets to Egress must not pass through
	Since   time.Time     // when Egress was chosen
	Rival   topo.RouterID // worth changing to, if it stays so; 0 is none
	Better  time.Time     // since when there has been a rival
	Why     Reason
}

// Reason is the rule that a choice was made by.
type Reason uint8

// The reasons.
const (
	NobodyLeft Reason = iota // no announcer can be reached
	OnlyOne                  // no other can be reached
	OurOwn                   // delivered here
	NotDraining
	LowestMetric
	LowestCost
	ByShare  // the zone's routers are as good as each other: each has its share of prefixes and ingresses
	NotWorth // another is better, by too little
	TooSoon  // another is better, not for long enough
	RuledOut // announcers can be reached, but not without passing through what packets must avoid
)

var reasonNames = [...]string{
	"no announcer can be reached", "only one can be reached", "delivered here", "the others drain", "lowest metric",
	"lowest cost", "its share of the zone's", "no other is better by enough to move", "another is better, not for long enough yet",
	"no way keeps the residency rules",
}

func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return fmt.Sprintf("reason-%d", uint8(r))
}

// MarshalText gives the readable form in JSON.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// An ingress moves to another egress when that is better by so much for so long. Established flows do not
// survive a change of the site that they end in, so a small gain is worth nothing.
const (
	worthCost = 2000 // microseconds
	worthPart = 10   // a tenth
	settle    = 3 * time.Second
)

func worth(better, than uint64) bool {
	return better < than && than-better >= max(worthCost, than/worthPart)
}

// Choose picks the egress of a prefix out of those who announce it, given the last choice. It is a pure
// function: state in, state out. What makes the last one impossible or unwanted (it cannot be reached, it
// drains, the operator prefers another) counts at once; a lower cost must be worth it, for a while. Where
// several routers of the best one's zone do equally well, key and self decide, so that all of them forward.
func Choose(last Choice, now time.Time, self topo.RouterID, key uint64, all []Egress) Choice {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b Egress) int {
		switch {
		case a.better(b, self):
			return -1
		case b.better(a, self):
			return 1
		}
		return 0
	})
	if len(all) == 0 || !all[0].Reachable {
		c := Choice{Since: now}
		if slices.ContainsFunc(all, func(e Egress) bool { return e.Barred }) {
			c.Why = RuledOut
		}
		if last.Egress == 0 && !last.Since.IsZero() {
			c.Since = last.Since
		}
		return c
	}
	best, why := all[0], LowestCost
	switch second := at(all, 1); {
	case best.Router == self:
		why = OurOwn
	case !second.Reachable:
		why = OnlyOne
	case best.Draining != second.Draining:
		why = NotDraining
	case best.Metric != second.Metric:
		why = LowestMetric
	default:
		if e := share(all, self, key); len(e.Zone) > 0 {
			best, why = e, ByShare
		}
	}
	c := Choice{Egress: best.Router, Since: now, Why: why}
	i := slices.IndexFunc(all, func(e Egress) bool { return e.Router == last.Egress })
	if i >= 0 && all[i].Reachable && best.Router != self {
		old := all[i]
		alike := old.Draining == best.Draining && old.Metric == best.Metric
		switch {
		case old.Router == best.Router:
			c.Since = last.Since
		case alike && !worth(best.Cost, old.Cost) && why != ByShare:
			c = Choice{Egress: old.Router, Since: last.Since, Why: NotWorth}
		case alike:
			since := last.Better
			if since.IsZero() {
				since = now
			}
			if now.Sub(since) < settle {
				c = Choice{Egress: old.Router, Since: last.Since, Rival: best.Router, Better: since, Why: TooSoon}
			}
		}
	}
	for _, e := range all {
		switch {
		case e.Router == c.Egress:
			c.Avoid = e.Avoid
		case e.Reachable && c.Standby == 0:
			c.Standby = e.Router
		}
	}
	// A packet's header says what it avoids: the standby must be a way for the same packet.
	if i := slices.IndexFunc(all, func(e Egress) bool { return e.Router == c.Standby }); i >= 0 && all[i].Avoid != c.Avoid {
		c.Standby = 0
	}
	return c
}

// at is the egress at a place, or none.
func at(all []Egress, i int) Egress {
	if i < len(all) {
		return all[i]
	}
	return Egress{}
}

// share picks among the routers that are as good as the best, all[0], and in its zone: the one with the
// highest bid for key from self. Without others it answers with the zero Egress.
func share(all []Egress, self topo.RouterID, key uint64) (picked Egress) {
	best, peers, high := all[0], 0, uint64(0)
	for _, e := range all {
		if e.Zone == "" || e.Zone != best.Zone || !e.Reachable || e.Draining != best.Draining || e.Metric != best.Metric || worth(best.Cost, e.Cost) {
			continue
		}
		peers++
		if bid := mix(mix(key^uint64(self)) ^ uint64(e.Router)); picked.Router == 0 || bid > high {
			picked, high = e, bid
		}
	}
	if peers < 2 {
		return Egress{}
	}
	return picked
}

// mix is the finalizer of SplitMix64 (Steele, Lea and Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
