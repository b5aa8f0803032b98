package route

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Explanation is why packets to a router go the way they go in one plane.
type Explanation struct {
	From, To     topo.RouterID
	Plane        topo.Plane
	Reachable    bool
	Hop          Hop           // when Reachable
	Steps        []Step        // the links of Hop.Path
	Alternatives []Alternative // every neighbour, best first
	Switches     []Switch      // the last ones, oldest first
	Tunnel       *Tunnel       // what would guard the way, where Hop has no backup; the data path does not use it
}

// Step is one link of a path, as both its ends see it.
type Step struct {
	Link  Link
	Cost  uint64   // microseconds
	Risks []string // what it shares with other links
}

// Alternative is one neighbour considered as next hop toward a router.
type Alternative struct {
	Next    topo.RouterID
	Path    []topo.RouterID // nil when Next does not lead to the router
	Steps   []Step          // the links of Path
	Cost    uint64          // microseconds
	MTU     int
	Verdict Verdict
	Why     string   // one sentence for people
	Shared  []string // risks that its way has in common with the link to the next hop
}

// Verdict is what became of an Alternative.
type Verdict uint8

// The verdicts, best first.
const (
	Best      Verdict = iota
	Equal             // as good as the best: flows are spread over them
	Backup            // loop-free, taken while the link to the next hop is down
	Turn              // the backup, by its own backup: it would send back what comes from elsewhere
	LoopFree          // could be the backup; another is better
	WouldLoop         // its own way comes back through us
	Barred            // it leads through what the plane must avoid
	Unusable          // the link to it does not count, or it does not lead to the router
)

var verdictNames = [...]string{"best", "equal", "backup", "turn", "loop-free", "would-loop", "barred", "unusable"}

func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict-%d", uint8(v))
}

// MarshalText gives the readable form in JSON.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// Explain says why packets to a router go the way they go, in the plane that was computed.
func (r *Result) Explain(to topo.RouterID) Explanation { return r.engine.explain(r.engine.base(), to) }

// Explain says why packets to a router go the way they go in a plane: the chosen path link by link, and every
// other neighbour with the reason that it was not chosen. A plane that is not computed explains nothing.
func (e *Engine) Explain(plane topo.Plane, to topo.RouterID) Explanation {
	if p := e.planes[plane.Index()]; p != nil {
		return e.explain(p, to)
	}
	return Explanation{From: e.self, To: to, Plane: plane}
}

func (e *Engine) explain(p *plane, to topo.RouterID) Explanation {
	ex := Explanation{From: e.self, To: to, Plane: p.id, Switches: slices.Clone(e.Switches(p.id, to))}
	v, known := e.graph.node(to)
	if known {
		ex.Hop, ex.Reachable = e.hop(p, v)
		ex.Steps = e.stepsOf(p, ex.Hop.Path)
	}
	if to == e.self {
		return ex
	}
	if ex.Reachable && ex.Hop.Backup == 0 {
		if t, ok := e.Remote(p.id, to); ok {
			ex.Tunnel = &t
		}
	}
	for u, id := range e.graph.ids {
		mine, theirs := e.graph.word(e.node, id), e.graph.word(int32(u), e.self)
		if id != e.self && (mine != nil || theirs != nil) {
			ex.Alternatives = append(ex.Alternatives, e.alternative(p, &ex, int32(u), v, known))
		}
	}
	for _, l := range e.graph.said[e.node] { // neighbours whose word nobody has
		if _, ok := e.graph.node(l.To); !ok {
			ex.Alternatives = append(ex.Alternatives, Alternative{
				Next: l.To, Verdict: Unusable, Why: fmt.Sprintf("%s does not report the link", l.To)})
		}
	}
	slices.SortStableFunc(ex.Alternatives, func(a, b Alternative) int {
		return cmp.Or(cmp.Compare(a.Verdict, b.Verdict), cmp.Compare(a.Cost, b.Cost))
	})
	return ex
}

// stepsOf tells of the links of a path; what the first costs more because we drain is not told.
func (e *Engine) stepsOf(p *plane, path []topo.RouterID) []Step {
	var out []Step
	for i := 1; i < len(path); i++ {
		u, _ := e.graph.node(path[i-1])
		w, _ := e.graph.node(path[i])
		at, _ := e.graph.place(u, w)
		s := Step{e.graph.links[u][at].Link, uint64(p.arcs[u][at].cost), e.intent.Risks(path[i-1], path[i])}
		if i == 1 {
			s.Cost -= e.toll()
		}
		out = append(out, s)
	}
	return out
}

