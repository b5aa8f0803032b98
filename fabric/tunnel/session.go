package tunnel

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/galleon-net/galleon/fabric/keys"
)

// Session is one authenticated connection to one peer under one ALPN. Both ends open and accept streams. Its methods
// are safe for concurrent use.
type Session struct {
	endpoint *Endpoint
	conn     *quic.Conn
	peer     keys.Identity
	chain    [][]byte // as the peer sent it; Recheck looks at it again
	alpn     string
	dialed   bool
	began    time.Time

	opening   chan struct{} // a slot for every stream that we may have open
	accepted  atomic.Int64  // streams of the peer's that we have not closed
	maxAccept int64

	closeOnce sync.Once
	closing   atomic.Pointer[ClosedError] // set when we close it, before quic-go knows
}

// Stats are counted by QUIC since the session began.
type Stats struct {
	RTT, MinRTT, LatestRTT       time.Duration // RTT is smoothed
	PacketsSent, PacketsReceived uint64
	PacketsLost                  uint64 // of those sent; late ones are counted back
	BytesSent, BytesReceived     uint64
	Window                       uint64 // congestion window, bytes
}

// newSession is called with a connection whose peer has been checked.
func newSession(e *Endpoint, conn *quic.Conn, peer keys.Identity, dialed bool) *Session {
	tls := conn.ConnectionState().TLS
	streams := e.limits(tls.NegotiatedProtocol).Streams
	return &Session{
		endpoint: e, conn: conn, peer: peer, chain: keys.RawChain(tls), alpn: tls.NegotiatedProtocol, dialed: dialed,
		began: time.Now(), opening: make(chan struct{}, streams), maxAccept: acceptSlack * streams,
	}
}

// Peer is who the other end is.
func (s *Session) Peer() keys.Identity { return s.peer }

// PeerKey is the public key that the peer proved to hold.
func (s *Session) PeerKey() ed25519.PublicKey {
	return s.conn.ConnectionState().TLS.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
}

// ALPN is the protocol that was agreed.
func (s *Session) ALPN() string { return s.alpn }

// Dialed says whether this end dialled.
func (s *Session) Dialed() bool { return s.dialed }

// Began is when the session began.
func (s *Session) Began() time.Time { return s.began }

// RemoteAddr is where the peer's packets come from.
func (s *Session) RemoteAddr() netip.AddrPort { return addrPort(s.conn.RemoteAddr()) }

// Open opens a stream. It waits while Limits.Streams of ours are open. The peer sees the stream with its first byte.
func (s *Session) Open(ctx context.Context) (net.Conn, error) {
	select {
	case s.opening <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("open stream to %v (%s): all %d are in use: %w", s.peer.Router, s.alpn, cap(s.opening), context.Cause(ctx))
	case <-s.conn.Context().Done():
		return nil, fmt.Errorf("open stream to %v (%s): %w", s.peer.Router, s.alpn, s.Err())
	}
	release := func() { <-s.opening }
	q, err := s.conn.OpenStreamSync(ctx)
	if err != nil {
		release()
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		} else {
			err = s.closedError(err)
		}
		return nil, fmt.Errorf("open stream to %v (%s): %w", s.peer.Router, s.alpn, err)
	}
	return &Stream{s: q, session: s, done: release}, nil
}

// Accept returns the next stream that the peer opened.
func (s *Session) Accept(ctx context.Context) (net.Conn, error) {
	for {
		q, err := s.conn.AcceptStream(ctx)
		if err != nil {
			if ctx.Err() != nil && s.conn.Context().Err() == nil {
				return nil, fmt.Errorf("accept stream from %v (%s): %w", s.peer.Router, s.alpn, context.Cause(ctx))
			}
			return nil, fmt.Errorf("accept stream from %v (%s): %w", s.peer.Router, s.alpn, s.closedError(err))
		}
		if s.accepted.Add(1) <= s.maxAccept {
			return &Stream{s: q, session: s, done: func() { s.accepted.Add(-1) }}, nil
		}
		s.accepted.Add(-1)
		q.CancelRead(streamRefused)
		q.CancelWrite(streamRefused)
		s.endpoint.emit(StreamRefused{Peer: s.peer, ALPN: s.alpn})
	}
}

// Export derives n bytes that only the two ends of this session know, another for every label and context (RFC 8446
// §7.5). Both ends derive the same.
func (s *Session) Export(label string, context []byte, n int) ([]byte, error) {
	cs := s.conn.ConnectionState().TLS
	b, err := cs.ExportKeyingMaterial(label, context, n)
	if err != nil {
		return nil, fmt.Errorf("derive keys from session with %v: %w", s.peer.Router, err)
	}
	return b, nil
}

// Stats returns what QUIC has measured.
func (s *Session) Stats() Stats {
	c := s.conn.ConnectionStats()
	return Stats{
		RTT: c.SmoothedRTT, MinRTT: c.MinRTT, LatestRTT: c.LatestRTT,
		PacketsSent: c.PacketsSent, PacketsReceived: c.PacketsReceived, PacketsLost: c.PacketsLost,
		BytesSent: c.BytesSent, BytesReceived: c.BytesReceived, Window: c.CongestionWindow,
	}
}

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.conn.Context().Done() }

// Err says why the session ended, nil while it lives.
func (s *Session) Err() error {
	if s.conn.Context().Err() == nil {
		return nil
	}
	return s.closedError(context.Cause(s.conn.Context()))
}

// Close ends the session and all its streams at once, and tells the peer why. It returns when the session is gone.
func (s *Session) Close(code Code, reason string) {
	s.closeOnce.Do(func() {
		reason = printable(reason)
		if reason == "" {
			reason = fmt.Sprintf("code %d", code)
		}
		s.closing.Store(&ClosedError{Peer: s.peer.Router, Code: code, Reason: reason})
		_ = s.conn.CloseWithError(quic.ApplicationErrorCode(code), reason)
	})
	<-s.conn.Context().Done()
}

func (s *Session) closedError(err error) *ClosedError {
	e := closedError(s.peer.Router, err)
	// A local Close may have lost the race against something else; then that stands.
	if c := s.closing.Load(); c != nil && !e.Remote && e.Cause == nil {
		return c
	}
	return e
}

func addrPort(a net.Addr) netip.AddrPort {
	if u, ok := a.(*net.UDPAddr); ok {
		ap := u.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	ap, _ := netip.ParseAddrPort(a.String()) // the zero AddrPort for what is none
	return ap
}
