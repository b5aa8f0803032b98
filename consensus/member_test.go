package consensus

import (
	"context"
	"errors"
	"math"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/consensus/transport"
	"github.com/galleon-net/galleon/fabric/topo"
)

// voters gives the routers that the leader's Raft counts.
func (w *world) voters() []topo.RouterID {
	var out []topo.RouterID
	if n := w.node(w.leader()); n != nil {
		for _, s := range n.voter.Load().servers() {
			if s.Suffrage == raft.Voter {
				out = append(out, transport.RouterOf(s.Address))
			}
		}
	}
	slices.Sort(out)
	return out
}

// A cluster begins with one router; the others join, and three regions make three voters by themselves.
func TestGrowsByItself(t *testing.T) {
	inWorld(t, 4, 1, func(w *world) { w.pin = false }, func(w *world) {
		w.wire.setRTT(1, 4, 250*time.Millisecond)
		w.wire.setRTT(2, 4, 260*time.Millisecond)
		w.wire.setRTT(3, 4, 270*time.Millisecond)
		w.eventually(5*time.Minute, "three voters", func() bool { return slices.Equal(w.voters(), []topo.RouterID{1, 2, 3}) })
		w.propose(4, createBucket("grown"))
		w.agree()
		st, err := w.node(4).ClusterStatus(context.Background())
		if err != nil || len(st.Voters) != 3 || st.Leader == 0 || st.Hash == "" || len(st.Watchers) != 1 {
			t.Errorf("status %+v, %v", st, err)
		}
		for _, v := range st.Voters {
			if !v.Voter || v.LastContact < 0 || v.RTT == 0 && v.Router != st.Leader {
				t.Errorf("voter %+v", v)
			}
		}
		// The leader of the first hour dies for good. After ten minutes the fourth takes its place, for
		// which the timeouts become those of a long path first.
		dead := w.leader()
		w.crash(dead, 0)
		want := slices.DeleteFunc([]topo.RouterID{1, 2, 3, 4}, func(r topo.RouterID) bool { return r == dead })
		w.eventually(20*time.Minute, "the watcher replaces it", func() bool { return slices.Equal(w.voters(), want) })
		if got := w.node(w.leader()).Status().Wanted.RTT; got != 300*time.Millisecond {
			t.Errorf("timeouts for %v, want those for 300ms", got)
		}
		w.propose(4, createBucket("replaced"))
		// When it comes back it finds that it is no voter any more.
		w.start(dead)
		w.eventually(5*time.Minute, "it watches", func() bool { return w.node(dead).Status().Role == RoleWatcher })
		w.agree()
	})
}

// Three regions that are far apart: the first router must take slower timeouts before it has another voter
// to lead meanwhile.
func TestGrowsAcrossOceans(t *testing.T) {
	inWorld(t, 3, 1, func(w *world) { w.pin = false }, func(w *world) {
		for _, p := range [][2]topo.RouterID{{1, 2}, {1, 3}, {2, 3}} {
			w.wire.setRTT(p[0], p[1], 250*time.Millisecond)
		}
		w.eventually(10*time.Minute, "three voters", func() bool { return slices.Equal(w.voters(), []topo.RouterID{1, 2, 3}) })
		w.propose(3, createBucket("wide"))
		w.agree()
	})
}

func TestRevokedVoterLeaves(t *testing.T) {
	inWorld(t, 4, 3, nil, func(w *world) {
		l := w.waitLeader()
		w.propose(4, state.Command{Author: "test", Reason: "stolen", RevokeRouter: &state.RevokeRouter{ID: l}})
		w.eventually(time.Minute, "the revoked leader has left", func() bool {
			return w.leader() != 0 && w.leader() != l && !slices.Contains(w.voters(), l) && len(w.voters()) == 2
		})
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if _, err := w.node(l).Propose(ctx, createBucket("revoked")); err == nil {
			t.Error("a revoked router still proposes")
		}
		w.propose(4, createBucket("goes-on"))
	})
}

