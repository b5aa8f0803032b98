package floorplan

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

const root = "../.."

func ours(t *testing.T) *plan {
	t.Helper()
	f, err := os.Open("plan.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := read(f)
	if err != nil {
		t.Fatalf("plan.txt: %v", err)
	}
	return p
}

// TestTheTreeIsAsPlanned is what the package is for.
func TestTheTreeIsAsPlanned(t *testing.T) {
	p := ours(t)
	tree, err := walk(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.files) < 100 {
		t.Fatalf("found %d Go files: is this the root of the tree?", len(tree.files))
	}
	breaches := p.check(tree)
	for _, b := range breaches {
		t.Error(b)
	}
	if len(breaches) > 0 {
		t.Logf("the houses as they stand:\n%s", table(p, tree))
	}
}

// table draws the plan with what the tree has in each room.
func table(p *plan, t *tree) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "floor\troom\tfiles\tlines\tlongest\timports of ours\n")
	for level, floor := range p.floors {
		for _, r := range sorted(p, level) {
			var files, lines, longest int
			imports := map[string]bool{}
			for _, f := range t.files {
				if f.room != r.path || f.test {
					continue
				}
				files, lines, longest = files+1, lines+f.lines, max(longest, f.lines)
				for _, i := range f.imports {
					if rel, own := strings.CutPrefix(i, t.module+"/"); own {
						imports[rel] = true
					}
				}
			}
			var list []string
			for i := range imports {
				list = append(list, i)
			}
			slices.Sort(list)
			fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\n", floor, r.path, files, lines, longest, strings.Join(list, " "))
		}
	}
	w.Flush()
	return b.String()
}

func sorted(p *plan, level int) []*room {
	var out []*room
	for _, r := range p.rooms {
		if r.level == level {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *room) int { return strings.Compare(a.path, b.path) })
	return out
}

// TestBreachesAreFound proves the reader: a small tree that breaks each rule once.
func TestBreachesAreFound(t *testing.T) {
	p, err := read(strings.NewReader(`
floor roof
cmd/app        puts it together
  > fabric consensus
floor loops
fabric         a loop
consensus      another
floor doors
fabric/pipe    a door
floor ground
fabric/pure    a pure room
fabric/twin    another
  > fabric/pure  for a reason
floor nouns
fabric/topo    nouns
floor fakes
fabric/pipe/pipetest  a fake
floor garden
tests/world    everything
door example.com/pipe fabric/pipe
  : pipes
door example.com/check tests
  : checks
lines 10
`))
	if err != nil {
		t.Fatal(err)
	}
	code := func(path string, imports ...string) file {
		return file{path: path, room: path[:strings.LastIndexByte(path, '/')], lines: 5, imports: imports}
	}
	const m = "example.com/tree/"
	test := code("fabric/pipe/pipe_test.go", "example.com/check", m+"fabric/pipe/pipetest", m+"tests/world")
	test.test = true
	good := []file{
		code("cmd/app/a.go", m+"fabric", m+"consensus", m+"fabric/topo", "os"),
		code("fabric/a.go", m+"fabric/pipe", m+"fabric/pure"),
		code("consensus/a.go", m+"fabric/topo"),
		code("fabric/pipe/a.go", "example.com/pipe/v", m+"fabric/pure", "net"),
		code("fabric/pure/a.go", m+"fabric/topo", "time"),
		code("fabric/twin/a.go", m+"fabric/pure"),
		code("fabric/topo/a.go"),
		code("fabric/pipe/pipetest/a.go", m+"fabric/pipe"),
		code("tests/world/a.go", m+"cmd/app", m+"fabric/pipe/pipetest", "example.com/check"),
		test,
	}
	requires := []string{"example.com/pipe", "example.com/check"}
	if b := p.check(&tree{"example.com/tree", requires, good}); len(b) > 0 {
		t.Fatalf("a tree in order has breaches: %v", b)
	}
	trunk := code("fabric/trunk.go")
	trunk.lines = 11
	for _, c := range []struct {
		bad  file
		rule string
	}{
		{code("fabric/pipe/b.go", m+"fabric"), "imports run downstairs"},
		{code("fabric/pure/b.go", m+"fabric/twin"), "rooms of a floor"},
		{code("consensus/b.go", m+"fabric/pure"), "houses do not know each other"},
		{code("consensus/b.go", m+"fabric"), "rooms of a floor"},
		{code("fabric/b.go", m+"fabric/pipe/pipetest"), "fakes are for tests"},
		{code("fabric/b.go", m+"tests/world"), "the garden"},
		{code("fabric/b.go", m+"fabric/shed"), "does not know the room"},
		{code("fabric/b.go", "example.com/pipe"), "enters through fabric/pipe only"},
		{code("fabric/b.go", "example.com/check"), "enters through tests only"},
		{code("fabric/b.go", "example.com/new"), "has a door"},
		{code("fabric/pure/b.go", "os"), "handed what they need"},
		{code("fabric/topo/b.go", "net"), "handed what they need"},
		{code("fabric/shed/b.go"), "every room of the house"},
		{trunk, "at most 10"},
	} {
		got := p.check(&tree{"example.com/tree", requires, append(slices.Clone(good), c.bad)})
		if len(got) != 1 || !strings.Contains(got[0].rule, c.rule) {
			t.Errorf("%s %v: got %v, want one breach of: %s", c.bad.path, c.bad.imports, got, c.rule)
		}
	}
	if got := p.check(&tree{"example.com/tree", append(requires, "example.com/new"), good}); len(got) != 1 || got[0].where != "go.mod" {
		t.Errorf("a module without a door: got %v", got)
	}
	if got := p.check(&tree{"example.com/tree", requires, good[1:]}); len(got) != 1 || !strings.Contains(got[0].what, "cmd/app") {
		t.Errorf("a room that is not there: got %v", got)
	}
}

// TestPlansThatMakeNoSense are refused with their line.
func TestPlansThatMakeNoSense(t *testing.T) {
	for _, text := range []string{
		"fabric a room on no floor", "floor roof\n  > fabric", "floor roof\nfabric", "floor roof\nfabric a\nfabric b",
		"lines many", "long a.go many", "floor a\n  : why", "floor roof\nfabric a room\n  ! os",
	} {
		if _, err := read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), "line ") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}
