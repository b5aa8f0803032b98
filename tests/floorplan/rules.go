package floorplan

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// notPure are standard packages that reach outside: ground rooms and nouns are handed what they need.
var notPure = []string{"log", "math/rand", "net", "net/http", "os", "os/exec", "os/signal", "syscall"}

// breach is one import, file or line of the plan against one rule.
type breach struct{ where, what, rule string }

func (b breach) String() string { return fmt.Sprintf("%s %s: %s", b.where, b.what, b.rule) }

// check compares the tree with the plan.
func (p *plan) check(t *tree) []breach {
	var out []breach
	seen := map[string]bool{}
	for _, f := range t.files {
		if f.room == "." {
			if !f.test {
				out = append(out, breach{f.path, "is at the root", "code is in a room of the plan"})
			}
			continue
		}
		if r := p.rooms[f.room]; r != nil && !f.test {
			seen[f.room] = true
			out = append(out, p.checkFile(t, f, r)...)
		} else if r == nil && !f.test && house(f.room) != "tests" {
			out = append(out, breach{f.path, "is in " + f.room, "every room of the house has a line in plan.txt, on the floor where it belongs"})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.rooms)) {
		if !seen[name] {
			out = append(out, breach{"plan.txt", "has the room " + name, "a room of the plan is in the tree"})
		}
		for _, g := range p.rooms[name].grants {
			if p.rooms[g] == nil {
				out = append(out, breach{"plan.txt", "grants " + g + " to " + name, "a grant names a room of the plan"})
			}
		}
	}
	return append(out, p.checkModules(t)...)
}

func (p *plan) checkFile(t *tree, f file, r *room) []breach {
	var out []breach
	for _, i := range f.imports {
		var rule string
		rel, own := strings.CutPrefix(i, t.module+"/")
		first, _, _ := strings.Cut(i, "/")
		switch {
		case own:
			rule = p.mayImport(r, rel)
		case strings.Contains(first, "."):
			rule = p.mayUse(r, i)
		case slices.Contains(notPure, i) && (r.floor == floorGround || r.floor == floorNouns) && !slices.Contains(r.exempt, i):
			rule = "rooms on the " + r.floor + " floor have no input, output or chance of their own; they are handed what they need"
		}
		if rule != "" {
			out = append(out, breach{f.path, "imports " + i, rule})
		}
	}
	if l := p.long[f.path]; l != nil {
		if f.lines > l.lines {
			out = append(out, breach{f.path, fmt.Sprintf("has %d lines", f.lines), fmt.Sprintf("plan.txt lets it have %d", l.lines)})
		}
	} else if f.lines > p.lines && r.floor != floorGarden {
		out = append(out, breach{f.path, fmt.Sprintf("has %d lines", f.lines), fmt.Sprintf("a file has at most %d; divide it by subject, or give it a line in plan.txt with the reason", p.lines)})
	}
	return out
}

// mayImport gives the rule that a room's import of another breaks, or nothing.
func (p *plan) mayImport(from *room, to string) string {
	t := p.rooms[to]
	if from.floor == floorGarden {
		return ""
	}
	if house(to) == "tests" {
		return "code does not import what is in the garden"
	}
	switch {
	case t == nil:
		return "plan.txt does not know the room " + to
	case t.floor == floorFakes && from.floor != floorFakes:
		return "fakes are for tests"
	case from.floor == floorFakes:
		return "" // a fake stands beside what it fakes and may know what that knows
	case slices.Contains(from.grants, to):
		return ""
	case t.level < from.level:
		return fmt.Sprintf("imports run downstairs: %s is on the floor %s, above %s on the floor %s", to, t.floor, from.path, from.floor)
	case t.level == from.level:
		return fmt.Sprintf("%s and %s are on one floor (%s); rooms of a floor know each other only by a grant", from.path, to, t.floor)
	case t.floor == floorNouns, house(from.path) == house(to):
		return ""
	}
	return fmt.Sprintf("houses do not know each other: %s is the house %s's; what must cross is handed over by cmd/node", to, house(to))
}

// mayUse gives the rule that a room's import of somebody else's package breaks, or nothing.
func (p *plan) mayUse(from *room, pkg string) string {
	d := p.doorOf(pkg)
	switch {
	case d == nil:
		return "a module of others has a door in plan.txt, with the reason for it"
	case from.floor == floorGarden, slices.Contains(d.rooms, from.path):
		return ""
	}
	return fmt.Sprintf("%s enters through %s only", d.module, strings.Join(d.rooms, ", "))
}

// doorOf finds the door of the longest module name that a package is in.
func (p *plan) doorOf(pkg string) *door {
	var best *door
	for _, d := range p.doors {
		if (pkg == d.module || strings.HasPrefix(pkg, d.module+"/")) && (best == nil || len(d.module) > len(best.module)) {
			best = d
		}
	}
	return best
}

// checkModules holds doors and go.mod to each other, and looks for doors that nobody uses.
func (p *plan) checkModules(t *tree) []breach {
	var out []breach
	used := map[string]map[string]bool{}
	for _, f := range t.files {
		for _, i := range f.imports {
			if d := p.doorOf(i); d != nil {
				if used[d.module] == nil {
					used[d.module] = map[string]bool{}
				}
				by := f.room
				if r := p.rooms[f.room]; f.test || r == nil || r.floor == floorGarden {
					by = everybodysTests
				}
				used[d.module][by] = true
			}
		}
	}
	for _, m := range t.requires {
		if p.doors[m] == nil {
			out = append(out, breach{"go.mod", "requires " + m, "a module of others has a door in plan.txt, with the reason for it"})
		}
	}
	for _, m := range slices.Sorted(maps.Keys(p.doors)) {
		d := p.doors[m]
		if d.why == "" {
			out = append(out, breach{"plan.txt", "has a door for " + m, "a door says why it is there"})
		}
		for _, r := range d.rooms {
			switch {
			case r != everybodysTests && p.rooms[r] == nil:
				out = append(out, breach{"plan.txt", "leads " + m + " into " + r, "a door leads into a room of the plan"})
			case !used[m][r] && r != everybodysTests: // go mod tidy sees to those
				out = append(out, breach{"plan.txt", "leads " + m + " into " + r, "a door that nobody uses is walled up: take it out of the plan"})
			}
		}
	}
	return out
}