// A voter that lost its disk comes back under another name and learns everything again.
func TestLostDisk(t *testing.T) {
	inWorld(t, 3, 3, nil, func(w *world) {
		l := w.waitLeader()
		w.propose(1, createBucket("one"))
		victim := l%3 + 1
		old := w.node(victim).Status().Disk
		w.crash(victim, 0)
		if err := w.sites[victim].disk.RemoveAll("galleon"); err != nil {
			t.Fatal(err)
		}
		w.start(victim)
		w.eventually(3*time.Minute, "it votes again, on another disk", func() bool {
			st := w.node(w.leader())
			if st == nil {
				return false
			}
			for _, s := range st.voter.Load().servers() {
				r, disk, _ := transport.ParseServerID(s.ID)
				if r == victim && disk != old && s.Suffrage == raft.Voter {
					return true
				}
			}
			return false
		})
		w.agree()
	})
}

// A voter slept while the cluster changed hands to voters that it has never heard of. It does not know
// their calls for honest until it has asked those it knows.
func TestStrangersBecomeKnown(t *testing.T) {
	inWorld(t, 5, 3, nil, func(w *world) {
		l := w.waitLeader()
		sleeper := l%3 + 1
		w.halt(sleeper)
		members := []topo.RouterID{sleeper, l, 4, 5}
		other := 6 - l - sleeper
		w.propose(l, state.Command{Author: "test", SetMembers: &state.SetMembers{Members: append(members, other)}})
		w.eventually(5*time.Minute, "five voters", func() bool { return len(w.voters()) == 5 })
		if err := w.node(l).TransferLeadership(context.Background(), 4); err != nil {
			t.Fatal(err)
		}
		w.start(sleeper)
		w.propose(5, createBucket("later"))
		w.agree()
	})
}

// attack opens a Raft stream as a router and sends one call.
func (w *world) attack(from, to topo.RouterID, term uint64) {
	c, err := w.wire.dial(context.Background(), from, to, func(c net.Conn) bool {
		go w.node(to).ServeRaft(from, c)
		return true
	})
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	trans := transport.New(transport.Config{Self: from, Guard: transport.Rules{}, Dial: func(context.Context, topo.RouterID) (net.Conn, error) { return c, nil }})
	defer trans.Close()
	id := transport.ServerID(from, "aa")
	_ = trans.AppendEntries("", transport.Address(to), &raft.AppendEntriesRequest{
		RPCHeader: raft.RPCHeader{ProtocolVersion: 3, ID: []byte(id)}, Term: term,
	}, &raft.AppendEntriesResponse{})
}

// everything lets everything pass.
type everything struct{}

func (everything) Admit(topo.RouterID, any) error { return nil }

func attackWorks(t *testing.T, guard transport.Guard) (alive bool) {
	inWorld(t, 4, 3, func(w *world) { w.knobs.guard = guard }, func(w *world) {
		w.waitLeader()
		for id := topo.RouterID(1); id <= 3; id++ {
			w.attack(4, id, math.MaxUint64-1)
		}
		// The first election afterwards may still find a term; the one after that cannot.
		alive = true
		for _, b := range []string{"first", "second", "third"} {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			r, err := w.node(4).Propose(ctx, createBucket(b))
			cancel()
			alive = alive && err == nil && r.Err == nil
			if l := w.leader(); l != 0 {
				w.halt(l)
				w.start(l)
			}
		}
		w.mu.Lock()
		w.fatal = nil
		w.mu.Unlock()
	})
	return alive
}

// One call of any router that can open a stream would end elections for good. The guard is what stands
// between, and the same attack without it shows that this test would notice.
func TestTermAttack(t *testing.T) {
	if !attackWorks(t, nil) {
		t.Error("the guard let a term near 2^64 through")
	}
	if attackWorks(t, everything{}) {
		t.Error("without the guard the attack did nothing: this test proves nothing")
	}
}

