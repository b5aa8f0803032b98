package consensus

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/hashicorp/raft"
	"pgregory.net/rapid"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/consensus/transport"
	"github.com/galleon-net/galleon/fabric/topo"
)

func TestTiers(t *testing.T) {
	for _, c := range []struct {
		rtt           time.Duration
		current, want int
	}{
		{0, 0, 0}, {50 * ms, 0, 0}, {51 * ms, 0, 1}, {150 * ms, 0, 2}, {290 * ms, 0, 3}, {900 * ms, 0, 3},
		{45 * ms, 1, 1}, {39 * ms, 1, 0}, {45 * ms, 3, 1}, {170 * ms, 3, 3}, {150 * ms, 3, 2},
	} {
		if got := tierFor(c.rtt, c.current); got != c.want {
			t.Errorf("RTT %v at tier %d: %d, want %d", c.rtt, c.current, got, c.want)
		}
	}
	for i, tier := range tiers {
		conf := raftConfig(tier, "r1-aa", func(Event) {})
		if err := raft.ValidateConfig(conf); err != nil {
			t.Errorf("tier %d: %v", i, err)
		}
		// A leader must hear from its followers within its lease although heartbeats follow each other.
		if slowest := tier.Heartbeat/5 + tier.RTT; slowest >= tier.Lease {
			t.Errorf("tier %d: heartbeats come every %v and the lease is %v", i, slowest, tier.Lease)
		}
	}
}

// placeSlowly tries every set that is allowed and gives the least cost.
func placeSlowly(spots []topo.RouterID, n int, rtt func(a, b topo.RouterID) time.Duration) time.Duration {
	best := time.Duration(-1)
	for mask := 0; mask < 1<<len(spots); mask++ {
		var set []topo.RouterID
		for i, r := range spots {
			if mask>>i&1 == 1 {
				set = append(set, r)
			}
		}
		if len(set) != n {
			continue
		}
		var sum time.Duration
		for _, leader := range set {
			var d []time.Duration
			for _, r := range set {
				if r == leader {
					d = append(d, 0)
				} else {
					d = append(d, known(rtt(leader, r)))
				}
			}
			slices.Sort(d)
			sum += d[n/2]
		}
		if c := sum / time.Duration(n); best < 0 || c < best {
			best = c
		}
	}
	return best
}

func TestPlacementIsOptimal(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 9).Draw(rt, "routers")
		dist := map[topo.Pair]time.Duration{}
		rtt := func(a, b topo.RouterID) time.Duration { return dist[topo.PairOf(a, b)] }
		var all []candidate
		for i := range n {
			r := topo.RouterID(i + 1)
			region := rapid.SampledFrom(regions).Draw(rt, "region")
			all = append(all, candidate{Router: r, Region: region, Zone: topo.Zone(fmt.Sprintf("%s-%d", region, i%2)), Alive: rapid.IntRange(0, 5).Draw(rt, "alive") > 0})
			for j := range i {
				dist[topo.PairOf(r, topo.RouterID(j+1))] = time.Duration(rapid.IntRange(0, 300).Draw(rt, "rtt")) * ms
			}
		}
		got := place(all, rtt)
		spots := spots(all)
		if len(spots) == 0 {
			if len(got) != 0 {
				rt.Fatalf("nobody is alive and %v are voters", got)
			}
			return
		}
		if len(got)%2 == 0 || len(got) > state.MaxVoters || !slices.IsSorted(got) {
			rt.Fatalf("voters %v", got)
		}
		if cost, least := quorumCost(got, rtt), placeSlowly(spots, len(got), rtt); cost != max(least, 0) {
			rt.Fatalf("voters %v cost %v, the best of %v cost %v", got, cost, spots, least)
		}
		seen := map[topo.Region]int{}
		for _, c := range all {
			if slices.Contains(got, c.Router) {
				seen[c.Region]++
				if !c.Alive {
					rt.Fatalf("%s is dead and was chosen", c.Router)
				}
			}
		}
		if len(got) > 3 && len(seen) != len(got) {
			rt.Fatalf("%d voters in %d regions", len(got), len(seen))
		}
		// What was chosen stays chosen.
		for i := range all {
			all[i].Voter = slices.Contains(got, all[i].Router)
		}
		if again := place(all, rtt); !slices.Equal(again, got) {
			rt.Fatalf("chose %v, and then %v", got, again)
		}
	})
}

