package tunnel

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/galleon-net/galleon/fabric/keys"
)

// What a client without a certificate may cost.
const (
	maxJoins     = 8                // at once; one more is told to try again
	maxJoinBytes = 64 << 10         // that are read of one
	joinTime     = 30 * time.Second // for one, from handshake to answer
	joinLinger   = 3 * time.Second  // for the client to read the answer and leave
)

var errJoinTooLong = fmt.Errorf("the request is longer than %d bytes", maxJoinBytes)

// serveJoin serves one stream of one client that has shown no certificate.
func (e *Endpoint) serveJoin(conn *quic.Conn) {
	from := addrPort(conn.RemoteAddr())
	refuse := func(code Code, err error) {
		e.emit(Refused{Addr: from, ALPN: ALPNJoin, Err: err})
		_ = conn.CloseWithError(quic.ApplicationErrorCode(code), printable(err.Error()))
	}
	select {
	case e.joins <- struct{}{}:
		defer func() { <-e.joins }()
	default:
		refuse(CodeBusy, fmt.Errorf("%w: %d routers are joining: try again shortly", ErrBusy, maxJoins))
		return
	}
	ctx, cancel := context.WithTimeout(conn.Context(), joinTime)
	defer cancel()
	defer context.AfterFunc(e.stopped, cancel)()
	q, err := conn.AcceptStream(ctx)
	if err != nil {
		refuse(CodeProtocol, fmt.Errorf("no request to join came: %w", err))
		return
	}
	c := &joinConn{Stream: bareStream(conn, q), left: maxJoinBytes}
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline)
	e.cfg.Join(ctx, from, c)
	_ = c.Close()
	// The client ends the connection when it has read the answer; a close from here could overtake it.
	select {
	case <-conn.Context().Done():
	case <-time.After(joinLinger):
	case <-e.stopped.Done():
	}
	_ = conn.CloseWithError(quic.ApplicationErrorCode(CodeDone), "done")
}

// bareStream is a Stream without a Session behind it that anybody else sees.
func bareStream(conn *quic.Conn, q *quic.Stream) *Stream {
	return &Stream{s: q, session: &Session{conn: conn}, done: func() {}}
}

// joinConn is the server's end: it reads at most left bytes.
type joinConn struct {
	*Stream
	left int
}

func (c *joinConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errJoinTooLong
	}
	if len(p) > c.left {
		p = p[:c.left]
	}
	n, err := c.Stream.Read(p)
	c.left -= n
	return n, err
}

// DialJoin connects, without a certificate, to a router that takes part in joining, and believes it when its chain of
// certificates ends in the root with the given hash (Token.CAHash). pc carries the packets and is given back when the
// connection is closed; nil opens a socket for the time. The connection ends by itself after 30 seconds.
func DialJoin(ctx context.Context, pc net.PacketConn, addr netip.AddrPort, caHash [32]byte) (net.Conn, error) {
	own := pc == nil
	if own {
		var err error
		if pc, err = net.ListenUDP("udp", nil); err != nil {
			return nil, fmt.Errorf("join at %v: open a socket: %w", addr, err)
		}
	}
	t := &quic.Transport{Conn: quiet(pc), ConnectionIDLength: connectionIDLength}
	release := sync.OnceFunc(func() {
		_ = t.Close()
		if own {
			_ = pc.Close()
		}
	})
	c, err := dialJoin(ctx, t, addr, caHash, release)
	if err != nil {
		release()
		return nil, fmt.Errorf("join at %v: %w", addr, err)
	}
	return c, nil
}

func dialJoin(ctx context.Context, t *quic.Transport, addr netip.AddrPort, caHash [32]byte, release func()) (net.Conn, error) {
	var refusal atomic.Pointer[error]
	conf := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{ALPNJoin},
		SessionTicketsDisabled: true,
		InsecureSkipVerify:     true, // VerifyConnection knows the root's hash, the library does not
		VerifyConnection: func(cs tls.ConnectionState) error {
			err := checkAuthority(keys.RawChain(cs), caHash, time.Now())
			if err != nil {
				refusal.Store(&err)
			}
			return err
		},
	}
	qc := quicConfig(Limits{Streams: 1, StreamWindow: 1 << 20, SessionWindow: 2 << 20}, nil)
	qc.AllowConnectionWindowIncrease = nil
	qc.MaxIncomingStreams, qc.MaxIncomingUniStreams = -1, -1
	conn, err := t.Dial(ctx, net.UDPAddrFromAddrPort(addr), conf, qc)
	if err != nil {
		if r := refusal.Load(); r != nil {
			return nil, *r
		}
		return nil, explain(ALPNJoin, err)
	}
	q, err := conn.OpenStreamSync(ctx)
	if err != nil {
		_ = conn.CloseWithError(quic.ApplicationErrorCode(CodeDone), "gave up")
		return nil, explain(ALPNJoin, err)
	}
	c := &joinClient{Stream: bareStream(conn, q), release: release}
	_ = c.SetDeadline(time.Now().Add(joinTime))
	return c, nil
}

// checkAuthority believes a chain that ends in the root with the hash.
func checkAuthority(chain [][]byte, caHash [32]byte, now time.Time) error {
	if len(chain) == 0 {
		return fmt.Errorf("%w: it shows no certificate", ErrWrongAuthority)
	}
	root := chain[len(chain)-1]
	h, err := keys.HashCA(root)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWrongAuthority, err)
	}
	if h != caHash {
		return fmt.Errorf("%w: check the token's seed addresses; or somebody in between pretends to be the cluster", ErrWrongAuthority)
	}
	_, _, err = keys.Trust{Roots: [][]byte{root}}.Check(chain, now)
	return err
}

// joinClient is the client's end: closing it ends the connection.
type joinClient struct {
	*Stream
	release func()
}

func (c *joinClient) Close() error {
	_ = c.Stream.Close()
	_ = c.session.conn.CloseWithError(quic.ApplicationErrorCode(CodeDone), "done")
	c.release()
	return nil
}
