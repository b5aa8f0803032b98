package node

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tunnel"
)

type ed25519Key = ed25519.PublicKey

// streamListener is a net.Listener of the streams that peers open under one ALPN, so that an HTTP server
// can serve them.
type streamListener struct {
	streams chan net.Conn
	closed  chan struct{}
	once    sync.Once
}

func newStreamListener() *streamListener {
	return &streamListener{streams: make(chan net.Conn), closed: make(chan struct{})}
}

// handle is the tunnel.Handler of the ALPN. It returns when the session or the listener ends.
func (l *streamListener) handle(ctx context.Context, s *tunnel.Session) {
	for {
		c, err := s.Accept(ctx)
		if err != nil {
			return
		}
		select {
		case l.streams <- c:
		case <-ctx.Done():
			_ = c.Close()
			return
		case <-l.closed:
			_ = c.Close()
			return
		}
	}
}

func (l *streamListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.streams:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *streamListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

type streamAddr struct{}

func (streamAddr) Network() string       { return "quic" }
func (streamAddr) String() string        { return "streams of other routers" }
func (l *streamListener) Addr() net.Addr { return streamAddr{} }

type peerKey struct{}

// peerContext marks a connection with the router at its other end.
func peerContext(ctx context.Context, c net.Conn) context.Context {
	s, ok := c.(*tunnel.Stream)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, s.Session().Peer().Router)
}

func peerOf(ctx context.Context) topo.RouterID {
	id, _ := ctx.Value(peerKey{}).(topo.RouterID)
	return id
}

// peerClient speaks HTTP with one router.
func (c *Control) peerClient(id topo.RouterID) *http.Client {
	return &http.Client{Timeout: peerTimeout, Transport: c.peerTransport(id)}
}

func (c *Control) peerTransport(id topo.RouterID) *http.Transport {
	return &http.Transport{
		DisableKeepAlives:  true, // a stream costs nothing to open
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return c.pool.Open(ctx, id, tunnel.ALPNAdmin)
		},
	}
}

// peerTimeout bounds a call to another router: three times the longest way round the world, and a dial.
const peerTimeout = 10 * time.Second

// distance is the round-trip time to a router, long when there is none.
func (c *Control) distance(id topo.RouterID) time.Duration { return cmp.Or(c.rtt(id), peerTimeout) }

// anyVoter calls f with the other voters, the nearest first, until one answers.
func (c *Control) anyVoter(ctx context.Context, m *member, f func(id topo.RouterID) error) error {
	var errs []error
	ids := slices.DeleteFunc(slices.Clone(m.consensus.View().Members), func(id topo.RouterID) bool { return id == m.id.Router })
	slices.SortStableFunc(ids, func(a, b topo.RouterID) int { return cmp.Compare(c.distance(a), c.distance(b)) })
	for _, id := range ids {
		err := f(id)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
		if ctx.Err() != nil {
			break
		}
	}
	if len(errs) == 0 {
		return &admin.Error{Code: admin.CodeUnavailable, Message: "no other voter is known"}
	}
	return errors.Join(errs...)
}
