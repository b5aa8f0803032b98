package route

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Explanation is why packets to a router go the way they go.
type Explanation struct {
	From, To     topo.RouterID
	Reachable    bool
	Hop          Hop           // when Reachable
	Steps        []Step        // the links of Hop.Path
	Alternatives []Alternative // every neighbour, best first
}

// Step is one link of the chosen path, as both its ends see it.
type Step struct {
	Link Link
	Cost uint64 // microseconds
}

// Alternative is one neighbour considered as next hop toward a router.
type Alternative struct {
	Next    topo.RouterID
	Path    []topo.RouterID // nil when Next does not lead to the router
	Cost    uint64          // microseconds
	MTU     int
	Verdict Verdict
	Why     string // one sentence for people
}

// Verdict is what became of an Alternative.
type Verdict uint8

// The verdicts, best first.
const (
	Best Verdict = iota
	Backup
	LoopFree  // could be the backup; another is better
	WouldLoop // its own way comes back through us
	Unusable  // the link to it does not count, or it does not lead to the router
)

var verdictNames = [...]string{"best", "backup", "loop-free", "would-loop", "unusable"}

func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict-%d", uint8(v))
}

// MarshalText gives the readable form in JSON.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// Explain says why packets to a router go the way they go: the chosen path link by link, and every other
// neighbour with the reason that it was not chosen.
func (r *Result) Explain(to topo.RouterID) Explanation {
	ex := Explanation{From: r.Self, To: to}
	ex.Hop, ex.Reachable = r.Hops[to]
	for i := 1; i < len(ex.Hop.Path); i++ {
		toll := r.toll
		if i > 1 {
			toll = 0
		}
		e := r.graph.edge(r.graph.index[ex.Hop.Path[i-1]], r.graph.index[ex.Hop.Path[i]])
		ex.Steps = append(ex.Steps, Step{r.graph.links[e.link], e.cost - toll})
	}
	if to == r.Self {
		return ex
	}
	for _, pair := range slices.SortedFunc(maps.Keys(r.graph.reports), comparePairs) {
		switch r.Self {
		case pair.A:
			ex.Alternatives = append(ex.Alternatives, r.alternative(ex, pair, pair.B))
		case pair.B:
			ex.Alternatives = append(ex.Alternatives, r.alternative(ex, pair, pair.A))
		}
	}
	slices.SortStableFunc(ex.Alternatives, func(a, b Alternative) int {
		return cmp.Or(cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.Cost, b.Cost))
	})
	return ex
}

func comparePairs(a, b topo.Pair) int { return cmp.Or(cmp.Compare(a.A, b.A), cmp.Compare(a.B, b.B)) }

// alternative judges one neighbour for ex.To.
func (r *Result) alternative(ex Explanation, pair topo.Pair, next topo.RouterID) Alternative {
	a := Alternative{Next: next, Verdict: Unusable}
	if ok, why := r.graph.reports[pair].counts(pair); !ok {
		a.Why = why
		return a
	}
	v, known := r.graph.index[ex.To]
	if !known {
		a.Why = fmt.Sprintf("nobody reports a link to %s", ex.To)
		return a
	}
	primary := -1
	if ex.Reachable {
		primary = r.graph.index[ex.Hop.Next]
	}
	c := r.consider(*r.graph.edge(r.self, r.graph.index[next]), v, primary)
	if !c.leads {
		a.Why = fmt.Sprintf("%s does not reach %s within %d hops", next, ex.To, MaxHops)
		return a
	}
	a.Path, a.Cost = r.pathVia(c.next, v), c.cost-r.toll
	a.MTU = r.graph.mtu(a.Path)
	switch {
	case next == ex.Hop.Next:
		a.Verdict, a.Why = Best, "lowest cost"
	case !c.loopFree:
		a.Verdict, a.Why = WouldLoop, fmt.Sprintf("the way of %s comes back through %s", next, r.Self)
	case next == ex.Hop.Backup && c.avoids:
		a.Verdict, a.Why = Backup, fmt.Sprintf("loop-free, and good when %s dies", ex.Hop.Next)
	case next == ex.Hop.Backup:
		a.Verdict, a.Why = Backup, fmt.Sprintf("loop-free while the link to %s is down, but goes through %s", ex.Hop.Next, ex.Hop.Next)
	case c.avoids:
		a.Verdict, a.Why = LoopFree, "costs more than the backup"
	default:
		a.Verdict, a.Why = LoopFree, fmt.Sprintf("goes through %s, which the backup avoids or does cheaper", ex.Hop.Next)
	}
	if a.Verdict != Best && r.in.Draining[next] && next != ex.To {
		a.Why += fmt.Sprintf("; %s is draining", next)
	}
	return a
}
