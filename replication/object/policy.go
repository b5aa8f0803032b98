package object

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/galleon-net/galleon/fabric/topo"
)

// RegionSet is a list of regions, or every region, also those that do not exist yet. It is written as
// a list of names or as the word all.
type RegionSet struct {
	All   bool
	Names []topo.Region
}

// Has says whether r is in the set.
func (s RegionSet) Has(r topo.Region) bool { return s.All || slices.Contains(s.Names, r) }

// Empty says whether the set can hold no region.
func (s RegionSet) Empty() bool { return !s.All && len(s.Names) == 0 }

func (s RegionSet) String() string {
	if s.All {
		return "all"
	}
	parts := make([]string, len(s.Names))
	for i, n := range s.Names {
		parts[i] = string(n)
	}
	return strings.Join(parts, ", ")
}

// MarshalJSON gives "all" or a list.
func (s RegionSet) MarshalJSON() ([]byte, error) {
	if s.All {
		return []byte(`"all"`), nil
	}
	if s.Names == nil {
		return []byte("[]"), nil
	}
	return json.Marshal(s.Names)
}

// UnmarshalJSON reads a list of names, one name, or all (alone or in a list).
func (s *RegionSet) UnmarshalJSON(b []byte) error {
	var names []topo.Region
	if err := json.Unmarshal(b, &names); err != nil {
		var one topo.Region
		if json.Unmarshal(b, &one) != nil {
			return fmt.Errorf("regions %s: want a list of region names, or all", b)
		}
		names = []topo.Region{one}
	}
	*s = RegionSet{}
	for _, n := range names {
		if n == "all" {
			*s = RegionSet{All: true}
			return nil
		}
		s.Names = append(s.Names, n)
	}
	return nil
}

// Policy says which objects of one bucket go from where to where. A version is only ever sent on by
// the region that took the write, and goes to every region of To but that one; so a policy between
// two regions in both directions names both in From and in To, and nothing can run in a circle.
type Policy struct {
	Name   string    `json:"name"`
	Bucket string    `json:"bucket"`
	Prefix string    `json:"prefix,omitempty"`
	From   RegionSet `json:"from"`
	To     RegionSet `json:"to"`
	// Priority orders what waits for the same destination; the greater goes first. 0 to 100.
	Priority int `json:"priority,omitempty"`
	// KeepDeleted leaves objects in place at the destination when they are deleted at the source.
	KeepDeleted bool `json:"keep_deleted,omitempty"`
}

// MaxPriority is the most urgent priority that a policy can have.
const MaxPriority = 100

// maxPolicyName bounds a policy's name.
const maxPolicyName = 64

// Check refuses a policy that cannot do anything or that says what does not exist. The two functions
// say which regions and buckets exist.
func (p Policy) Check(region func(topo.Region) bool, bucket func(string) bool) error {
	fail := func(format string, a ...any) error {
		return fmt.Errorf("policy %q: %s", p.Name, fmt.Sprintf(format, a...))
	}
	if p.Name == "" || len(p.Name) > maxPolicyName || strings.ContainsFunc(p.Name, notNameRune) {
		return fail("a name has 1 to %d letters, digits, dots, hyphens or underscores", maxPolicyName)
	}
	if !bucket(p.Bucket) {
		return fail("bucket %q does not exist; create it first with: galleon bucket create %s", p.Bucket, p.Bucket)
	}
	if p.From.Empty() {
		return fail("from names no region")
	}
	if p.To.Empty() {
		return fail("to names no region")
	}
	for _, set := range []struct {
		word string
		set  RegionSet
	}{{"from", p.From}, {"to", p.To}} {
		seen := map[topo.Region]bool{}
		for _, r := range set.set.Names {
			if !region(r) {
				return fail("%s names region %q, which is not in this cluster; galleon router list shows those that are", set.word, r)
			}
			if seen[r] {
				return fail("%s names region %q twice", set.word, r)
			}
			seen[r] = true
		}
	}
	if len(p.From.Names) == 1 && len(p.To.Names) == 1 && p.From.Names[0] == p.To.Names[0] {
		return fail("from and to are both %s: a policy that leads back to where it starts would loop", p.From.Names[0])
	}
	if p.Priority < 0 || p.Priority > MaxPriority {
		return fail("priority %d: want 0 to %d", p.Priority, MaxPriority)
	}
	return nil
}

func notNameRune(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.", r))
}

// Matches says whether the policy sends version v on.
func (p Policy) Matches(v *Version) bool {
	return v.Bucket == p.Bucket && p.From.Has(v.Region) && strings.HasPrefix(v.Key, p.Prefix) &&
		!(p.KeepDeleted && v.DeleteMarker)
}

// Targets gives the regions of all that version v goes to under this policy.
func (p Policy) Targets(v *Version, all []topo.Region) []topo.Region {
	if !p.Matches(v) {
		return nil
	}
	var out []topo.Region
	for _, r := range all {
		if r != v.Region && p.To.Has(r) {
			out = append(out, r)
		}
	}
	return out
}