// alternative judges neighbour n for packets to v.
func (e *Engine) alternative(p *plane, ex *Explanation, n, v int32, known bool) Alternative {
	next := e.graph.ids[n]
	a := Alternative{Next: next, Verdict: Unusable}
	if ok, why := e.graph.counts(e.node, n); !ok {
		a.Why = why
		return a
	}
	if !known {
		a.Why = fmt.Sprintf("nobody reports a link to %s", ex.To)
		return a
	}
	var nextTree *tree
	var risk uint64
	primary := int32(-1)
	if ex.Reachable {
		primary = p.ways[v].next
		k, _ := e.graph.place(e.node, primary)
		nextTree, risk = p.via[k], e.graph.links[e.node][k].risk
	}
	k, _ := e.graph.place(e.node, n)
	c := p.consider(&e.graph, p.own, k, p.via[k], v, primary, nextTree, risk)
	switch {
	case c.barred:
		a.Verdict = Barred
		a.Why = fmt.Sprintf("%s is in %s, where packets must not pass through (%s)", next, e.intent.Site(next).Region, names(e.intent.Set(p.id.Avoid)))
		return a
	case !c.leads:
		a.Why = fmt.Sprintf("%s does not reach %s within %d hops", next, ex.To, MaxHops)
		if p.avoid != nil {
			a.Why += " without " + names(e.intent.Set(p.id.Avoid))
		}
		return a
	}
	w := &p.ways[v]
	turns := w.guard.Turn && w.backup == n
	if turns {
		a.Path, a.Cost = ex.Hop.BackupPath, ex.Hop.BackupCost
	} else {
		a.Path = p.via[k].path(&e.graph, v, append(make([]topo.RouterID, 0, MaxHops+1), e.self))
		a.Cost = c.cost - e.toll()
	}
	a.Steps, a.MTU = e.stepsOf(p, a.Path), e.graph.mtu(a.Path)
	if n != primary {
		a.Shared = e.shared(a.Path, ex.Hop.Next)
	}
	hop := ex.Hop.Next
	switch {
	case n == primary:
		a.Verdict, a.Why = Best, "lowest cost"
	case k < 64 && w.spread&(1<<k) != 0:
		a.Verdict, a.Why = Equal, "costs the same: flows are spread"
		if w.backup == n {
			a.Why += "; it has all of them while the link to " + hop.String() + " is down"
		}
	case turns:
		a.Verdict, a.Why = Turn, fmt.Sprintf("sends what comes from us on by its own backup %s", e.graph.ids[w.beyond])
	case !c.loopFree:
		a.Verdict, a.Why = WouldLoop, fmt.Sprintf("the way of %s comes back through %s", next, e.self)
	case w.backup == n && c.avoids:
		a.Verdict, a.Why = Backup, fmt.Sprintf("loop-free, and good when %s dies", hop)
	case w.backup == n:
		a.Verdict, a.Why = Backup, fmt.Sprintf("loop-free while the link to %s is down, but goes through %s", hop, hop)
	case c.shares && !w.guard.SharesRisk:
		a.Verdict, a.Why = LoopFree, fmt.Sprintf("shares %s with the link to %s, which the backup does not", strings.Join(a.Shared, ", "), hop)
	case c.avoids:
		a.Verdict, a.Why = LoopFree, "costs more than the backup"
	default:
		a.Verdict, a.Why = LoopFree, fmt.Sprintf("goes through %s, which the backup avoids or does cheaper", hop)
	}
	if w.backup == n && w.guard.SharesRisk {
		a.Why += fmt.Sprintf("; shares %s with the link to %s, as every other does", strings.Join(a.Shared, ", "), hop)
	}
	if a.Verdict != Best && e.draining[n] && next != ex.To {
		a.Why += fmt.Sprintf("; %s is draining", next)
	}
	return a
}

// shared lists the risks that a path has in common with our link to a neighbour.
func (e *Engine) shared(path []topo.RouterID, next topo.RouterID) []string {
	ours := e.intent.Risks(e.self, next)
	var out []string
	for i := 1; i < len(path) && len(ours) > 0; i++ {
		for _, r := range e.intent.Risks(path[i-1], path[i]) {
			if slices.Contains(ours, r) && !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	return out
}

func names(rs []topo.Region) string {
	var out []string
	for _, r := range rs {
		out = append(out, string(r))
	}
	return strings.Join(out, ", ")
}

// PrefixExplanation is why packets to a prefix leave by the router that they do.
type PrefixExplanation struct {
	Prefix   topo.SegPrefix
	Choice   Choice
	Egresses []Egress      // who announces it, best first
	Rules    []string      // residency rules for packets to Choice.Egress, or to the best when there is none
	Never    []topo.Region // what they keep out of
}

// ExplainPrefix says why packets to an announced prefix leave by the router that they do.
func (e *Engine) ExplainPrefix(p topo.SegPrefix) (PrefixExplanation, bool) {
	x := PrefixExplanation{Prefix: p, Egresses: e.Egresses(p)}
	if len(x.Egresses) == 0 {
		return x, false
	}
	i, _ := slices.BinarySearchFunc(e.prefixes, p, func(c PrefixChoice, p topo.SegPrefix) int { return comparePrefixes(c.SegPrefix, p) })
	x.Choice = e.prefixes[i].Choice
	to := x.Choice.Egress
	if to == 0 {
		to = x.Egresses[0].Router
	}
	avoid, rules := e.intent.For(p, e.intent.Site(e.self).Region, e.intent.Site(to).Region)
	x.Rules, x.Never = rules, e.intent.Set(avoid)
	return x, true
}
