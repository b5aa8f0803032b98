package replication

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"slices"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// Config is what an Engine is given.
type Config struct {
	Store  *store.Store
	Self   topo.RouterID
	Region topo.Region
	// Dial opens a stream to another router's engine.
	Dial func(context.Context, topo.RouterID) (net.Conn, error)
	// Emit receives events; nil drops them.
	Emit func(Event)
}

// Topology is what the cluster agreed on, as far as replication goes.
type Topology struct {
	Buckets  map[string]object.Bucket
	Policies []object.Policy
	// Regions lists each region's live routers, and Owners the one that takes its writes.
	Regions map[topo.Region][]topo.RouterID
	Owners  map[topo.Region]topo.RouterID
	// Index is the catalog index that this is from.
	Index uint64
}

// regionOf finds a router's region.
func (t *Topology) regionOf(id topo.RouterID) topo.Region {
	for r, ids := range t.Regions {
		if slices.Contains(ids, id) {
			return r
		}
	}
	return ""
}

// zoneRule names the rule by which the other routers of a region follow their owner.
const zoneRule = "@region"

// rule is what a stream carries: a policy, or everything for the routers of one region.
type rule struct {
	policy object.Policy
	zone   bool
	// hash changes when what the rule selects changes, so that a cursor never stands for a selection
	// that it was not made under.
	hash string
}

func policyRule(p object.Policy) rule {
	b, err := json.Marshal([]any{p.Bucket, p.Prefix, p.KeepDeleted})
	if err != nil {
		panic(fmt.Sprintf("policy %q does not encode: %v", p.Name, err))
	}
	h := sha256.Sum256(b)
	return rule{policy: p, hash: hex.EncodeToString(h[:6])}
}

func (r rule) name() string {
	if r.zone {
		return zoneRule
	}
	return r.policy.Name
}

func (r rule) priority() int {
	if r.zone {
		return object.MaxPriority
	}
	return r.policy.Priority
}

// selects says whether a change in the store of a router in region is sent on under the rule.
func (r rule) selects(v *object.Version, purged bool, region topo.Region) bool {
	if r.zone {
		return true
	}
	if purged {
		// A purge is known by key and version alone; whoever carried it out sends it on. The second time
		// it finds nothing, so it ends.
		w := *v
		w.Region = region
		return r.policy.Matches(&w)
	}
	return v.Region == region && r.policy.Matches(v)
}

// ruleNamed finds a rule of the topology.
func (t *Topology) ruleNamed(name string) (rule, bool) {
	if name == zoneRule {
		return rule{zone: true, hash: "all"}, true
	}
	for _, p := range t.Policies {
		if p.Name == name {
			return policyRule(p), true
		}
	}
	return rule{}, false
}

// flow is one rule from one source.
type flow struct {
	rule   string
	hash   string
	source topo.RouterID
}

// follows lists what a router follows.
func (t *Topology) follows(self topo.RouterID, region topo.Region) []flow {
	owner := t.Owners[region]
	if owner != self {
		if owner == 0 {
			return nil
		}
		return []flow{{zoneRule, "all", owner}}
	}
	var out []flow
	for _, p := range t.Policies {
		for from, source := range t.Owners {
			if source != 0 && from != region && p.From.Has(from) && p.To.Has(region) {
				out = append(out, flow{p.Name, policyRule(p).hash, source})
			}
		}
	}
	return out
}

// followers lists who follows a router under a rule: what it must have an acknowledgement of.
func (t *Topology) followers(self topo.RouterID, region topo.Region, r rule) []topo.RouterID {
	if t.Owners[region] != self {
		return nil
	}
	var out []topo.RouterID
	if r.zone {
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

// rules lists every rule under which others follow this router.
func (t *Topology) rules() []rule {
	out := []rule{{zone: true, hash: "all"}}
	for _, p := range t.Policies {
		out = append(out, policyRule(p))
	}
	return out
}

// Event is something that happened in replication.
type Event interface {
	Name() string
	slog.LogValuer
}
