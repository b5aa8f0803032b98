package fabric

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/galleon-net/galleon/fabric/seal"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tunnel"
	"github.com/galleon-net/galleon/fabric/underlay"
	"github.com/galleon-net/galleon/fabric/wire"
)

// ALPN is the protocol of pair sessions.
const ALPN = tunnel.ALPNPair

const (
	helloTimeout = 5 * time.Second // for each end's part of the handshake after QUIC's
	dialTimeout  = 8 * time.Second // for the whole of a dial
	lingerFor    = 3 * time.Second // a replaced session stays, so that the peer has the new one before this one ends
	writeTimeout = 10 * time.Second

	// greetLen is a hello and, behind it, the life of the process that says it (when it started, unix
	// nanoseconds): a peer that restarted has lost its keys, whatever session seems to be there.
	greetLen = wire.HelloLen + 8
)

// pairSession is a session with a peer from the end of its handshake. The first stream carried the hellos
// and stays as the control stream.
type pairSession struct {
	peer   topo.RouterID
	kind   kind
	dialed bool
	epoch  uint16
	life   uint64 // of the peer
	shared uint64 // feature bits that both ends have
	mtu    int    // the lesser of both ends': largest IP packet of the pair, octets
	offer  seal.Offer
	addr   netip.AddrPort
	sess   *tunnel.Session
	conn   net.Conn
	out    *outbox

	established bool // the loop took it; owned by the loop

	retireOnce sync.Once
	retired    chan struct{} // closed when another session has taken this one's place
}

func (s *pairSession) retire() { s.retireOnce.Do(func() { close(s.retired) }) }

// greeting is what each end says first.
type greeting struct {
	hello wire.Hello
	life  uint64
}

func (g greeting) append(b []byte) []byte {
	return binary.BigEndian.AppendUint64(wire.AppendHello(b, g.hello), g.life)
}

func readGreeting(r io.Reader) (g greeting, err error) {
	var b [greetLen]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return g, fmt.Errorf("read hello: %w", err)
	}
	if g.hello, err = wire.ParseHello(b[:wire.HelloLen]); err != nil {
		return g, fmt.Errorf("read hello: %w", err)
	}
	g.life = binary.BigEndian.Uint64(b[wire.HelloLen:])
	return g, nil
}

// greet is this router's hello.
func (m *Mesh) greet(epoch uint16) greeting {
	return greeting{
		hello: wire.Hello{
			Epoch: epoch, Lanes: uint8(m.laneCount()), MTU: uint16(m.config().FabricMTU),
			Features: m.offers, Suites: seal.Preferred(),
		},
		life: m.life,
	}
}

// dial makes one session and serves it until it ends.
//
//	dialer                                         acceptor
//	QUIC handshake, stream 0
//	hello: epoch proposed, life ────────────────►  admitted? epoch chosen, keys installed
//	keys installed and used     ◄────────────────  answer: epoch chosen, life
//	confirm                     ────────────────►  keys used
//	summary, records            ◄───────────────►  summary, records        (direct sessions)
func (m *Mesh) dial(ctx context.Context, peer topo.RouterID, k kind, addr netip.AddrPort, epoch uint16) {
	s, err := m.dialSession(ctx, peer, k, addr, epoch)
	m.do(ctx, func(now time.Time) { m.dialed(now, peer, k, addr, err) })
	if err == nil {
		m.serve(ctx, s)
	}
}

func (m *Mesh) dialSession(ctx context.Context, peer topo.RouterID, k kind, addr netip.AddrPort, epoch uint16) (*pairSession, error) {
	dctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	sess, err := m.tunnel.Dial(dctx, peer, addr, ALPN)
	if err != nil {
		return nil, err
	}
	s := &pairSession{peer: peer, kind: k, dialed: true, sess: sess, retired: make(chan struct{})}
	if err := m.sayHello(dctx, s, epoch); err != nil {
		m.abandon(s, err)
		if twin(err) {
			return nil, errTwin
		}
		return nil, fmt.Errorf("agree on keys with %s: %w", peer, err)
	}
	return s, nil
}

