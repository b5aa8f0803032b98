package consensus

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/consensus/raftlog"
	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/consensus/transport"
	"github.com/galleon-net/galleon/fabric/topo"
)

// What a voter keeps under Dir. The whole of raftDir goes when it stops being one.
const (
	raftDir     = "raft"
	diskFile    = "disk"
	logDir      = "log"
	snapshotDir = "snapshots"
	auditDir    = "audit"
	diskBytes   = 8
)

// keyTier is where the log's stable store has the tier of timeouts that Raft was last started with.
var keyTier = []byte("GalleonTier")

// stores is a voter's disk.
type stores struct {
	disk  string
	log   *raftlog.Store
	snaps *snapshots
	audit *auditTrail
}

// voter is a running Raft member.
type voter struct {
	stores
	id      raft.ServerID
	raft    *raft.Raft
	trans   *transport.Transport
	machine *machine
	// tier is what Raft was started with; reloaded is what was changed since, as far as it can be.
	tier     int
	reloaded atomic.Int64
	// ready is the term in which this leader's barrier went through: from then on its commit index
	// counts everything that was ever acknowledged.
	ready atomic.Uint64
	// transfer is set while leadership is being handed over.
	transfer atomic.Bool
	notify   chan bool
	observer *raft.Observer
	stop     context.CancelFunc
	loops    sync.WaitGroup
}

