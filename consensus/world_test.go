package consensus

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/consensus/transport"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

// world is a cluster in one process and in fake time.
type world struct {
	t     *testing.T
	wire  *wire
	rng   *rand.ChaCha8
	knobs testKnobs
	// wrapFor puts something between a router and its disk; tier is the one that the voters start with.
	wrapFor func(topo.RouterID, vfs.FS) vfs.FS
	tier    int
	pin     bool

	mu    sync.Mutex
	sites map[topo.RouterID]*site
	// fatal collects what would have ended processes, unless expected.
	fatal []error
	log   []string
}

// site is one router: its disk, and the node that runs on it while it is up.
type site struct {
	id   topo.RouterID
	disk *vfs.MemFS
	node *Node // nil while it is down
	stop func()
}

var regions = []topo.Region{"ap-tokyo", "ap-singapore", "eu-frankfurt", "us-virginia", "mx-queretaro", "sa-saopaulo", "th-bangkok"}

const clusterID = "test.galleon"

// inWorld runs f with n routers in as many regions, of which the first voters are Raft voters from the
// start.
func inWorld(t *testing.T, n, voters int, setup func(*world), f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, wire: newWire(), rng: rand.NewChaCha8([32]byte{1}), sites: map[topo.RouterID]*site{}, pin: true, tier: 1,
			wrapFor: func(_ topo.RouterID, fs vfs.FS) vfs.FS { return fs }}
		if setup != nil {
			setup(w)
		}
		initial := catalog(t, n, voters)
		for i := range n {
			id := topo.RouterID(i + 1)
			w.sites[id] = &site{id: id, disk: vfs.NewCrashableMem()}
		}
		w.bootstrap(initial, voters)
		for id := range w.sites {
			w.start(id)
		}
		defer func() {
			for id := range w.sites {
				w.halt(id)
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, err := range w.fatal {
				t.Errorf("fatal: %v", err)
			}
			if t.Failed() {
				t.Log(strings.Join(w.log, "\n"))
			}
		}()
		f(w)
	})
}

// catalog is a state with n routers and some of them as members.
func catalog(t *testing.T, n, voters int) *state.State {
	s := state.New()
	index := uint64(0)
	now := time.Now()
	do := func(c state.Command) {
		index++
		c.Time = now
		next, r, _ := s.Apply(index, c)
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		s = next
	}
	self := func(i int) state.NewRouter {
		return state.NewRouter{PublicKey: bytes.Repeat([]byte{byte(i + 1)}, 32), Feature: state.FeatureLevel}
	}
	var members []topo.RouterID
	for i := range n {
		region := regions[i%len(regions)]
		zone := topo.Zone(region + "-a")
		if i == 0 {
			do(state.Command{Init: &state.Init{
				Cluster: state.Cluster{ID: clusterID, FeatureLevel: 1, FabricMTU: 1400, Loopbacks: []netip.Prefix{netip.MustParsePrefix("10.200.0.0/16")}},
				Router:  self(i), Region: region, Zone: zone,
			}})
		} else {
			id := fmt.Sprintf("token-%d", i)
			do(state.Command{CreateToken: &state.CreateToken{Token: state.Token{ID: id, Region: region, Zone: zone, Expires: now.Add(time.Hour)}}})
			do(state.Command{Join: &state.Join{TokenID: id, Router: self(i)}})
		}
		if i < voters {
			members = append(members, topo.RouterID(i+1))
		}
	}
	do(state.Command{SetMembers: &state.SetMembers{Members: members}})
	s.Done = nil
	return s
}

// bootstrap gives the first routers the same first snapshot, as if the cluster had grown to them.
func (w *world) bootstrap(initial *state.State, voters int) {
	first := *initial
	first.Index++
	var conf raft.Configuration
	var all []stores
	for i := range voters {
		id := topo.RouterID(i + 1)
		n, err := Open(w.config(id))
		if err != nil {
			w.t.Fatal(err)
		}
		s, err := n.openStores()
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, s)
		conf.Servers = append(conf.Servers, raft.Server{Suffrage: raft.Voter, ID: transport.ServerID(id, s.disk), Address: transport.Address(id)})
	}
	img, err := image{Cluster: clusterID, Tier: w.tier, State: &first}.encode()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range all {
		err := errors.Join(s.log.SetUint64([]byte("CurrentTerm"), 1), s.log.SetUint64(keyTier, uint64(w.tier)), s.snaps.write(raft.SnapshotMeta{
			Version: 1, ID: fmt.Sprintf("%020d-%020d", first.Index, 1), Index: first.Index, Term: 1, Configuration: conf, ConfigurationIndex: first.Index,
		}, img))
		if err != nil {
			w.t.Fatal(err)
		}
		s.close()
	}
}

