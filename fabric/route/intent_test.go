package route

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/galleon-net/galleon/fabric/topo"
	"pgregory.net/rapid"
)

// TestRulesAddUp: what a packet must avoid is what all the rules that are about it name, whichever the rules.
func TestRulesAddUp(t *testing.T) {
	regions := []topo.Region{"eu-north", "eu-south", "ap-east", "us-west", "europa"}
	rapid.Check(t, func(t *rapid.T) {
		var rules []Rule
		for i := range rapid.IntRange(0, 5).Draw(t, "rules") {
			r := Rule{Name: fmt.Sprint(i), Never: []topo.Region{rapid.SampledFrom([]topo.Region{"eu", "eu-north", "ap", "us-west"}).Draw(t, "never")}}
			switch rapid.IntRange(0, 2).Draw(t, "about") {
			case 0:
				s := topo.SegmentID(rapid.IntRange(0, 1).Draw(t, "segment"))
				r.Segment = &s
			case 1:
				r.Prefix = topo.SegPrefix{Prefix: netip.MustParsePrefix(rapid.SampledFrom([]string{"10.0.0.0/8", "10.1.0.0/16"}).Draw(t, "prefix"))}
			case 2:
				r.Between = [2]topo.Region{rapid.SampledFrom(regions).Draw(t, "a"), rapid.SampledFrom(regions).Draw(t, "b")}
			}
			rules = append(rules, r)
		}
		in, err := NewIntent(nil, nil, rules)
		if err != nil {
			if !strings.Contains(err.Error(), "different sets") {
				t.Fatal(err)
			}
			return
		}
		p := topo.SegPrefix{Segment: topo.SegmentID(rapid.IntRange(0, 1).Draw(t, "in")), Prefix: netip.MustParsePrefix(rapid.SampledFrom([]string{"10.1.2.0/24", "10.2.0.0/16", "0.0.0.0/0"}).Draw(t, "to"))}
		from, to := rapid.SampledFrom(regions).Draw(t, "from"), rapid.SampledFrom(regions).Draw(t, "toward")
		a, names := in.For(p, from, to)
		var never []topo.Region
		for _, r := range rules {
			about := r.Segment != nil && *r.Segment == p.Segment ||
				r.Prefix.Prefix.IsValid() && p.Segment == 0 && r.Prefix.Prefix.Overlaps(p.Prefix) ||
				r.Between[0] != "" && (r.Between == [2]topo.Region{from, to} || r.Between == [2]topo.Region{to, from})
			if about != slices.Contains(names, r.Name) {
				t.Fatalf("rule %+v about %s from %s to %s: %v", r, p, from, to, names)
			}
			if about {
				never = append(never, r.Never...)
			}
		}
		for _, r := range regions {
			want := slices.ContainsFunc(never, func(n topo.Region) bool { return r == n || strings.HasPrefix(string(r), string(n)+"-") })
			if in.Forbids(a, r) != want {
				t.Fatalf("%s under %v (set %d, %v): forbidden %v", r, never, a, in.Set(a), !want)
			}
		}
		if again, err := NewIntent(nil, nil, rules); err != nil || again.sets[topo.MaxAvoid] != nil && !slices.Equal(again.sets[topo.MaxAvoid], in.sets[topo.MaxAvoid]) {
			t.Fatal("the numbers depend on something else than the rules")
		}
	})
}

func TestHazardsBeyondTheBits(t *testing.T) {
	risks := map[topo.Pair][]string{}
	for i := range 200 {
		risks[topo.Pair{A: 1, B: topo.RouterID(i + 2)}] = []string{fmt.Sprintf("cable-%03d", i)}
	}
	risks[topo.Pair{A: 5, B: 6}] = []string{"cable-000", "not-ours"}
	in, err := NewIntent(nil, risks, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := newHazards(in, 1)
	if h.of(5, 6)&h.of(1, 2) == 0 || h.of(5, 6)&^h.of(1, 2) != 0 {
		t.Errorf("%x shares a cable with %x", h.of(5, 6), h.of(1, 2))
	}
	for i := range 200 {
		if h.of(1, topo.RouterID(i+2)) == 0 {
			t.Errorf("cable %d has no bit", i)
		}
	}
}
