package consensus

import (
	"cmp"
	"slices"
	"time"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/topo"
)

// candidate is a router that could be a voter.
type candidate struct {
	Router topo.RouterID
	Region topo.Region
	Zone   topo.Zone
	// Voter says that it is one now.
	Voter bool
	// Alive says that it answered lately.
	Alive bool
}

// unknownRTT stands in for a round-trip time that nobody measured: worse than any that was.
const unknownRTT = 400 * time.Millisecond

// maxPlacements bounds the sets that place compares. With one router for each of 29 regions there are
// 118,755 sets of five.
const maxPlacements = 200_000

// place chooses the voters: an odd number, at most five, one for each region, so that a commit waits as
// short as it can. Below three regions it spreads three voters over zones, so that a cluster in one
// region survives a router too.
//
// A voter that does not answer is replaced when there is another for its place, and otherwise kept: fewer
// voters would make what is left of the cluster decide alone. A set that is not clearly better than the
// present one is not worth the changes.
func place(all []candidate, rtt func(a, b topo.RouterID) time.Duration) []topo.RouterID {
	var current []topo.RouterID
	for _, c := range all {
		if c.Voter {
			current = append(current, c.Router)
		}
	}
	slices.Sort(current)
	spots := spots(all)
	size := min(state.MaxVoters, len(spots))
	if size%2 == 0 {
		size--
	}
	if size < 1 || size < len(current)-1+len(current)%2 {
		return current // not enough live routers for the places that there are
	}
	best, cost := cheapest(spots, size, rtt)
	if len(best) == len(current) && allAlive(all, current) && cost > quorumCost(current, rtt)*4/5 {
		return current
	}
	return best
}

// spots gives one live router for each place that a voter may take, by region, or by zone and then by
// router where there are fewer than three of them. A voter keeps its spot.
func spots(all []candidate) []topo.RouterID {
	byPlace := func(place func(candidate) string) []topo.RouterID {
		at := map[string]candidate{}
		for _, c := range all {
			old, taken := at[place(c)]
			better := !taken || c.Voter && !old.Voter || c.Voter == old.Voter && c.Router < old.Router
			if c.Alive && better {
				at[place(c)] = c
			}
		}
		var out []topo.RouterID
		for _, c := range at {
			out = append(out, c.Router)
		}
		slices.Sort(out)
		return out
	}
	for _, place := range []func(candidate) string{
		func(c candidate) string { return string(c.Region) },
		func(c candidate) string { return string(c.Zone) },
	} {
		if s := byPlace(place); len(s) >= 3 {
			return s
		}
	}
	s := byPlace(func(c candidate) string { return c.Router.String() })
	return s[:min(len(s), 3)]
}

// cheapest finds the set of n with the smallest cost, the first in order among equals. When there are
// too many sets it leaves out the routers that are farthest from the others.
func cheapest(from []topo.RouterID, n int, rtt func(a, b topo.RouterID) time.Duration) ([]topo.RouterID, time.Duration) {
	for choose(len(from), n) > maxPlacements {
		far := slices.MaxFunc(from, func(a, b topo.RouterID) int { return cmp.Compare(distance(a, from, rtt), distance(b, from, rtt)) })
		from = slices.DeleteFunc(slices.Clone(from), func(r topo.RouterID) bool { return r == far })
	}
	var best []topo.RouterID
	var bestCost time.Duration
	set := make([]topo.RouterID, 0, n)
	var grow func(at int)
	grow = func(at int) {
		if len(set) == n {
			if c := quorumCost(set, rtt); best == nil || c < bestCost {
				best, bestCost = slices.Clone(set), c
			}
			return
		}
		for i := at; i <= len(from)-(n-len(set)); i++ {
			set = append(set, from[i])
			grow(i + 1)
			set = set[:len(set)-1]
		}
	}
	grow(0)
	return best, bestCost
}

// quorumCost is what a commit waits on average, when each voter leads for the same time: the RTT to the
// farthest of the nearest that make a majority with the leader.
func quorumCost(set []topo.RouterID, rtt func(a, b topo.RouterID) time.Duration) time.Duration {
	if len(set) < 2 {
		return 0
	}
	var sum time.Duration
	var buf [16]time.Duration
	for _, leader := range set {
		to := buf[:0]
		for _, r := range set {
			if r != leader {
				to = append(to, known(rtt(leader, r)))
			}
		}
		slices.Sort(to)
		sum += to[len(set)/2-1]
	}
	return sum / time.Duration(len(set))
}

func distance(r topo.RouterID, all []topo.RouterID, rtt func(a, b topo.RouterID) time.Duration) time.Duration {
	var sum time.Duration
	for _, o := range all {
		if o != r {
			sum += known(rtt(r, o))
		}
	}
	return sum
}

func known(d time.Duration) time.Duration {
	if d <= 0 {
		return unknownRTT
	}
	return d
}

func allAlive(all []candidate, set []topo.RouterID) bool {
	return !slices.ContainsFunc(all, func(c candidate) bool { return !c.Alive && slices.Contains(set, c.Router) })
}

func choose(n, k int) int {
	c := 1
	for i := range k {
		c = c * (n - i) / (i + 1)
	}
	return c
}
