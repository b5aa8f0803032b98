package replication

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

// Rules that no policy is needed for. No policy can have such a name.
const (
	// zoneRule: the other routers of a region follow their owner in everything.
	zoneRule = "@region"
	// returnedRule: an owner follows the other routers of its region in what they took themselves. That is
	// nothing, except from one that was the owner, went away with writes that nobody had yet, and is back.
	returnedRule = "@returned"
)

// rule is what a stream carries: a policy, or one of the two rules above.
type rule struct {
	name   string
	policy object.Policy // zero but for policies
	// hash changes when what the rule selects changes, so that a cursor never stands for a selection
	// that it was not made under.
	hash string
	// priority orders flows at a destination.
	priority int
}

func policyRule(p object.Policy) rule {
	b, err := json.Marshal([]any{p.Bucket, p.Prefix, p.KeepDeleted})
	if err != nil {
		panic(fmt.Sprintf("policy %q does not encode: %v", p.Name, err))
	}
	h := sha256.Sum256(b)
	return rule{name: p.Name, policy: p, hash: hex.EncodeToString(h[:6]), priority: p.Priority}
}

// rules lists every rule of a topology.
func (t *Topology) rules() []rule {
	out := []rule{
		{name: zoneRule, hash: "1", priority: object.MaxPriority},
		{name: returnedRule, hash: "1", priority: object.MaxPriority},
	}
	for _, p := range t.Policies {
		out = append(out, policyRule(p))
	}
	return out
}

// selects says whether a change that router id of a region has in its store is sent on under the rule.
func (r *rule) selects(v *object.Version, purged bool, id topo.RouterID, region topo.Region) bool {
	switch {
	case r.name == zoneRule:
		return true
	case r.name == returnedRule:
		return purged || v.ID.Origin == id || v.Attributes.ChangedIn(region)
	case purged:
		// A purge is known by key and version alone; whoever carried it out sends it on. The second time
		// it finds nothing, so it ends.
		w := *v
		w.Region = region
		return !r.policy.KeepDeleted && r.policy.Matches(&w)
	}
	if v.Region == region {
		return r.policy.Matches(v)
	}
	// Of a version that another region wrote, this one answers for what it changed.
	w := *v
	w.Region = region
	return v.Attributes.ChangedIn(region) && r.policy.Matches(&w)
}

// everyVersion says whether a walk sends all versions of a key that the rule selects, or the newest alone.
func (r *rule) everyVersion(b object.Bucket) bool {
	return b.Versioning || b.Suspended || r.name == zoneRule || r.name == returnedRule
}

// flow is one rule from one source. A change of any part of it begins it anew.
type flow struct {
	rule     string
	hash     string
	source   topo.RouterID
	priority int
}

// follows lists what a router follows.
func (t *Topology) follows(self topo.RouterID, region topo.Region) []flow {
	owner := t.Owners[region]
	var out []flow
	for _, r := range t.rules() {
		for from, source := range t.Owners {
			switch {
			case source == 0:
			case r.name == zoneRule:
				if from == region && source != self {
					out = append(out, flow{r.name, r.hash, source, r.priority})
				}
			case r.name == returnedRule:
				if from != region || owner != self {
					continue
				}
				for _, id := range t.Regions[region] {
					if id != self {
						out = append(out, flow{r.name, r.hash, id, r.priority})
					}
				}
			case owner == self && from != region && r.policy.From.Has(from) && r.policy.To.Has(region):
				out = append(out, flow{r.name, r.hash, source, r.priority})
			}
		}
	}
	return out
}

// followers lists who follows a router under a rule: what it must have an acknowledgement of.
func (t *Topology) followers(self topo.RouterID, region topo.Region, r *rule) []topo.RouterID {
	owner := t.Owners[region]
	if r.name == returnedRule && owner != 0 && owner != self {
		return []topo.RouterID{owner}
	}
	if owner != self || r.name == returnedRule {
		return nil
	}
	var out []topo.RouterID
	if r.name == zoneRule {
		for _, id := range t.Regions[region] {
			if id != self {
				out = append(out, id)
			}
		}
		return out
	}
	if !r.policy.From.Has(region) {
		return nil
	}
	for to, owner := range t.Owners {
		if owner != 0 && to != region && r.policy.To.Has(to) {
			out = append(out, owner)
		}
	}
	slices.Sort(out)
	return out
}

// outRule is a rule and who follows this router under it.
type outRule struct {
	rule
	to []topo.RouterID
}

// outRules lists the rules under which this router is followed, made once for each topology.
func (t *Topology) outRules(self topo.RouterID, region topo.Region) []outRule {
	var out []outRule
	for _, r := range t.rules() {
		if to := t.followers(self, region, &r); len(to) > 0 {
			out = append(out, outRule{r, to})
		}
	}
	return out
}
