package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/fabric/topo"
)

const (
	// DefaultTimeout is how long a call may take, and a snapshot may stand still.
	DefaultTimeout = 10 * time.Second
	// idleStream is how long a stream waits for its next call before it is closed.
	idleStream = 2 * time.Minute
	// maxPooled bounds the idle streams that are kept to one router.
	maxPooled = 3
	// maxServed bounds the streams that one router may have open to us. Raft uses three: heartbeats,
	// entries, and now and then a vote or a snapshot.
	maxServed = 16
)

// ErrClosed is what every call gives after Close.
var ErrClosed = errors.New("raft transport is closed")

// Config is what a transport is given.
type Config struct {
	Self topo.RouterID
	// Dial opens a stream to a router that proved who it is.
	Dial func(ctx context.Context, to topo.RouterID) (net.Conn, error)
	// Guard must not be nil: there is no Raft without one.
	Guard Guard
	// Refused is told of every call that the guard refused; nil drops it.
	Refused func(from topo.RouterID, err error)
	// Timeout is DefaultTimeout when zero.
	Timeout time.Duration
}

// Transport is a raft.Transport with pre-vote. Calls come in through Serve.
type Transport struct {
	cfg     Config
	calls   chan raft.RPC
	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	serving sync.WaitGroup

	// mu guards the streams: idle ones by the router that they lead to, and all that are open.
	mu     sync.Mutex
	closed bool
	idle   map[topo.RouterID][]net.Conn
	open   map[net.Conn]struct{}
	served map[topo.RouterID]int
}

var (
	_ raft.Transport   = (*Transport)(nil)
	_ raft.WithPreVote = (*Transport)(nil)
	_ raft.WithClose   = (*Transport)(nil)
)

// New makes a transport. It is used until Close.
func New(cfg Config) *Transport {
	if cfg.Guard == nil {
		panic("transport: no guard")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	if cfg.Refused == nil {
		cfg.Refused = func(topo.RouterID, error) {}
	}
	t := &Transport{cfg: cfg, calls: make(chan raft.RPC), idle: map[topo.RouterID][]net.Conn{},
		open: map[net.Conn]struct{}{}, served: map[topo.RouterID]int{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t
}

// Consumer is where Raft takes its calls from.
func (t *Transport) Consumer() <-chan raft.RPC { return t.calls }

// LocalAddr is our own router.
func (t *Transport) LocalAddr() raft.ServerAddress { return Address(t.cfg.Self) }

// EncodePeer and DecodePeer keep addresses as they are.
func (t *Transport) EncodePeer(_ raft.ServerID, a raft.ServerAddress) []byte { return []byte(a) }

// DecodePeer reads what EncodePeer gave.
func (t *Transport) DecodePeer(b []byte) raft.ServerAddress { return raft.ServerAddress(b) }

// SetHeartbeatHandler does nothing, so that heartbeats take Raft's main loop (raft#695).
func (t *Transport) SetHeartbeatHandler(func(raft.RPC)) {}

// AppendEntriesPipeline is not offered: more than one call in flight is not safe (raft#612).
func (t *Transport) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}

// Close closes every stream and returns when nothing is served any more.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.closed = true
	t.cancel()
	for c := range t.open {
		_ = c.Close()
	}
	t.idle = map[topo.RouterID][]net.Conn{}
	t.mu.Unlock()
	t.serving.Wait()
	return nil
}

// Forget closes the idle streams to a router, for when its connection is known to be gone.
func (t *Transport) Forget(r topo.RouterID) {
	t.mu.Lock()
	conns := t.idle[r]
	delete(t.idle, r)
	t.mu.Unlock()
	for _, c := range conns {
		t.drop(c)
	}
}

// track notes an open stream, and closes it at once when the transport is closed.
func (t *Transport) track(c net.Conn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		_ = c.Close()
		return ErrClosed
	}
	t.open[c] = struct{}{}
	return nil
}

func (t *Transport) drop(c net.Conn) {
	t.mu.Lock()
	delete(t.open, c)
	t.mu.Unlock()
	_ = c.Close()
}

// get gives an idle stream or a new one, and says which.
func (t *Transport) get(to topo.RouterID) (c net.Conn, pooled bool, err error) {
	t.mu.Lock()
	if conns := t.idle[to]; len(conns) > 0 {
		c = conns[len(conns)-1]
		t.idle[to] = conns[:len(conns)-1]
	}
	t.mu.Unlock()
	if c != nil {
		return c, true, nil
	}
	ctx, cancel := context.WithTimeout(t.ctx, t.cfg.Timeout)
	defer cancel()
	if c, err = t.cfg.Dial(ctx, to); err != nil {
		return nil, false, fmt.Errorf("open a raft stream to %s: %w", to, err)
	}
	return c, false, t.track(c)
}

func (t *Transport) put(to topo.RouterID, c net.Conn) {
	t.mu.Lock()
	keep := !t.closed && len(t.idle[to]) < maxPooled
	if keep {
		t.idle[to] = append(t.idle[to], c)
	}
	t.mu.Unlock()
	if !keep {
		t.drop(c)
	}
}
