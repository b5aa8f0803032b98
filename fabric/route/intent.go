package route

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/galleon-net/galleon/fabric/topo"
)

// MaxRules bounds the residency rules of a cluster.
const MaxRules = 256

// Site is where a router stands.
type Site struct {
	Region topo.Region
	Zone   topo.Zone
}

// Rule keeps packets out of regions on their way ("never transit"). It is about packets to a prefix, in a
// segment, or between two regions: whichever of the three is set, all of them where several are. Where a packet
// begins and ends is not on its way. Rules add up: a packet that two are about keeps both.
type Rule struct {
	Name    string          // for people
	Prefix  topo.SegPrefix  // packets to prefixes that overlap it; invalid is any
	Segment *topo.SegmentID // packets in it; nil is any
	Between [2]topo.Region  // packets from one to the other, or back; empty is any
	Never   []topo.Region   // regions, or first parts of their names: eu is eu-frankfurt and eu-dublin
}

// Intent is what the operator wants of routes, compiled; all routers must have the same. It is not changed
// after NewIntent, and Engine takes a different pointer for a different intent.
type Intent struct {
	sites map[topo.RouterID]Site
	risks map[topo.Pair][]string
	rules []Rule
	of    []topo.Avoid                                     // by rule: the number of what it avoids
	sets  [topo.MaxAvoid + 1][]topo.Region                 // by number, sorted; sets[0] is empty
	union [topo.MaxAvoid + 1][topo.MaxAvoid + 1]topo.Avoid // the number of two sets together
}

// NewIntent compiles an intent. The risks of a link are names of what it shares with others that can fail: a
// cable, a landing station, a carrier. What rules avoid, and what several of them avoid together, gets a
// number each; more than topo.MaxAvoid different ones are an error, since a packet's header has no room.
func NewIntent(sites map[topo.RouterID]Site, risks map[topo.Pair][]string, rules []Rule) (*Intent, error) {
	if len(rules) > MaxRules {
		return nil, fmt.Errorf("%d residency rules, at most %d fit", len(rules), MaxRules)
	}
	in := &Intent{sites: sites, risks: risks, rules: rules}
	n := 1
	number := func(set []topo.Region) (topo.Avoid, error) {
		for i := range n {
			if slices.Equal(in.sets[i], set) {
				return topo.Avoid(i), nil
			}
		}
		if n > int(topo.MaxAvoid) {
			return 0, fmt.Errorf("residency rules need more than %d different sets of regions, taken together: merge some", topo.MaxAvoid)
		}
		in.sets[n] = set
		n++
		return topo.Avoid(n - 1), nil
	}
	for _, r := range rules {
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("residency rule %q: %w", r.Name, err)
		}
		a, err := number(join(r.Never, nil))
		if err != nil {
			return nil, err
		}
		in.of = append(in.of, a)
	}
	for grown := -1; grown != n; { // also what three and more avoid together
		grown = n
		for a := range grown {
			for b := range grown {
				u, err := number(join(in.sets[a], in.sets[b]))
				if err != nil {
					return nil, err
				}
				in.union[a][b] = u
			}
		}
	}
	return in, nil
}

func (r Rule) check() error {
	switch {
	case len(r.Never) == 0:
		return errors.New("it names no region to keep out of")
	case !r.Prefix.Prefix.IsValid() && r.Segment == nil && r.Between == [2]topo.Region{}:
		return errors.New("it names no prefix, segment or pair of regions that it is about")
	case (r.Between[0] == "") != (r.Between[1] == ""):
		return errors.New("a pair of regions has two")
	}
	return nil
}

// join is two sets together, sorted, without what lies within another.
func join(a, b []topo.Region) []topo.Region {
	all := slices.Concat(a, b)
	slices.Sort(all)
	var out []topo.Region
	for _, r := range all {
		if len(out) == 0 || !within(r, out[len(out)-1]) {
			out = append(out, r)
		}
	}
	return out
}

// within says whether a region is an area, or has a name that begins with it: eu-frankfurt is within eu.
func within(r, area topo.Region) bool {
	rest, ok := strings.CutPrefix(string(r), string(area))
	return ok && (rest == "" || rest[0] == '-')
}

// Forbids says whether packets under set a may not pass through a region.
func (in *Intent) Forbids(a topo.Avoid, r topo.Region) bool {
	return in != nil && r != "" && slices.ContainsFunc(in.sets[a], func(area topo.Region) bool { return within(r, area) })
}

// Avoids lists the numbers in use, 0 first.
func (in *Intent) Avoids() []topo.Avoid {
	out := []topo.Avoid{0}
	for a := topo.Avoid(1); in != nil && a <= topo.MaxAvoid && in.sets[a] != nil; a++ {
		out = append(out, a)
	}
	return out
}

// Set lists what number a stands for.
func (in *Intent) Set(a topo.Avoid) []topo.Region {
	if in == nil {
		return nil
	}
	return in.sets[a]
}

// For gives what packets to a prefix from one region to another must avoid, and the names of the rules.
func (in *Intent) For(p topo.SegPrefix, from, to topo.Region) (topo.Avoid, []string) {
	var a topo.Avoid
	var names []string
	if in == nil {
		return 0, nil
	}
	for i, r := range in.rules {
		pair := r.Between == [2]topo.Region{} || within(from, r.Between[0]) && within(to, r.Between[1]) ||
			within(from, r.Between[1]) && within(to, r.Between[0])
		segment := r.Segment == nil || *r.Segment == p.Segment
		prefix := !r.Prefix.Prefix.IsValid() || r.Prefix.Overlaps(p)
		if pair && segment && prefix {
			a, names = in.union[a][in.of[i]], append(names, r.Name)
		}
	}
	return a, names
}

// Site is where a router stands, as far as is known.
func (in *Intent) Site(r topo.RouterID) Site {
	if in == nil {
		return Site{}
	}
	return in.sites[r]
}

// Risks lists what the link between two routers shares with others.
func (in *Intent) Risks(a, b topo.RouterID) []string {
	if in == nil {
		return nil
	}
	return in.risks[topo.PairOf(a, b)]
}

// hazards numbers the risks of one router's own links: backups are about the failure of these.
type hazards struct {
	intent *Intent
	bit    map[string]uint64
}

// newHazards gives a bit to each risk of self's links. Beyond 64 risks share bits: then a backup may be
// thought to share a risk though it does not, never the other way round.
func newHazards(in *Intent, self topo.RouterID) hazards {
	h := hazards{intent: in}
	if in == nil {
		return h
	}
	var names []string
	for pair, risks := range in.risks {
		if pair.A == self || pair.B == self {
			names = append(names, risks...)
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	h.bit = make(map[string]uint64, len(names))
	for i, r := range names {
		h.bit[r] = 1 << (i % 64)
	}
	return h
}

// of is the risks of a link as bits.
func (h hazards) of(a, b topo.RouterID) (bits uint64) {
	if len(h.bit) == 0 {
		return 0
	}
	for _, r := range h.intent.risks[topo.PairOf(a, b)] {
		bits |= h.bit[r]
	}
	return bits
}
