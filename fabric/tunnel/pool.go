package tunnel

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// How a pool comes back to a peer that it could not reach.
const (
	backoffMin = 100 * time.Millisecond
	backoffMax = 2 * time.Second // a peer that is back is noticed within this
	// maxPoolEntries bounds what a pool remembers of peers; idle ones are forgotten first.
	maxPoolEntries = 4096
)

// PoolConfig is what a Pool is given.
type PoolConfig struct {
	Endpoint *Endpoint
	// Addrs lists where a router can be reached, best first: underlay, then its overlay loopback, which also works
	// when only relays reach it. It is asked at every dial.
	Addrs func(topo.RouterID) []netip.AddrPort
	// Emit receives DialFailed and Silent; nil drops them.
	Emit func(Event)
}

// Pool hands out streams to routers, over one session for every peer and ALPN that it dials when it is first needed
// and again when it has ended. Its methods are safe for concurrent use.
//
// A session that has been silent for some seconds is dialled anew while it is still held (see watch.go), because a way
// that goes dead says nothing and the peer may be reached at its next address long before QUIC gives up.
type Pool struct {
	cfg     PoolConfig
	stopped context.Context
	stop    context.CancelCauseFunc
	wg      sync.WaitGroup

	mu      sync.Mutex
	entries map[poolKey]*poolEntry
}

type poolKey struct {
	peer topo.RouterID
	alpn string
}

// poolEntry is what the pool knows of one peer under one ALPN: a session, or a dial under way, or when to try again; or a
// session and a dial, when the session has fallen silent.
type poolEntry struct {
	session  *Session
	heard    uint64    // packets of session when watch last looked
	heardAt  time.Time // when that changed
	dial     *poolDial
	failures int
	retryAt  time.Time
	err      error // of the last dial
}

// poolDial is one dial that any number of callers wait for.
type poolDial struct {
	done    chan struct{}
	session *Session
	err     error
}

// NewPool makes a pool. Close it before its endpoint.
func NewPool(cfg PoolConfig) *Pool {
	p := &Pool{cfg: cfg, entries: make(map[poolKey]*poolEntry)}
	p.stopped, p.stop = context.WithCancelCause(context.Background())
	p.wg.Go(p.watch)
	return p
}

// Open opens a stream to a router. When the session at hand turns out to have ended, one new one is tried.
func (p *Pool) Open(ctx context.Context, peer topo.RouterID, alpn string) (net.Conn, error) {
	for again := true; ; again = false {
		s, err := p.Session(ctx, peer, alpn)
		if err != nil {
			return nil, err
		}
		c, err := s.Open(ctx)
		if err == nil {
			return c, nil
		}
		if !again || !errors.Is(err, ErrSessionClosed) {
			return nil, err
		}
	}
}

// Session returns the live session to a router, dialling it if need be. Callers that come while a dial is under way
// wait for that one. After a failure the pool waits a little longer each time before it dials again, and in between
// returns what went wrong.
func (p *Pool) Session(ctx context.Context, peer topo.RouterID, alpn string) (*Session, error) {
	s, d, err := p.get(poolKey{peer, alpn})
	if s != nil || err != nil {
		return s, err
	}
	select {
	case <-d.done:
		return d.session, d.err
	case <-ctx.Done():
		return nil, fmt.Errorf("reach %v (%s): %w", peer, alpn, context.Cause(ctx))
	}
}

// get returns a live session, or a dial to wait for, or why there is neither.
func (p *Pool) get(k poolKey) (*Session, *poolDial, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped.Err() != nil {
		return nil, nil, fmt.Errorf("reach %v (%s): %w", k.peer, k.alpn, ErrClosed)
	}
	e := p.entries[k]
	if e == nil {
		p.forget()
		e = &poolEntry{}
		p.entries[k] = e
	}
	switch {
	case e.dial != nil:
	case e.alive():
		return e.session, nil, nil
	default:
		if wait := time.Until(e.retryAt); wait > 0 {
			return nil, nil, fmt.Errorf("%w (next attempt in %v)", e.err, wait.Round(time.Millisecond))
		}
		p.begin(k, e)
	}
	return nil, e.dial, nil
}

func (e *poolEntry) alive() bool { return e.session != nil && e.session.Err() == nil }

// begin starts a dial. The caller holds mu, and there is none under way.
func (p *Pool) begin(k poolKey, e *poolEntry) {
	d := &poolDial{done: make(chan struct{})}
	e.dial = d
	p.wg.Go(func() {
		d.session, d.err = p.race(k)
		p.settle(k, e, d)
	})
}

// settle records how a dial ended and lets its callers go.
func (p *Pool) settle(k poolKey, e *poolEntry, d *poolDial) {
	p.mu.Lock()
	e.dial = nil
	e.err = d.err
	old, wait := e.session, time.Duration(0)
	if d.err == nil {
		e.failures = 0
		e.session, e.heard, e.heardAt = d.session, 0, time.Now()
	} else {
		wait = backoff(e.failures)
		e.failures++
		e.retryAt = time.Now().Add(wait)
		if e.alive() {
			d.session, d.err = old, nil // silent or not, it is what there is
		}
	}
	failed := e.err
	p.mu.Unlock()
	if old != nil && old != d.session {
		old.Close(CodeReplaced, "it was silent, and another way was found")
	}
	if failed != nil && p.stopped.Err() == nil {
		p.emit(DialFailed{Peer: k.peer, ALPN: k.alpn, Err: failed, Retry: wait})
	}
	close(d.done)
}

func (p *Pool) emit(e Event) {
	if p.cfg.Emit != nil {
		p.cfg.Emit(e)
	}
}

// backoff doubles from backoffMin to backoffMax, give or take a fifth, so that a hundred routers do not dial a restarted
// one in step.
func backoff(failures int) time.Duration {
	d := backoffMax
	if failures < 10 {
		d = min(d, backoffMin<<failures)
	}
	return d*4/5 + rand.N(d*2/5)
}

// forget drops entries without a session and without a dial, when there are too many. The caller holds mu.
func (p *Pool) forget() {
	if len(p.entries) < maxPoolEntries {
		return
	}
	for k, e := range p.entries {
		if e.dial == nil && !e.alive() {
			delete(p.entries, k)
		}
	}
}

// RTT returns the smoothed round-trip time to a router, as the best of its live sessions has measured it.
func (p *Pool) RTT(peer topo.RouterID) (time.Duration, bool) {
	var best time.Duration
	for _, s := range p.cfg.Endpoint.Sessions() {
		if s.peer.Router != peer {
			continue
		}
		if rtt := s.Stats().RTT; rtt > 0 && (best == 0 || rtt < best) {
			best = rtt
		}
	}
	return best, best > 0
}

// Recheck closes the sessions of the endpoint whose peers would be refused now. See Endpoint.Recheck.
func (p *Pool) Recheck() []topo.RouterID { return p.cfg.Endpoint.Recheck() }

// Close ends dials under way and closes the pool's sessions.
func (p *Pool) Close() {
	p.stop(ErrClosed)
	p.wg.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.entries {
		if e.session != nil {
			e.session.Close(CodeDone, "pool closed")
		}
	}
	clear(p.entries)
}
