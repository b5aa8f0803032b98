package tunnel

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
)

// Endpoint accepts and dials sessions on one UDP socket.
//
//	Listen -> Dial, at any time
//	       -> Run, once: accepts until its context ends, then closes all sessions and waits for their handlers
//	       -> Close: as when Run's context ends, and gives the socket back
type Endpoint struct {
	cfg       Config
	transport *quic.Transport
	listener  *quic.Listener
	door      *door // who may begin a handshake
	budget    *budget

	stop    context.CancelFunc // ends everything
	stopped context.Context
	wg      sync.WaitGroup // sessions' ends, handlers, joins

	shutOnce sync.Once
	mu       sync.Mutex
	closed   bool // nothing is added to wg or sessions any more
	sessions map[*Session]struct{}
	joins    chan struct{} // a slot for every join under way
}

// Listen starts an endpoint on cfg.Conn. Peers are answered from now on, and served once Run runs.
func Listen(cfg Config) (*Endpoint, error) {
	if cfg.ReceiveBudget == 0 {
		cfg.ReceiveBudget = DefaultReceiveBudget
	}
	if cfg.MaxSessions == 0 {
		cfg.MaxSessions = DefaultMaxSessions
	}
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	e := &Endpoint{cfg: cfg, sessions: make(map[*Session]struct{}), joins: make(chan struct{}, maxJoins)}
	e.stopped, e.stop = context.WithCancel(context.Background())
	e.budget = newBudget(cfg.ReceiveBudget, func(used int64) { e.emit(BudgetSpent{Bytes: used}) })
	e.door = newDoor(e.budget)
	e.transport = &quic.Transport{
		Conn:                             quiet(cfg.Conn),
		ConnectionIDLength:               connectionIDLength,
		DisableVersionNegotiationPackets: true,
		VerifySourceAddress:              e.door.wantsRetry,
		ConnContext:                      e.door.enter,
	}
	if key := e.secretKey(); !key.IsZero() {
		reset := quic.StatelessResetKey(key.Derive("stateless reset " + cfg.Name))
		token := quic.TokenGeneratorKey(key.Derive("address token " + cfg.Name))
		e.transport.StatelessResetKey, e.transport.TokenGeneratorKey = &reset, &token
	}
	l, err := e.transport.Listen(e.serverTLS(), e.serverConfig())
	if err != nil {
		e.stop()
		return nil, fmt.Errorf("listen on %v: %w", cfg.Conn.LocalAddr(), err)
	}
	e.listener = l
	return e, nil
}

// connectionIDLength is the longest that there is. A stateless reset must be shorter than the packet that it answers, so
// quic-go answers none of 42 bytes or less; with its usual 4 bytes of connection ID a short question to a peer that has
// restarted is such a packet, and only silence tells. (A bare keep-alive still is one: an idle session to a restarted
// peer ends with its next stream or its idle time.)
const connectionIDLength = 20

func (e *Endpoint) secretKey() keys.Private {
	if !e.cfg.Key.IsZero() {
		return e.cfg.Key
	}
	if c, err := e.cfg.Credential(); err == nil && c != nil {
		return c.Key
	}
	return keys.Private{}
}

// Run accepts sessions and hands them to their handlers until ctx ends. It then closes all sessions, also those that
// were dialled, and returns when their handlers have.
func (e *Endpoint) Run(ctx context.Context) error {
	defer e.shut()
	unlink := context.AfterFunc(ctx, e.stop)
	defer unlink()
	tick := time.NewTicker(recheckPeriod)
	defer tick.Stop()
	e.spawn(func() {
		for {
			select {
			case <-tick.C:
				e.Recheck()
			case <-e.stopped.Done():
				return
			}
		}
	})
	for {
		conn, err := e.listener.Accept(e.stopped)
		if err != nil {
			if e.stopped.Err() != nil {
				return context.Cause(ctx) // nil when it was Close that ended it
			}
			return fmt.Errorf("accept on %v: %w", e.cfg.Conn.LocalAddr(), err)
		}
		if !e.spawn(func() { e.serve(conn) }) {
			_ = conn.CloseWithError(quic.ApplicationErrorCode(CodeShutdown), shuttingDown)
		}
	}
}

// Close ends Run, closes all sessions, and stops reading from the socket, which stays open.
func (e *Endpoint) Close() error {
	e.shut()
	if err := e.transport.Close(); err != nil {
		return fmt.Errorf("close endpoint on %v: %w", e.cfg.Conn.LocalAddr(), err)
	}
	return nil
}

const shuttingDown = "shutting down"