func TestAudit(t *testing.T) {
	inWorld(t, 4, 3, nil, func(w *world) {
		w.waitLeader()
		base := w.node(1).View().Audit.Seq
		for _, b := range []string{"aaa", "bbb", "ccc"} {
			w.propose(4, createBucket(b))
		}
		w.agree()
		for _, id := range w.ids() {
			entries, err := w.node(id).Audit(context.Background(), base+1, 10)
			if err != nil || len(entries) != 3 || entries[2].What != "create bucket ccc" {
				t.Errorf("%s: %+v, %v", id, entries, err)
			}
		}
		// An entry that was changed on every disk is found.
		for id := topo.RouterID(1); id <= 3; id++ {
			v := w.node(id).voter.Load()
			e, _ := v.audit.read(base+2, 1)
			e[0].Author = "nobody"
			if err := v.audit.add(e[0]); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.node(4).Audit(context.Background(), base+1, 10); err == nil || !strings.Contains(err.Error(), "altered") {
			t.Errorf("an altered entry: %v", err)
		}
	})
}

func TestBackupAndRestore(t *testing.T) {
	inWorld(t, 3, 3, nil, func(w *world) {
		w.waitLeader()
		w.propose(2, createBucket("kept"))
		var b strings.Builder
		if err := w.node(3).Backup(context.Background(), &b); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadBackup(strings.NewReader(b.String()[:b.Len()-1]), clusterID); err == nil {
			t.Error("a backup cut short was accepted")
		}
		if _, err := ReadBackup(strings.NewReader(b.String()), "another"); err == nil {
			t.Error("a backup of another cluster was accepted")
		}
		s, err := ReadBackup(strings.NewReader(b.String()), clusterID)
		if err != nil {
			t.Fatal(err)
		}
		// All voters are lost; the second goes on alone from the backup.
		for id := topo.RouterID(1); id <= 3; id++ {
			w.crash(id, 0)
		}
		if err := w.sites[2].disk.RemoveAll("galleon"); err != nil {
			t.Fatal(err)
		}
		next, err := Restored(s, 2)
		if err != nil {
			t.Fatal(err)
		}
		n, err := Open(w.config(2))
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Restore(next); err != nil {
			t.Fatal(err)
		}
		if err := n.Restore(next); err == nil {
			t.Error("bootstrap twice")
		}
		w.start(2)
		w.waitLeader()
		if r := w.propose(2, createBucket("new")); r.Err != nil {
			t.Fatal(r.Err)
		}
		got := w.node(2).View()
		if _, ok := got.Buckets["kept"]; !ok || got.Cluster.Incarnation != s.Cluster.Incarnation+1 || got.Index <= s.Index {
			t.Errorf("restored to incarnation %d at index %d with %d buckets", got.Cluster.Incarnation, got.Index, len(got.Buckets))
		}
	})
}

// A cluster from nothing: the first command, a joiner that adopts what it got, and nobody begins twice.
func TestBootstrapAndAdopt(t *testing.T) {
	inWorld(t, 2, 1, nil, func(w *world) {
		for id := range w.sites {
			w.halt(id)
			w.sites[id].disk = vfs.NewCrashableMem()
		}
		first, err := Open(w.config(1))
		if err != nil {
			t.Fatal(err)
		}
		init := state.Command{Key: "init", Author: "test", Init: &state.Init{
			Cluster: state.Cluster{ID: clusterID, FeatureLevel: 1, FabricMTU: 1400, Loopbacks: []netip.Prefix{netip.MustParsePrefix("10.200.0.0/16")}},
			Router:  state.NewRouter{PublicKey: make([]byte, 32), Feature: 1}, Region: "ap-tokyo", Zone: "ap-tokyo-a",
		}}
		if err := first.Bootstrap(createBucket("not-an-init")); err == nil {
			t.Error("a cluster began without Init")
		}
		if err := first.Bootstrap(init); err != nil {
			t.Fatal(err)
		}
		if err := first.Bootstrap(init); err == nil {
			t.Error("a cluster began twice")
		}
		if id := first.View().Cluster.ID; id != clusterID {
			t.Errorf("cluster %q right after Bootstrap", id)
		}
		w.crash(1, 0)
		w.start(1)
		w.waitLeader()
		w.propose(1, createBucket("bucket"))
		second, err := Open(w.config(2))
		if err != nil {
			t.Fatal(err)
		}
		if err := second.Adopt(w.node(1).View()); err != nil {
			t.Fatal(err)
		}
		w.crash(2, 0)
		if n := w.start(2); n.View().Index != w.node(1).View().Index {
			t.Errorf("the joiner starts at %d, adopted %d", n.View().Index, w.node(1).View().Index)
		}
		w.agree()
		entries, err := w.node(2).Audit(context.Background(), 1, 10)
		if err != nil || len(entries) != 2 || entries[0].Author != "test" {
			t.Errorf("audit trail %+v, %v: want Init and the bucket", entries, err)
		}
		if err := w.node(2).Close(); err != nil {
			t.Error(err)
		}
		if _, err := w.node(2).Propose(context.Background(), createBucket("closed")); err == nil {
			t.Error("a closed node proposes")
		}
	})
}

func TestUnknownOutcome(t *testing.T) {
	inWorld(t, 3, 3, nil, func(w *world) {
		l := w.waitLeader()
		others := slices.DeleteFunc(w.ids(), func(r topo.RouterID) bool { return r == l })
		w.wire.split([]topo.RouterID{l}, others, true)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		c := createBucket("maybe")
		c.Key = "k"
		if _, err := w.node(l).Propose(ctx, c); !errors.Is(err, ErrUnknownOutcome) {
			t.Errorf("a leader that was cut off with an entry in its log: %v, want ErrUnknownOutcome", err)
		}
		w.wire.split([]topo.RouterID{l}, others, false)
		if r := w.propose(others[0], c); r.Err != nil {
			t.Errorf("asking again with the same key: %v", r.Err)
		}
	})
}

// One router cannot take all the request streams there are.
func TestRequestStreamsAreBounded(t *testing.T) {
	inWorld(t, 3, 3, nil, func(w *world) {
		w.waitLeader()
		var mine []net.Conn
		for range maxServedEach + 5 {
			c, err := w.node(2).cfg.DialRequest(context.Background(), 1)
			if err != nil {
				t.Fatal(err)
			}
			mine = append(mine, c)
		}
		w.eventually(time.Second, "they are being served", func() bool {
			n := w.node(1)
			n.mu.Lock()
			defer n.mu.Unlock()
			return n.served[2] == maxServedEach
		})
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := w.node(3).ask(ctx, 1, msgInfo, infoRequest{}, &Info{}); err != nil {
			t.Errorf("another router is kept out: %v", err)
		}
		for _, c := range mine {
			c.Close()
		}
		w.agree()
	})
}

// States that are not the same are noticed: the leader says so of a voter, and a watcher takes the
// voters' state again.
func TestDivergenceIsNoticed(t *testing.T) {
	inWorld(t, 4, 3, nil, func(w *world) {
		l := w.waitLeader()
		w.propose(4, createBucket("bucket"))
		w.agree()
		spoil := func(id topo.RouterID, by int) {
			h := w.node(id).hub
			h.mu.Lock()
			defer h.mu.Unlock()
			other := *h.cur
			other.Cluster.FabricMTU += by
			for i, s := range h.past {
				if s == h.cur {
					h.past[i] = &other
				}
			}
			h.cur = &other
		}
		voter := l%3 + 1
		spoil(4, 1)
		spoil(voter, 2)
		told := func(by, of topo.RouterID) func() bool {
			return func() bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				want := by.String() + " consensus.diverged [router=" + of.String()
				return slices.ContainsFunc(w.log, func(s string) bool { return strings.Contains(s, want) })
			}
		}
		w.eventually(3*time.Minute, "the leader says that the voter differs", told(l, voter))
		w.eventually(3*time.Minute, "the watcher finds out", told(4, 4))
		w.propose(l, createBucket("another"))
		w.eventually(5*time.Minute, "the watcher has the voters' state", func() bool {
			return w.node(4).Status().Hash == w.node(l).Status().Hash
		})
	})
}
