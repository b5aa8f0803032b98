package consensus

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/topo"
)

// Role is what a router is in the cluster's agreement.
type Role string

// The roles. A voter is a Raft member; a watcher follows what the voters agreed on.
const (
	RoleVoter   Role = "voter"
	RoleWatcher Role = "watcher"
)

// Node is one router's part in the agreement.
//
//	Open ─▶ (on a new disk: Bootstrap, Adopt or Restore) ─▶ Run ─▶ its context ends, or Close
//
// Everything after Run was called may be called from any goroutine; proposals and reads work while Run runs.
type Node struct {
	cfg   Config
	hub   *hub
	voter atomic.Pointer[voter] // nil on a watcher
	reads readQueue
	// work counts the goroutines that Run waits for: served streams, proposals under way, batches.
	work sync.WaitGroup

	// mu guards what follows.
	mu       sync.Mutex
	ctx      context.Context // Run's, nil before it
	cancel   context.CancelFunc
	done     chan struct{} // closed when Run has returned
	conns    map[net.Conn]struct{}
	served   map[topo.RouterID]int
	watchers map[*watcher]struct{}
	// heard is what the voter that we follow says of the leader.
	heard heartbeat
	// doubt makes a voter follow others too, until then: its own log seems to be behind.
	doubt time.Time
	// peers is what the leader's last round of questions brought.
	peers map[topo.RouterID]peer
}

// Open reads what is on disk. The node does nothing before Run.
func Open(cfg Config) (*Node, error) {
	if err := cfg.fill(); err != nil {
		return nil, err
	}
	if err := mkdir(cfg.FS, cfg.Dir); err != nil {
		return nil, fmt.Errorf("open consensus: %w", err)
	}
	n := &Node{cfg: cfg, conns: map[net.Conn]struct{}{}, served: map[topo.RouterID]int{}, watchers: map[*watcher]struct{}{}, peers: map[topo.RouterID]peer{}}
	s, err := n.loadLastGood()
	if err != nil {
		return nil, fmt.Errorf("open consensus: %w", err)
	}
	n.hub = newHub(s)
	n.reads.run = n.readIndexLocal
	return n, nil
}

// Run takes part until ctx ends, and returns when everything it started is gone.
func (n *Node) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.mu.Lock()
	if n.ctx != nil {
		n.mu.Unlock()
		return errors.New("consensus: Run was called before")
	}
	n.ctx, n.cancel, n.done = ctx, cancel, make(chan struct{})
	n.mu.Unlock()
	defer close(n.done)
	has, err := n.hasLog()
	if err == nil && has {
		err = n.startVoter()
	}
	if err != nil {
		return fmt.Errorf("run consensus: %w", err)
	}
	for _, loop := range []func(context.Context){n.roles, n.follow, n.keep} {
		n.work.Go(func() { loop(ctx) })
	}
	<-ctx.Done()
	n.mu.Lock()
	for c := range n.conns {
		_ = c.Close()
	}
	n.mu.Unlock()
	n.work.Wait()
	return errors.Join(ctx.Err(), n.saveLastGood(n.View()))
}

// Close ends Run and waits for it. A node that was never run needs no Close.
func (n *Node) Close() error {
	n.mu.Lock()
	cancel, done := n.cancel, n.done
	n.mu.Unlock()
	if cancel != nil {
		cancel()
		<-done
	}
	return nil
}

// start runs f as a goroutine that Run waits for. It refuses outside of Run.
func (n *Node) start(f func(ctx context.Context)) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctx == nil || n.ctx.Err() != nil {
		return errNotRunning
	}
	ctx := n.ctx
	n.work.Go(func() { f(ctx) })
	return nil
}

var errNotRunning = errors.New("consensus: not running")

// running gives the context that ends with Run.
func (n *Node) running() (context.Context, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctx == nil || n.ctx.Err() != nil {
		return nil, errNotRunning
	}
	return n.ctx, nil
}

// Adopt gives a router that joins the state that it got with its certificate, before Run. It is kept as
// its last good state.
func (n *Node) Adopt(s *state.State) error {
	has, err := n.hasLog()
	if err == nil && has {
		err = errors.New("this router is a voter and has a state of its own")
	}
	if err != nil {
		return fmt.Errorf("adopt a state: %w", err)
	}
	n.hub.publish(s, 0, nil)
	return n.saveLastGood(s)
}

// View gives the newest state that this router knows. It is never nil, and must not be changed.
func (n *Node) View() *state.State { return n.hub.view() }

// Changed gives a channel that is closed when View has something newer.
func (n *Node) Changed() <-chan struct{} { return n.hub.next() }

// Watch waits for a state later than an index.
func (n *Node) Watch(ctx context.Context, after uint64) (*state.State, error) {
	s, err := n.hub.wait(ctx, after+1)
	if err != nil {
		return nil, fmt.Errorf("wait for a state after %d: %w", after, err)
	}
	return s, nil
}

// randomHex gives n random bytes in hex.
func (n *Node) randomHex(size int) (string, error) {
	b := make([]byte, size)
	if _, err := io.ReadFull(n.cfg.Rand, b); err != nil {
		return "", fmt.Errorf("read random bytes: %w", err)
	}
	return hex.EncodeToString(b), nil
}

func (n *Node) path(elem ...string) string {
	return n.cfg.FS.PathJoin(append([]string{n.cfg.Dir}, elem...)...)
}

const (
	lastGoodFile = "last-good-state"
	// saveEvery is how long the file of the last good state may be behind. When it takes long to write
	// it may be saveShare times as long, so that a large state does not keep the disk busy.
	saveEvery = time.Second
	saveShare = 20
)

// loadLastGood reads the newest state that was kept. A damaged file is set aside and not fatal: it is a
// copy of what the voters have.
func (n *Node) loadLastGood() (*state.State, error) {
	path := n.path(lastGoodFile)
	b, err := readFile(n.cfg.FS, path, maxImage)
	if errors.Is(err, fs.ErrNotExist) {
		return state.New(), nil
	}
	if err != nil {
		return nil, err
	}
	i, err := decodeImage(b, n.cfg.Cluster)
	if err != nil {
		n.cfg.Emit(FileDamaged{path, err})
		return state.New(), n.cfg.FS.Rename(path, path+".damaged")
	}
	return i.State, nil
}

func (n *Node) saveLastGood(s *state.State) error {
	if s.Index == 0 {
		return nil
	}
	b, err := image{Cluster: n.cfg.Cluster, State: s}.encode()
	if err != nil {
		return err
	}
	return writeFile(n.cfg.FS, n.path(lastGoodFile), b)
}

// keep writes the last good state, about once every saveEvery. It is what a router starts from when
// it finds nobody to ask: a watcher always, a voter until it has heard from a leader.
func (n *Node) keep(ctx context.Context) {
	var saved uint64
	for {
		changed, begin := n.Changed(), time.Now()
		if s := n.View(); s.Index != saved {
			if err := n.saveLastGood(s); err != nil {
				n.cfg.Emit(FileDamaged{n.path(lastGoodFile), err})
			} else {
				saved = s.Index
			}
		}
		pause := max(saveEvery, saveShare*time.Since(begin))
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}
