package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/sync/errgroup"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/cmd/config"
	"github.com/galleon-net/galleon/consensus"
	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tunnel"
)

// randReader is the source of keys and identifiers.
var randReader io.Reader = rand.Reader

// ControlEnv is what the control half stands on. Listeners may be nil where there shall be no such door.
type ControlEnv struct {
	Config config.Config
	// Conn is the UDP socket of sessions with other routers' control halves.
	Conn net.PacketConn
	// JoinConn gives a socket for the time of a join; nil opens one.
	JoinConn func() (net.PacketConn, error)
	// FS holds catalog and objects below Config.DataDir; nil is the disk.
	FS vfs.FS
	// Forward dials the forward half.
	Forward func(context.Context) (net.Conn, error)
	// Addresses lists this machine's addresses, for endpoints that the configuration does not name.
	Addresses func() []netip.Addr
	// Admin takes local calls: whoever can connect is the account that Caller says.
	Admin  net.Listener
	Caller func(net.Conn) string
	// S3 takes object clients, Metrics scrapers.
	S3, Metrics net.Listener
	Log         *slog.Logger
	// Fatal ends the process: the disk does not answer or lost what it acknowledged.
	Fatal func(error)
}

// Control is the half with the disk: consensus, replication, objects, admin.
//
//	NewControl ─▶ Run ─┬─▶ uninitialised ─ init or join ─▶ member
//	                   └─▶ member (an identity was on disk)
type Control struct {
	env      ControlEnv
	log      *slog.Logger
	idDir    string
	tell     func(tunnel.Event)
	link     *linkClient
	endpoint *tunnel.Endpoint
	pool     *tunnel.Pool
	streams  *streamListener // HTTP between routers
	group    *errgroup.Group // what Run waits for
	ctx      context.Context // Run's, for what starts later

	mu      sync.RWMutex
	ending  bool // Run was told to end: nothing new may start
	joining bool
	member  *member // nil until the router is one
}

// member is what there is once a router belongs to a cluster.
type member struct {
	id    *identity
	vault *vault
	parts
}

// ErrNotMember says that a call needs a router that belongs to a cluster.
var ErrNotMember = &admin.Error{
	Code: admin.CodeUnavailable, Message: "this router belongs to no cluster yet",
	Hint: "make one with galleon cluster init, or join one with galleon join TOKEN",
}

// NewControl puts the half together. Nothing runs yet.
func NewControl(env ControlEnv) (*Control, error) {
	if env.FS == nil {
		env.FS = vfs.Default
	}
	c := &Control{
		env: env, log: env.Log, tell: emit[tunnel.Event](env.Log, "tunnel"), idDir: filepath.Join(env.Config.DataDir, "identity"),
		link: newLinkClient(env.Forward), streams: newStreamListener(),
	}
	id, err := loadIdentity(c.idDir)
	if err != nil {
		return nil, err
	}
	key, err := joinKey(c.idDir)
	if err != nil {
		return nil, err
	}
	if id != nil {
		v, err := loadVault(filepath.Join(c.idDir, vaultFile))
		if err != nil {
			return nil, err
		}
		if c.member, err = c.open(id, v); err != nil {
			return nil, err
		}
	}
	c.endpoint, err = tunnel.Listen(tunnel.Config{
		Name: "control", Conn: env.Conn, Key: key, Credential: c.credential, Verify: c.verify, Admit: c.admit,
		Handlers: map[string]tunnel.Handler{
			tunnel.ALPNRaft:    c.serveStreams(func(m *member, from topo.RouterID, s net.Conn) { m.consensus.ServeRaft(from, s) }),
			tunnel.ALPNControl: c.serveStreams(func(m *member, from topo.RouterID, s net.Conn) { m.consensus.ServeRequest(from, s) }),
			tunnel.ALPNRepl:    c.serveStreams(func(m *member, from topo.RouterID, s net.Conn) { m.engine.Serve(from, s) }),
			tunnel.ALPNAdmin:   c.streams.handle,
		},
		Join: c.serveJoin,
		Emit: c.hear,
	})
	if err != nil {
		return nil, err
	}
	c.pool = tunnel.NewPool(tunnel.PoolConfig{Endpoint: c.endpoint, Addrs: c.addresses, Emit: c.hear})
	return c, nil
}

// Run works until ctx ends or something breaks that only a restart can mend.
func (c *Control) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	c.group, c.ctx = group, ctx
	group.Go(func() error { // one of those that Run waits for, so nothing joins them once it has waited
		<-ctx.Done()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ending = true
		return nil
	})
	// Whether the router is a member already is settled before anybody can ask it to become one.
	if m := c.current(); m != nil {
		c.start(m)
	} else if c.env.Config.JoinTokenFile != "" {
		group.Go(func() error { return c.joinFromFile(ctx) })
	}
	group.Go(func() error { return ended(ctx, c.endpoint.Run(ctx)) })
	c.serveHTTP(c.env.Admin, c.adminHandler(), c.adminContext)
	c.serveHTTP(c.streams, c.peerHandler(), peerContext)
	c.serveHTTP(c.env.Metrics, c.metricsHandler(), nil)
	c.serveS3()
	group.Go(func() error { return c.keepForward(ctx) })
	err := group.Wait()
	c.pool.Close()
	c.link.close()
	closeErr := c.endpoint.Close()
	if m := c.current(); m != nil {
		closeErr = errors.Join(closeErr, m.close())
	}
	if err == nil || errors.Is(err, context.Canceled) {
		return closeErr
	}
	return err
}