func TestPlacementKeepsWhatItHas(t *testing.T) {
	even := func(a, b topo.RouterID) time.Duration { return 100 * ms }
	in := func(alive ...bool) []candidate {
		var out []candidate
		for i, a := range alive {
			out = append(out, candidate{Router: topo.RouterID(i + 1), Region: regions[i], Zone: topo.Zone(regions[i] + "-a"), Alive: a, Voter: i < 3})
		}
		return out
	}
	for _, c := range []struct {
		name string
		all  []candidate
		want []topo.RouterID
	}{
		{"a dead voter without a replacement stays", in(true, true, false), []topo.RouterID{1, 2, 3}},
		{"a dead voter with one goes", in(true, true, false, true), []topo.RouterID{1, 2, 4}},
		{"a fourth region changes nothing", in(true, true, true, true), []topo.RouterID{1, 2, 3}},
		{"a fifth makes five", in(true, true, true, true, true), []topo.RouterID{1, 2, 3, 4, 5}},
	} {
		if got := place(c.all, even); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	// 29 regions, the size of a large cloud, in good time.
	var many []candidate
	for i := range 29 {
		many = append(many, candidate{Router: topo.RouterID(i + 1), Region: topo.Region(fmt.Sprintf("region-%d", i)), Alive: true})
	}
	line := func(a, b topo.RouterID) time.Duration { return time.Duration(max(a, b)-min(a, b)) * 10 * ms }
	if got := place(many, line); len(got) != 5 || got[4]-got[0] != 4 {
		t.Errorf("29 routers in a line: %v, want five neighbours", got)
	}
}

// Stories of membership: what the leader does next, until there is nothing left to do.
func TestMembershipStories(t *testing.T) {
	datadriven.RunTest(t, "testdata/membership.txt", func(t *testing.T, d *datadriven.TestData) string {
		now := time.Unix(1000, 0)
		facts := map[topo.RouterID]memberFacts{}
		var servers []raft.Server
		var members []topo.RouterID
		self := topo.RouterID(1)
		for _, line := range strings.Split(strings.TrimSpace(d.Input), "\n") {
			f := strings.Fields(line)
			switch f[0] {
			case "self":
				self = router(t, f[1])
			case "members":
				for _, m := range f[1:] {
					members = append(members, router(t, m))
				}
			case "raft": // raft r1-aa voter
				r, _, err := transport.ParseServerID(raft.ServerID(f[1]))
				if err != nil {
					t.Fatal(err)
				}
				s := raft.Server{ID: raft.ServerID(f[1]), Address: transport.Address(r)}
				if f[2] == "nonvoter" {
					s.Suffrage = raft.Nonvoter
				}
				servers = append(servers, s)
			case "fact": // fact r2 disk=bb caught-up=40s revoked
				var m memberFacts
				for _, x := range f[2:] {
					k, v, _ := strings.Cut(x, "=")
					switch k {
					case "disk":
						m.Disk = v
					case "caught-up":
						d, err := time.ParseDuration(v)
						if err != nil {
							t.Fatal(err)
						}
						m.CaughtUp = now.Add(-d)
					case "revoked":
						m.Revoked = true
					}
				}
				facts[router(t, f[1])] = m
			default:
				t.Fatalf("%s: %q?", d.Pos, line)
			}
		}
		var out strings.Builder
		for range 12 {
			c := nextChange(now, self, members, servers, facts)
			i := slices.IndexFunc(servers, func(s raft.Server) bool { return s.ID == c.Server })
			switch c.Do {
			case actNone:
				out.WriteString("nothing to do\n")
				return out.String()
			case actTransfer:
				fmt.Fprintln(&out, c)
				return out.String()
			case actAdd:
				servers = append(servers, raft.Server{Suffrage: raft.Nonvoter, ID: c.Server, Address: transport.Address(c.Router)})
			case actPromote:
				servers[i].Suffrage = raft.Voter
			case actRemove:
				servers = slices.Delete(servers, i, i+1)
			}
			fmt.Fprintln(&out, c)
		}
		t.Fatalf("%s: no end:\n%s", d.Pos, out.String())
		return ""
	})
}

func router(t *testing.T, s string) topo.RouterID {
	t.Helper()
	r, err := topo.ParseRouterID(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestImage(t *testing.T) {
	s := state.New()
	s.Index, s.NextRouter = 7, 1
	b, err := image{Cluster: "c1", Tier: 2, State: s}.encode()
	if err != nil {
		t.Fatal(err)
	}
	i, err := decodeImage(b, "c1")
	if err != nil || i.Tier != 2 || i.State.Index != 7 {
		t.Fatalf("%+v, %v", i, err)
	}
	if _, err := decodeImage(b, "c2"); err == nil {
		t.Error("an image of another cluster was accepted")
	}
	for n := range b {
		if _, err := decodeImage(b[:n], "c1"); err == nil {
			t.Errorf("an image cut after %d bytes was accepted", n)
		}
		c := bytes.Clone(b)
		c[n] ^= 1
		if _, err := decodeImage(c, "c1"); err == nil {
			t.Errorf("an image with byte %d changed was accepted", n)
		}
	}
}

func FuzzImage(f *testing.F) {
	b, _ := image{Cluster: "c", State: &state.State{NextRouter: 1}}.encode()
	f.Add(b)
	f.Add([]byte(imageMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if i, err := decodeImage(b, "c"); err == nil {
			if _, err := i.encode(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestHubDeltas(t *testing.T) {
	h := newHub(&state.State{Index: 5})
	step := func(prev, index uint64) { h.publish(&state.State{Index: index}, prev, []byte("c")) }
	step(5, 6)
	step(6, 9)
	if d, whole := h.after(5, 10); len(d) != 2 || whole != nil || d[1].Index != 9 {
		t.Errorf("after 5: %+v, %v", d, whole)
	}
	if d, whole := h.after(7, 10); d != nil || whole == nil {
		t.Errorf("after a state that never was: %+v, %v", d, whole)
	}
	step(8, 10) // something is missing in between
	if d, whole := h.after(5, 10); d != nil || whole == nil || whole.Index != 10 {
		t.Errorf("after a gap: %+v, %v", d, whole)
	}
	step(10, 9)
	if h.view().Index != 10 {
		t.Error("an older state replaced a newer one")
	}
	for i := uint64(10); i < 10+maxRecent+5; i++ {
		step(i, i+1)
	}
	if len(h.recent) != maxRecent || len(h.past) != keptStates {
		t.Errorf("%d commands and %d states are kept", len(h.recent), len(h.past))
	}
}

// The bytes of an image on disks and in backups that exist. A change here needs a new magic.
func TestGoldenImage(t *testing.T) {
	datadriven.RunTest(t, "testdata/image.txt", func(t *testing.T, d *datadriven.TestData) string {
		b, err := image{Cluster: "c1", Tier: 2, State: &state.State{Index: 7, NextRouter: 1}}.encode()
		if err != nil {
			return err.Error()
		}
		// The state's own encoding is consensus/state's to pin.
		return fmt.Sprintf("%x\n", b[:12])
	})
}