func (m *Mesh) sayHello(ctx context.Context, s *pairSession, epoch uint16) error {
	conn, err := s.sess.Open(ctx)
	if err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(helloTimeout)); err != nil {
		return err
	}
	mine := m.greet(epoch)
	if _, err := conn.Write(mine.append(nil)); err != nil {
		return err
	}
	theirs, err := readGreeting(conn)
	if err != nil {
		return err
	}
	if !theirs.hello.Answer {
		return errors.New("the peer sent a hello where an answer belongs")
	}
	if err := s.keyed(m.selfID(), conn, theirs); err != nil {
		return err
	}
	if err := m.ask(ctx, func(now time.Time) error { return m.establish(now, s) }); err != nil {
		return err
	}
	if err := writeFrame(conn, frameConfirm, nil); err != nil {
		return err
	}
	return conn.SetDeadline(time.Time{})
}

// accept is what the tunnel calls for a session that a peer dialed.
func (m *Mesh) accept(ctx context.Context, sess *tunnel.Session) {
	s := &pairSession{peer: sess.Peer().Router, sess: sess, retired: make(chan struct{})}
	if r, ok := underlay.RouterOf(sess.RemoteAddr()); ok {
		s.kind = carried
		if r != s.peer {
			refuse(sess, fmt.Errorf("router %s dialed as %s", s.peer, r))
			return
		}
	}
	hctx, cancel := context.WithTimeout(ctx, helloTimeout)
	err := m.hearHello(hctx, s)
	cancel()
	if err != nil {
		m.abandon(s, err)
		return
	}
	m.serve(ctx, s)
}

func (m *Mesh) hearHello(ctx context.Context, s *pairSession) error {
	conn, err := s.sess.Accept(ctx)
	if err != nil {
		return err
	}
	if err := conn.SetDeadline(time.Now().Add(helloTimeout)); err != nil {
		return err
	}
	theirs, err := readGreeting(conn)
	if err != nil {
		return err
	}
	if theirs.hello.Answer {
		return errors.New("the peer sent an answer where a hello belongs")
	}
	var mine greeting
	if err := m.ask(ctx, func(now time.Time) (err error) {
		mine, err = m.admit(now, s, theirs)
		return err
	}); err != nil {
		return err
	}
	answer := greeting{life: mine.life}
	if answer.hello, err = wire.Agree(theirs.hello, mine.hello); err != nil {
		return err
	}
	agreed := answer
	agreed.life = theirs.life
	if err := s.keyed(m.selfID(), conn, agreed); err != nil {
		return err
	}
	if err := m.ask(ctx, func(now time.Time) error { return m.install(now, s) }); err != nil {
		return err
	}
	if _, err := conn.Write(answer.append(nil)); err != nil {
		return err
	}
	t, _, err := readFrame(conn, nil)
	if err != nil {
		return fmt.Errorf("wait for the confirmation: %w", err)
	}
	if t != frameConfirm {
		return fmt.Errorf("wait for the confirmation: got frame %d", t)
	}
	if err := m.ask(ctx, func(now time.Time) error { return m.establish(now, s) }); err != nil {
		return err
	}
	return conn.SetDeadline(time.Time{})
}

// abandon ends a session whose hello failed at any step. The loop may already have taken it, or may be about
// to: it is told after.
func (m *Mesh) abandon(s *pairSession, err error) {
	refuse(s.sess, err)
	m.do(context.Background(), func(now time.Time) { m.ended(now, s, err) })
}

// keyed takes what was agreed, and the secret that the session's TLS handshake gives for it.
func (s *pairSession) keyed(self topo.RouterID, conn net.Conn, agreed greeting) error {
	h := agreed.hello
	secret, err := s.sess.Export(seal.ExporterLabel, seal.Context(topo.PairOf(self, s.peer), h.Epoch), seal.SecretLen)
	if err != nil {
		return fmt.Errorf("export the keys of epoch %d: %w", h.Epoch, err)
	}
	s.conn, s.epoch, s.life, s.out = conn, h.Epoch, agreed.life, newOutbox()
	s.mtu, s.shared = int(h.MTU), h.Features
	s.offer = seal.Offer{Epoch: h.Epoch, Secret: seal.Secret(secret), Suite: seal.Suite(h.Suites[0]), Lanes: int(h.Lanes)}
	if s.kind == direct {
		s.addr = s.sess.RemoteAddr()
	}
	return nil
}

// refuse ends a session that did not get through its hello.
func refuse(sess *tunnel.Session, err error) {
	code := tunnel.CodeRefused
	if errors.Is(err, errTwin) {
		code = tunnel.CodeReplaced
	}
	sess.Close(code, err.Error())
}

// twin recognises the peer's refusal of a session that it does not need.
func twin(err error) bool {
	var closed *tunnel.ClosedError
	return errors.Is(err, errTwin) || errors.As(err, &closed) && closed.Remote && closed.Code == tunnel.CodeReplaced
}
