package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"

	"github.com/quic-go/quic-go"

	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
)

// Dial opens a session to a router at an address, and returns it when both ends have accepted each other. Whoever else
// answers is refused. It gives up when ctx ends, or after 3 seconds of silence.
func (e *Endpoint) Dial(ctx context.Context, peer topo.RouterID, addr netip.AddrPort, alpn string) (*Session, error) {
	addr = netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())
	if !addr.IsValid() || addr.Port() == 0 {
		return nil, dialError(peer, addr, alpn, errors.New("that is no address with a port"))
	}
	s, err := e.dial(ctx, peer, addr, alpn)
	if err != nil {
		return nil, dialError(peer, addr, alpn, err)
	}
	return s, nil
}

func (e *Endpoint) dial(ctx context.Context, peer topo.RouterID, addr netip.AddrPort, alpn string) (*Session, error) {
	cred, err := e.cfg.Credential()
	if err != nil {
		return nil, err
	}
	self, err := cred.Identity()
	if err != nil {
		return nil, err
	}
	if self.Router == peer {
		return nil, errors.New("that is this router itself")
	}
	if e.stopped.Err() != nil {
		return nil, ErrClosed
	}
	limits := e.limits(alpn)
	first := max(limits.First, initialSessionWindow)
	a, ok := e.budget.open(first)
	if !ok && first > initialSessionWindow {
		first = initialSessionWindow // it grows later, if there is room then
		a, ok = e.budget.open(first)
	}
	if !ok {
		return nil, fmt.Errorf("no room for another receive window: all %d bytes of the budget are in use here", e.cfg.ReceiveBudget)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(e.stopped, func() { cancel(ErrClosed) })()

	var refusal atomic.Pointer[error] // our own verdict on the peer; quic-go passes on only its text
	conf := cred.TLS([]string{alpn}, nil, false)
	conf.VerifyConnection = func(cs tls.ConnectionState) error {
		id, err := cred.CheckPeer(keys.RawChain(cs), e.cfg.Verify)
		if err == nil && id.Router != peer {
			err = fmt.Errorf("%w: it is %v: the catalog's endpoint of %v is out of date", ErrWrongRouter, id, peer)
		}
		if err != nil {
			refusal.Store(&err)
		}
		return err
	}
	qc := quicConfig(limits, e.budget)
	qc.InitialConnectionReceiveWindow = uint64(first)
	qc.InitialStreamReceiveWindow = max(initialStreamWindow, uint64(min(limits.First, limits.StreamWindow, first)))
	qc.MaxIncomingUniStreams = 1 // the welcome
	conn, err := e.transport.Dial(ctx, net.UDPAddrFromAddrPort(addr), conf, qc)
	if err != nil {
		e.budget.close(a)
		if r := refusal.Load(); r != nil {
			return nil, *r
		}
		return nil, err
	}
	context.AfterFunc(conn.Context(), func() { e.budget.close(a) })
	s, err := e.greet(ctx, conn, cred, a)
	if err != nil {
		if ctx.Err() != nil {
			_ = conn.CloseWithError(quic.ApplicationErrorCode(CodeDone), "the dialler gave up")
		}
		_ = conn.CloseWithError(quic.ApplicationErrorCode(codeOf(err)), printable(err.Error()))
		return nil, err
	}
	return s, nil
}

// greet waits for the peer's welcome and makes the Session.
func (e *Endpoint) greet(ctx context.Context, conn *quic.Conn, cred *keys.Credential, a *account) (*Session, error) {
	if err := awaitWelcome(ctx, conn); err != nil {
		if end := context.Cause(conn.Context()); end != nil {
			err = end // more telling than what the stream says of it
		}
		return nil, err
	}
	id, err := cred.CheckPeer(keys.RawChain(conn.ConnectionState().TLS), e.cfg.Verify)
	if err != nil {
		return nil, err
	}
	s := newSession(e, conn, id, true)
	if err := e.add(s, a); err != nil {
		return nil, err
	}
	return s, nil
}