// start runs what a member has. It is called once.
func (c *Control) start(m *member) {
	c.group.Go(func() error { return ended(c.ctx, m.consensus.Run(c.ctx)) })
	c.group.Go(func() error { return ended(c.ctx, m.engine.Run(c.ctx)) })
	c.group.Go(func() error { return c.followCatalog(c.ctx, m) })
	c.group.Go(func() error { return c.keepStore(c.ctx, m) })
	c.group.Go(func() error { return c.keepLifecycles(c.ctx, m) })
	c.group.Go(func() error { return c.keepCertificate(c.ctx, m) })
}

// become makes this router a member, once: the identity is on disk already. A router that is being shut
// down becomes one when it starts again.
func (c *Control) become(m *member) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ending {
		_ = m.close()
		return &admin.Error{Code: admin.CodeUnavailable, Message: "the daemon is being shut down; this router is a member when it starts again"}
	}
	c.member = m
	c.start(m)
	return nil
}

// settleTime bounds how long init and join wait for the cluster to answer this router.
const settleTime = 5 * time.Second

// settle waits until the cluster answers a router that has just become a member, so that the operator's next
// command finds it in order. When it takes long, that command will wait instead.
func (c *Control) settle(ctx context.Context, m *member) {
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for ctx.Err() == nil {
		if _, err := m.consensus.Read(ctx, consensus.Linearizable); err == nil {
			return
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (c *Control) current() *member {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.member
}

// need gives the member, or says what to do first.
func (c *Control) need() (*member, error) {
	if m := c.current(); m != nil {
		return m, nil
	}
	return nil, ErrNotMember
}

// ended hides the error of a loop that ended because it was told to.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Alive returns when the half's locks could be had: who calls it every second notices when they cannot.
func (c *Control) Alive() {
	if m := c.current(); m != nil {
		_ = m.cred()
		_ = m.consensus.View()
	}
	_, _ = c.link.status()
}

func (c *Control) credential() (*keys.Credential, error) {
	m := c.current()
	if m == nil {
		return nil, keys.ErrNoCredential
	}
	return m.cred(), nil
}

// verify asks the catalog about a peer.
func (c *Control) verify(id keys.Identity, pub ed25519Key) error {
	m := c.current()
	if m == nil {
		return ErrNotMember
	}
	s := m.consensus.View()
	return keys.VerifyMembers(func(r topo.RouterID) (keys.Member, bool) {
		rec, ok := s.Routers[r]
		return keys.Member{PublicKey: rec.PublicKey, Revoked: rec.Revoked != nil}, ok
	})(id, pub)
}

// admit lets only voters speak Raft: one message with a wild term from anybody else would end elections.
func (c *Control) admit(peer keys.Identity, alpn string) error {
	if alpn != tunnel.ALPNRaft {
		return nil
	}
	m, err := c.need()
	if err != nil {
		return err
	}
	if !m.consensus.Admits(peer.Router) {
		return fmt.Errorf("router %s is no voter", peer.Router)
	}
	return nil
}

// addresses lists where a router's control half can be reached: on the underlay, and when that fails at
// its overlay loopback, so that control profits from rerouting as every other traffic does.
//
// Once the half is told to end it reaches nobody any more: what is dialled then would only hold its end up.
func (c *Control) addresses(id topo.RouterID) []netip.AddrPort {
	c.mu.RLock()
	m, ending := c.member, c.ending
	c.mu.RUnlock()
	if m == nil || ending {
		return nil
	}
	r, ok := m.consensus.View().Routers[id]
	if !ok || len(r.Control) == 0 {
		return nil
	}
	out := append([]netip.AddrPort(nil), r.Control...)
	for _, l := range r.Loopbacks {
		if l.Segment == topo.DefaultSegment {
			out = append(out, netip.AddrPortFrom(l.Prefix.Addr(), r.Control[0].Port()))
		}
	}
	return out
}

// serveStreams hands every stream of a session to a part of the member.
func (c *Control) serveStreams(serve func(*member, topo.RouterID, net.Conn)) tunnel.Handler {
	return func(ctx context.Context, s *tunnel.Session) {
		m := c.current()
		if m == nil {
			return
		}
		var wg sync.WaitGroup
		defer wg.Wait()
		for {
			stream, err := s.Accept(ctx)
			if err != nil {
				return
			}
			wg.Go(func() { serve(m, s.Peer().Router, stream) })
		}
	}
}

// serveHTTP serves on a listener until Run ends.
func (c *Control) serveHTTP(l net.Listener, h http.Handler, mark func(context.Context, net.Conn) context.Context) {
	if l == nil {
		return
	}
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 32 << 10,
		ConnContext: mark, ErrorLog: slog.NewLogLogger(c.log.Handler(), slog.LevelDebug),
	}
	c.serve(l, s)
}

// serve runs a server in Run's group and ends it in order: what is under way may finish within shutdownGrace.
func (c *Control) serve(l net.Listener, s *http.Server) {
	c.group.Go(func() error {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return ended(c.ctx, fmt.Errorf("serve on %s: %w", l.Addr(), err))
		}
		return nil
	})
	c.group.Go(func() error {
		<-c.ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), shutdownGrace)
		defer cancel()
		if s.Shutdown(grace) != nil {
			_ = s.Close()
		}
		return nil
	})
}

// shutdownGrace is how long requests under way may go on after the daemon was told to end.
const shutdownGrace = 3 * time.Second