// shut closes the sessions and waits for what belongs to them. Whoever comes second waits for the first.
func (e *Endpoint) shut() {
	e.shutOnce.Do(func() {
		e.mu.Lock()
		e.closed = true
		e.mu.Unlock()
		e.stop()
		var closing sync.WaitGroup
		for _, s := range e.Sessions() {
			closing.Go(func() { s.Close(CodeShutdown, shuttingDown) })
		}
		_ = e.listener.Close() // also ends handshakes under way
		closing.Wait()
		e.wg.Wait()
	})
}

// LocalAddr is the address of the socket.
func (e *Endpoint) LocalAddr() netip.AddrPort { return addrPort(e.cfg.Conn.LocalAddr()) }

// Sessions lists the live sessions.
func (e *Endpoint) Sessions() []*Session {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]*Session, 0, len(e.sessions))
	for s := range e.sessions {
		all = append(all, s)
	}
	return all
}

// Recheck looks at every live session's peer again, as if it connected now, and closes those that would be refused.
// Call it whenever the catalog or the credential changed. It returns whom it closed, when they are closed.
func (e *Endpoint) Recheck() []topo.RouterID {
	var gone []topo.RouterID
	for _, s := range e.Sessions() {
		if err := e.check(s); err != nil {
			s.Close(codeOf(err), err.Error())
			gone = append(gone, s.peer.Router)
		}
	}
	return gone
}

func (e *Endpoint) check(s *Session) error {
	cred, err := e.cfg.Credential()
	if err != nil {
		return nil // that we cannot prove who we are says nothing about the peer
	}
	id, err := cred.CheckPeer(s.chain, e.cfg.Verify)
	if err != nil {
		return err
	}
	return e.admit(id, s.alpn, s.dialed)
}

func (e *Endpoint) admit(id keys.Identity, alpn string, dialed bool) error {
	if dialed || e.cfg.Admit == nil {
		return nil
	}
	if err := e.cfg.Admit(id, alpn); err != nil {
		return fmt.Errorf("%w: %w", ErrNotAdmitted, err)
	}
	return nil
}

// spawn runs f as a goroutine that Run and Close wait for; false when the endpoint is closed.
func (e *Endpoint) spawn(f func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.wg.Go(f)
	return true
}

// add takes a session into the books. Its account is given back when it ends.
func (e *Endpoint) add(s *Session, a *account) error {
	e.budget.attach(a, s.conn, e.limits(s.alpn).SessionWindow)
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return ErrClosed
	}
	if len(e.sessions) >= e.cfg.MaxSessions {
		e.mu.Unlock()
		return fmt.Errorf("%w: %d sessions are open, the most it has", ErrBusy, e.cfg.MaxSessions)
	}
	oldest := e.excess(s)
	e.sessions[s] = struct{}{}
	e.wg.Add(1)
	e.mu.Unlock()
	if oldest != nil {
		oldest.Close(CodeReplaced, "newer sessions of this router take its place")
	}
	e.emit(SessionUp{Peer: s.peer, ALPN: s.alpn, Addr: s.RemoteAddr(), Dialed: s.dialed})
	context.AfterFunc(s.conn.Context(), func() {
		defer e.wg.Done()
		e.mu.Lock()
		delete(e.sessions, s)
		e.mu.Unlock()
		e.emit(SessionDown{Peer: s.peer, ALPN: s.alpn, Addr: s.RemoteAddr(), Dialed: s.dialed, Lived: time.Since(s.began), Err: s.Err()})
	})
	return nil
}

// excess returns the oldest session like s when there are as many as may be. The caller holds mu.
func (e *Endpoint) excess(s *Session) (oldest *Session) {
	n := 0
	for o := range e.sessions {
		if o.peer.Router != s.peer.Router || o.alpn != s.alpn || o.dialed != s.dialed {
			continue
		}
		n++
		if oldest == nil || o.began.Before(oldest.began) {
			oldest = o
		}
	}
	if n < maxSessionsPerPeer {
		return nil
	}
	return oldest
}

func (e *Endpoint) limits(alpn string) Limits {
	if l, ok := e.cfg.Limits[alpn]; ok {
		return l
	}
	return DefaultLimits(alpn)
}

func (e *Endpoint) emit(ev Event) {
	if e.cfg.Emit != nil {
		e.cfg.Emit(ev)
	}
}

// quiet keeps quic-go from writing to the log of package log about buffers that cannot be set.
func quiet(c net.PacketConn) net.PacketConn {
	type buffered interface {
		SetReadBuffer(int) error
		SetWriteBuffer(int) error
	}
	if _, ok := c.(buffered); ok {
		return c
	}
	return unbuffered{c}
}

type unbuffered struct{ net.PacketConn }

func (unbuffered) SetReadBuffer(int) error  { return nil }
func (unbuffered) SetWriteBuffer(int) error { return nil }
