package object

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/galleon-net/galleon/fabric/topo"
)

func set(names ...topo.Region) RegionSet { return RegionSet{Names: names} }

func TestPolicyCheck(t *testing.T) {
	region := func(r topo.Region) bool { return r == "a" || r == "b" || r == "c" }
	bucket := func(b string) bool { return b == "models" }
	good := Policy{Name: "p-1_x.y", Bucket: "models", From: set("a"), To: set("b", "c"), Priority: 100}
	for _, c := range []struct {
		name   string
		change func(*Policy)
		want   string // in the error; empty: none
	}{
		{"good", func(*Policy) {}, ""},
		{"all to all", func(p *Policy) { p.From, p.To = RegionSet{All: true}, RegionSet{All: true} }, ""},
		{"both ways", func(p *Policy) { p.From, p.To = set("a", "b"), set("a", "b") }, ""},
		{"no name", func(p *Policy) { p.Name = "" }, "name"},
		{"long name", func(p *Policy) { p.Name = strings.Repeat("x", maxPolicyName+1) }, "name"},
		{"longest name", func(p *Policy) { p.Name = strings.Repeat("x", maxPolicyName) }, ""},
		{"slash", func(p *Policy) { p.Name = "a/b" }, "name"},
		{"like a built-in rule", func(p *Policy) { p.Name = "@region" }, "name"},
		{"no such bucket", func(p *Policy) { p.Bucket = "x" }, "galleon bucket create x"},
		{"from nowhere", func(p *Policy) { p.From = RegionSet{} }, "from names no region"},
		{"to nowhere", func(p *Policy) { p.To = RegionSet{} }, "to names no region"},
		{"unknown from", func(p *Policy) { p.From = set("a", "x") }, `from names region "x"`},
		{"unknown to", func(p *Policy) { p.To = set("x") }, `to names region "x"`},
		{"twice", func(p *Policy) { p.To = set("b", "c", "b") }, "twice"},
		{"to itself", func(p *Policy) { p.To = set("a") }, "would loop"},
		{"priority too low", func(p *Policy) { p.Priority = -1 }, "want 0 to 100"},
		{"priority too high", func(p *Policy) { p.Priority = 101 }, "want 0 to 100"},
	} {
		p := good
		c.change(&p)
		err := p.Check(region, bucket)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestPolicyMatches(t *testing.T) {
	v := Version{Bucket: "models", Key: "llama/7b", Region: "a"}
	for _, c := range []struct {
		name   string
		p      Policy
		change func(*Version)
		want   string
	}{
		{"all", Policy{From: RegionSet{All: true}, To: RegionSet{All: true}}, nil, "[b c]"},
		{"one", Policy{From: set("a"), To: set("c")}, nil, "[c]"},
		{"not back", Policy{From: set("a", "b"), To: set("a", "b")}, nil, "[b]"},
		{"from elsewhere", Policy{From: set("b"), To: set("c")}, nil, "[]"},
		{"prefix", Policy{From: set("a"), To: set("b"), Prefix: "llama/"}, nil, "[b]"},
		{"whole key", Policy{From: set("a"), To: set("b"), Prefix: "llama/7b"}, nil, "[b]"},
		{"longer", Policy{From: set("a"), To: set("b"), Prefix: "llama/7b/"}, nil, "[]"},
		{"other bucket", Policy{From: set("a"), To: set("b")}, func(v *Version) { v.Bucket = "x" }, "[]"},
		{"delete", Policy{From: set("a"), To: set("b")}, func(v *Version) { v.DeleteMarker = true }, "[b]"},
		{"kept", Policy{From: set("a"), To: set("b"), KeepDeleted: true}, func(v *Version) { v.DeleteMarker = true }, "[]"},
		{"kept, no delete", Policy{From: set("a"), To: set("b"), KeepDeleted: true}, nil, "[b]"},
	} {
		c.p.Bucket = "models"
		w := v
		if c.change != nil {
			c.change(&w)
		}
		if got := fmt.Sprint(c.p.Targets(&w, []topo.Region{"a", "b", "c"})); got != c.want {
			t.Errorf("%s: goes to %s, want %s", c.name, got, c.want)
		}
	}
}

func TestRegionSetJSON(t *testing.T) {
	for in, want := range map[string]string{
		`"all"`: "all", `["all"]`: "all", `["a","all"]`: "all", `["a","b"]`: "a, b", `"a"`: "a", `[]`: "", `null`: "",
	} {
		var s RegionSet
		if err := json.Unmarshal([]byte(in), &s); err != nil || s.String() != want {
			t.Errorf("%s: %q, %v, want %q", in, s, err, want)
		}
	}
	for _, in := range []string{`1`, `{"a":1}`, `[1]`, `true`} {
		var s RegionSet
		if err := json.Unmarshal([]byte(in), &s); err == nil {
			t.Errorf("%s was read as %q", in, s)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		p := Policy{Name: "p", From: RegionSet{All: rapid.Bool().Draw(t, "all")}}
		if !p.From.All {
			p.From.Names = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) topo.Region {
				return topo.Region(rapid.StringMatching(`[b-z-]{1,8}`).Draw(t, "region"))
			}), 1, 4).Draw(t, "names")
		}
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var q Policy
		if err := json.Unmarshal(b, &q); err != nil || fmt.Sprint(q) != fmt.Sprint(p) {
			t.Fatalf("%s: %v, %v", b, q, err)
		}
	})
}