func (w *world) config(id topo.RouterID) Config {
	to := func(serve func(*Node, net.Conn)) Dial {
		return func(ctx context.Context, peer topo.RouterID) (net.Conn, error) {
			return w.wire.dial(ctx, id, peer, func(c net.Conn) bool {
				n := w.node(peer)
				if n == nil || w.node(id) == nil {
					return false
				}
				go serve(n, c)
				return true
			})
		}
	}
	return Config{
		Self: id, Cluster: clusterID, Dir: "galleon", FS: w.wrapFor(id, w.sites[id].disk), Rand: w.rng, PinVoters: w.pin,
		DialRaft:    to(func(n *Node, c net.Conn) { n.ServeRaft(id, c) }),
		DialRequest: to(func(n *Node, c net.Conn) { n.ServeRequest(id, c) }),
		RTT: func(peer topo.RouterID) time.Duration {
			if peer == id {
				return 0
			}
			return w.wire.roundTrip(id, peer)
		},
		Seeds: func() []topo.RouterID { return []topo.RouterID{1, 2, 3} },
		Emit: func(e Event) {
			if r, ok := e.(RaftSaid); ok && r.Level < slog.LevelError {
				return
			}
			w.note("%s %s %s", id, e.Name(), e.LogValue())
		},
		Fatal: func(err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.fatal = append(w.fatal, fmt.Errorf("%s: %w", id, err))
		},
		test: w.knobs,
	}
}

// maxNotes bounds the story that a failing test prints.
const maxNotes = 400

func (w *world) note(format string, a ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.log) >= maxNotes {
		w.log = w.log[1:]
	}
	w.log = append(w.log, time.Now().Format("15:04:05.000 ")+fmt.Sprintf(format, a...))
}

func (w *world) node(id topo.RouterID) *Node {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.sites[id]; s != nil {
		return s.node
	}
	return nil
}

func (w *world) start(id topo.RouterID) *Node {
	w.t.Helper()
	n, err := Open(w.config(id))
	if err != nil {
		w.t.Fatalf("open %s: %v", id, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	w.mu.Lock()
	s := w.sites[id]
	s.node = n
	w.mu.Unlock()
	w.eventually(time.Second, "the node runs", func() bool {
		_, err := n.running()
		return err == nil
	})
	s.stop = func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			w.t.Errorf("run %s: %v", id, err)
		}
	}
	return n
}

// halt stops a router in order.
func (w *world) halt(id topo.RouterID) {
	w.mu.Lock()
	s := w.sites[id]
	n := s.node
	s.node = nil
	w.mu.Unlock()
	if n != nil {
		s.stop()
	}
}

// crash cuts a router's power: what was not synced is lost in part.
func (w *world) crash(id topo.RouterID, percent int) {
	w.mu.Lock()
	s := w.sites[id]
	w.mu.Unlock()
	w.note("%s crashes", id)
	after := s.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(w.rng)})
	w.halt(id)
	s.disk = after
}

// eventually waits, in fake time, until f holds.
func (w *world) eventually(within time.Duration, what string, f func() bool) {
	w.t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) {
		if f() {
			return
		}
		if time.Now().After(end) {
			w.t.Fatalf("after %v still not: %s", within, what)
		}
	}
}

func (w *world) leader() topo.RouterID {
	for _, id := range w.ids() {
		if n := w.node(id); n != nil {
			if v := n.voter.Load(); v != nil && v.isLeader() && v.ready.Load() == v.raft.CurrentTerm() {
				return id
			}
		}
	}
	return 0
}

func (w *world) ids() []topo.RouterID {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []topo.RouterID
	for id := range w.sites {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

func (w *world) waitLeader() topo.RouterID {
	w.t.Helper()
	w.eventually(30*time.Second, "there is a leader", func() bool { return w.leader() != 0 })
	return w.leader()
}

func createBucket(name string) state.Command {
	return state.Command{Author: "test", CreateBucket: &state.CreateBucket{Bucket: object.Bucket{Name: name}}}
}

func (w *world) propose(from topo.RouterID, c state.Command) state.Result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := w.node(from).Propose(ctx, c)
	if err != nil {
		w.t.Fatalf("propose on %s: %v", from, err)
	}
	return r
}

// agree waits until every router that is up has the same state, and checks it by its hash.
func (w *world) agree() {
	w.t.Helper()
	same := func() bool {
		var first *state.State
		for _, id := range w.ids() {
			n := w.node(id)
			if n == nil {
				continue
			}
			s := n.View()
			if first == nil {
				first = s
			}
			if s.Index != first.Index {
				return false
			}
		}
		return true
	}
	w.eventually(time.Minute, "all routers are at the same index", same)
	var hash string
	for _, id := range w.ids() {
		if n := w.node(id); n != nil {
			if h := n.Status().Hash; hash != "" && h != hash {
				w.t.Errorf("%s has another state than the routers before it, at index %d", id, n.View().Index)
			} else {
				hash = h
			}
		}
	}
}