func (n *Node) hasLog() (bool, error) {
	_, err := n.cfg.FS.Stat(n.path(raftDir, diskFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// openStores opens a voter's disk, or makes one with a name of its own.
func (n *Node) openStores() (s stores, err error) {
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err = mkdir(n.cfg.FS, n.path(raftDir)); err != nil {
		return s, err
	}
	has, err := n.hasLog()
	if err != nil {
		return s, err
	}
	if has {
		b, err := readFile(n.cfg.FS, n.path(raftDir, diskFile), 64)
		if err != nil {
			return s, err
		}
		s.disk = string(b)
	} else {
		// What lies here without a name is a removal that a crash cut short.
		for _, d := range []string{logDir, snapshotDir, auditDir} {
			if err = n.cfg.FS.RemoveAll(n.path(raftDir, d)); err != nil {
				return s, err
			}
		}
		if s.disk, err = n.randomHex(diskBytes); err != nil {
			return s, err
		}
	}
	if s.log, err = raftlog.Open(raftlog.Options{Dir: n.path(raftDir, logDir), FS: n.cfg.FS, Fatal: n.cfg.Fatal}); err != nil {
		return s, err
	}
	if s.snaps, err = openSnapshots(n.cfg.FS, n.path(raftDir, snapshotDir), n.cfg.Emit); err != nil {
		return s, err
	}
	if s.audit, err = openAudit(n.cfg.FS, n.path(raftDir, auditDir), n.cfg.Fatal); err != nil {
		return s, err
	}
	if !has {
		err = writeFile(n.cfg.FS, n.path(raftDir, diskFile), []byte(s.disk))
	}
	return s, err
}

func (s stores) close() {
	if s.log != nil {
		_ = s.log.Close()
	}
	if s.audit != nil {
		_ = s.audit.close()
	}
}

// startVoter opens the disk and starts Raft on it.
func (n *Node) startVoter() (err error) {
	v := &voter{notify: make(chan bool, 16)}
	if v.stores, err = n.openStores(); err != nil {
		return fmt.Errorf("start as a voter: %w", err)
	}
	v.id = transport.ServerID(n.cfg.Self, v.disk)
	// A disk that never ran is patient: it does not know yet how far the others are.
	v.tier = len(tiers) - 1
	if raw, err := v.log.Get(keyTier); err == nil && raw != nil {
		t, _ := v.log.GetUint64(keyTier)
		v.tier = min(int(t), len(tiers)-1)
	}
	v.reloaded.Store(int64(v.tier))
	v.machine = &machine{cluster: n.cfg.Cluster, hub: n.hub, audit: v.audit, fatal: n.cfg.Fatal, cur: state.New(), tier: -1}
	var guard transport.Guard = transport.Rules{Term: func() uint64 { return v.raft.CurrentTerm() }, Member: n.isMember}
	if n.cfg.test.guard != nil {
		guard = n.cfg.test.guard
	}
	v.trans = transport.New(transport.Config{Self: n.cfg.Self, Dial: n.cfg.DialRaft, Guard: guard, Refused: n.refused})
	conf := raftConfig(tiers[v.tier], v.id, n.cfg.Emit)
	conf.NotifyCh = v.notify
	if v.raft, err = raft.NewRaft(conf, v.machine, v.log, v.log, v.snaps, v.trans); err != nil {
		v.stores.close()
		return fmt.Errorf("start as a voter: %w", err)
	}
	observed := make(chan raft.Observation, 16)
	v.observer = raft.NewObserver(observed, false, func(o *raft.Observation) bool {
		_, leader := o.Data.(raft.LeaderObservation)
		return leader
	})
	v.raft.RegisterObserver(v.observer)
	ctx, stop := context.WithCancel(context.Background())
	v.stop = stop
	v.loops.Go(func() { n.lead(ctx, v) })
	v.loops.Go(func() { n.observe(ctx, v, observed) })
	n.voter.Store(v)
	n.cfg.Emit(RoleChanged{RoleVoter})
	return nil
}

// stopVoter ends Raft and closes its disk. What others ask meanwhile fails.
func (n *Node) stopVoter() {
	v := n.voter.Swap(nil)
	if v == nil {
		return
	}
	v.stop()
	_ = v.trans.Close()
	_ = v.raft.Shutdown().Error()
	v.loops.Wait()
	v.stores.close()
}

func (n *Node) observe(ctx context.Context, v *voter, observed <-chan raft.Observation) {
	for {
		select {
		case o := <-observed:
			l := o.Data.(raft.LeaderObservation)
			n.cfg.Emit(LeaderChanged{transport.RouterOf(l.LeaderAddr), v.raft.CurrentTerm()})
		case <-ctx.Done():
			v.raft.DeregisterObserver(v.observer)
			return
		}
	}
}

// ServeRaft answers a stream of ALPNRaft. It returns when the stream ends.
func (n *Node) ServeRaft(from topo.RouterID, c net.Conn) {
	v := n.voter.Load()
	if v == nil {
		_ = c.Close()
		return
	}
	v.trans.Serve(from, c)
}

// isMember says who may speak to our Raft: whom the catalog wants, whom Raft has, and nobody revoked.
func (n *Node) isMember(r topo.RouterID) bool {
	s := n.View()
	if s.Routers[r].Revoked != nil {
		return false
	}
	if slices.Contains(s.Members, r) {
		return true
	}
	v := n.voter.Load()
	return v != nil && slices.ContainsFunc(v.servers(), func(s raft.Server) bool { return transport.RouterOf(s.Address) == r })
}

// Admits says whether a router may open streams of ALPNRaft to us. A voter that was asleep while others
// became voters does not admit them until it has heard of them; see refused.
func (n *Node) Admits(r topo.RouterID) bool {
	if n.isMember(r) {
		return true
	}
	n.refused(r, errors.New("not a voter as far as is known here"))
	return false
}

// refused notes a call that the guard kept out. When a stranger calls, it may be that we are the one who
// is behind: a new voter leads, and we have not heard that it is one. So ask the voters that we know.
func (n *Node) refused(from topo.RouterID, err error) {
	n.cfg.Emit(CallRefused{from, err})
	if !n.isMember(from) {
		n.mu.Lock()
		n.doubt = time.Now().Add(doubtFor)
		n.mu.Unlock()
	}
}

// doubtFor is for how long a voter also follows the others after a stranger called.
const doubtFor = 30 * time.Second

func (v *voter) servers() []raft.Server {
	return v.raft.GetConfiguration().Configuration().Servers
}

func (v *voter) isLeader() bool { return v.raft.State() == raft.Leader }

// leader gives the router that Raft takes for the leader, 0 for none.
func (v *voter) leader() topo.RouterID {
	addr, _ := v.raft.LeaderWithID()
	return transport.RouterOf(addr)
}

// configured is the index of the last committed configuration.
func (v *voter) configured() uint64 { return max(v.machine.configured(), v.snaps.configured()) }
