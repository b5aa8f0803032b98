package route

import (
	"slices"
	"testing"

	"github.com/galleon-net/galleon/fabric/topo"
	"pgregory.net/rapid"
)

// tables is what every router forwards by in one plane; failures do not change it.
type tables map[topo.RouterID]map[topo.RouterID]Hop

func tablesOf(in Input, plane topo.Plane) tables {
	all := tables{}
	for _, l := range in.Links {
		if all[l.From] != nil {
			continue
		}
		in.Self = l.From
		e := Compute(in).engine
		all[l.From] = map[topo.RouterID]Hop{}
		for to := range e.Ways(plane) {
			all[l.From][to], _ = e.Hop(plane, to)
		}
	}
	return all
}

// walk hands a packet on as the data path does: to the next hop, or while the link to it is down to the
// backup, never to where it came from, and as long as its hop limit lasts. pick chooses among neighbours that
// are equally good. The answer is the routers that had the packet.
func (all tables) walk(from, to topo.RouterID, dead func(a, b topo.RouterID) bool, pick func(n int) int) []topo.RouterID {
	path := []topo.RouterID{from}
	at, came := from, topo.RouterID(0)
	for range MaxHops {
		h, ok := all[at][to]
		if !ok {
			break
		}
		var good []topo.RouterID
		for _, s := range h.Shares {
			if s.Next != came && !dead(at, s.Next) {
				good = append(good, s.Next)
			}
		}
		next := h.Next
		switch {
		case len(good) > 0:
			next = good[pick(len(good))]
		case next != came && !dead(at, next):
		case h.Backup != 0 && h.Backup != came && !dead(at, h.Backup):
			next = h.Backup
		default:
			return path
		}
		path = append(path, next)
		if next == to {
			break
		}
		at, came = next, at
	}
	return path
}

// TestPacketsArrive sends a packet between every two routers by each router's own tables: in peace, and with
// one failure that only the routers beside it have noticed. What a Guard claims holds: a packet that reaches
// the failure is led round it and arrives, no router sees it twice, unless it runs out of hops, or has to go
// back to where it came from, which is the one thing that the data path does not do.
func TestPacketsArrive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawNetwork(t)
		in.Draining = map[topo.RouterID]bool{} // ten seconds more hide every other difference
		plane := topo.Plane{Class: topo.ClassInteractive, Avoid: rapid.SampledFrom(in.Intent.Avoids()).Draw(t, "avoid")}
		all := tablesOf(in, plane)
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "flow") }
		never := func(a, b topo.RouterID) bool { return false }
		for from := range all {
			for to, h := range all[from] {
				p := all.walk(from, to, never, pick)
				if p[len(p)-1] != to || len(p) != len(h.Path) {
					t.Fatalf("from %s to %s: %v, meant %v", from, to, p, h.Path)
				}
				for _, r := range p[1 : len(p)-1] {
					if in.Intent.Forbids(plane.Avoid, in.Intent.Site(r).Region) {
						t.Fatalf("from %s to %s: %v passes through %s", from, to, p, r)
					}
				}
				if h.Backup == 0 {
					continue
				}
				all.check(t, in, from, to, pick)
			}
		}
	})
}

// check lets the link from s to its next hop for a destination fail, then the router behind it, then all that
// shares its risks.
func (all tables) check(t *rapid.T, in Input, s, to topo.RouterID, pick func(int) int) {
	h := all[s][to]
	cut := topo.PairOf(s, h.Next)
	fails := map[string]func(a, b topo.RouterID) bool{
		"link": func(a, b topo.RouterID) bool { return topo.PairOf(a, b) == cut },
	}
	if h.Guard.Node && h.Next != to {
		fails["node"] = func(a, b topo.RouterID) bool { return a == h.Next || b == h.Next }
	}
	if risks := in.Intent.Risks(s, h.Next); !h.Guard.SharesRisk && len(risks) > 0 {
		fails["risk"] = func(a, b topo.RouterID) bool {
			return slices.ContainsFunc(in.Intent.Risks(a, b), func(r string) bool { return slices.Contains(risks, r) })
		}
	}
	for name, dead := range fails {
		for from := range all {
			if from == to || from == h.Next && name == "node" || all[from] == nil {
				continue
			}
			if _, ok := all[from][to]; !ok {
				continue
			}
			p := all.walk(from, to, dead, pick)
			i := slices.Index(p, s)
			if i < 0 || p[len(p)-1] == to && len(unseen(p)) == len(p) {
				continue // it did not come by here, or it arrived
			}
			before := topo.RouterID(0)
			if i > 0 {
				before = p[i-1]
			}
			took := i+1 < len(p) && !slices.Contains(p[:i], h.Next) && p[i+1] == h.Backup
			switch {
			case len(h.Shares) > 0 && name != "link" || h.Backup == before: // it went on by another share, or must not go back
			case len(p) == MaxHops+1: // out of hops; from s itself it has enough
				if i == 0 {
					t.Fatalf("%s: from %s to %s: %v, backup path %v", name, from, to, p, h.BackupPath)
				}
			case from == s:
				t.Fatalf("%s of %s-%s: from %s to %s: %v, claimed %+v by %v", name, s, h.Next, from, to, p, h.Guard, h.BackupPath)
			case took && i > 0 && all.undisturbed(p[:i+1], to, dead):
				t.Fatalf("%s of %s-%s: from %s to %s: %v, claimed %+v by %v", name, s, h.Next, from, to, p, h.Guard, h.BackupPath)
			}
		}
	}
}

// undisturbed says whether the routers of a path before its last all used their next hops: the failure at its
// last is the first that the packet met.
func (all tables) undisturbed(p []topo.RouterID, to topo.RouterID, dead func(a, b topo.RouterID) bool) bool {
	for i := 0; i+1 < len(p); i++ {
		if h := all[p[i]][to]; dead(p[i], h.Next) || len(h.Shares) > 0 {
			return false
		}
	}
	return true
}

func unseen(p []topo.RouterID) map[topo.RouterID]bool {
	seen := map[topo.RouterID]bool{}
	for _, r := range p {
		seen[r] = true
	}
	return seen
}
