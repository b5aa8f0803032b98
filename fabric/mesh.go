package fabric

import (
	"context"
	"crypto/ed25519"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/galleon-net/galleon/fabric/fib"
	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/linkstate"
	"github.com/galleon-net/galleon/fabric/route"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/tunnel"
	"github.com/galleon-net/galleon/fabric/underlay"
	"github.com/galleon-net/galleon/fabric/wire"
)

// DefaultProbeInterval gives a verdict on a dead link in 150 ms plus half a round trip, and costs 40 kbit/s
// for each neighbour and direction.
const DefaultProbeInterval = 50 * time.Millisecond

// Env is what a Mesh stands on. Run takes Socket and Device over and closes them when it returns; to keep
// them over an upgrade, give their Files to the successor first.
type Env struct {
	Socket *underlay.Socket
	Device tun.Device

	Emit   func(Event)    // nil drops; see Event for what it may not do
	Routes func(RouteSet) // called when it changed, from the loop: must not block nor call the Mesh; nil drops

	Rand          *rand.Rand    // jitter of the dials; nil seeds one
	ProbeInterval time.Duration // 0 is DefaultProbeInterval
}

// Mesh is one router's part of the fabric. New, Set, Run; the other methods at any time, from any goroutine.
//
//	Set ──► settings ─┐                ┌─► dials, sessions   (a goroutine each; session.go, control.go)
//	                  ├─► loop ────────┤
//	inbox, probes ────┘   (run.go)     └─► view, faces ──► ingress, receive   (forward.go)
//
// The loop alone changes what is below "owned by the loop"; all others hand it functions.
type Mesh struct {
	env      Env
	offers   uint64    // feature bits of our hello
	life     uint64    // of this process: unix nanoseconds when it started
	start    time.Time // when New was called: zero of the probes' clock
	settings atomic.Pointer[settings]
	poke     chan struct{} // there are new settings
	inbox    chan func(time.Time)
	running  atomic.Bool
	over     chan struct{} // closed when the loop has ended
	fwd      *forwarder
	tunnel   *tunnel.Endpoint
	wg       sync.WaitGroup // dials and their sessions

	// Owned by the loop.
	conf       Config
	catalog    map[topo.RouterID]*Router // of conf
	peers      map[topo.RouterID]*peer
	order      []topo.RouterID // keys of peers, ascending
	flood      *flooder
	rng        *rand.Rand
	routes     *route.Result
	table      *fib.Table
	known      []topo.SegPrefix
	told       RouteSet
	began      time.Time                   // with the first settings
	verified   bool                        // see RouteSet
	reached    map[topo.RouterID]time.Time // when a router last had a way; see holdFor
	ways       map[topo.RouterID]*wayMTU   // what the ways were said to carry, of routers in peers
	wakeAt     time.Time                   // when time alone changes the routes: a hold ends, an MTU may rise; zero for never
	lastRoutes RoutesChanged
	refused    map[AnnouncementRefused]bool
	stale      time.Time // when the routes became so; zero while they are not
	calmUntil  time.Time // no computation before
	wordDue    bool      // our own record may have changed
	viewDue    bool      // the data path must learn addresses of lanes
	probeBody  []byte
	probePkt   []byte
	probedAt   time.Time
	tendedAt   time.Time
}

// settings are what Set was last given.
type settings struct {
	conf Config
	cred *keys.Credential
}

// inboxSize bounds what waits for the loop. Senders wait when it is full: a session that brings too much
// link-state is held back by its stream.
const inboxSize = 256

// New makes a Mesh. It does nothing until Run.
func New(env Env) *Mesh {
	if env.ProbeInterval <= 0 {
		env.ProbeInterval = DefaultProbeInterval
	}
	if env.Rand == nil {
		var seed [16]byte
		_, _ = crand.Read(seed[:]) // never fails: crypto/rand
		env.Rand = rand.New(rand.NewPCG(binary.NativeEndian.Uint64(seed[:]), binary.NativeEndian.Uint64(seed[8:])))
	}
	now := time.Now()
	m := &Mesh{
		env: env, offers: wire.FeatureReports | wire.FeaturePartial, life: uint64(now.UnixNano()), start: now, rng: env.Rand,
		poke: make(chan struct{}, 1), inbox: make(chan func(time.Time), inboxSize), over: make(chan struct{}),
		peers: map[topo.RouterID]*peer{}, reached: map[topo.RouterID]time.Time{}, ways: map[topo.RouterID]*wayMTU{}, refused: map[AnnouncementRefused]bool{},
	}
	m.fwd = &forwarder{
		socket: env.Socket, device: env.Device, probes: make(chan heardProbe, inboxSize),
		confirmed: func(id topo.RouterID, epoch uint16) {
			m.tell(func(now time.Time) {
				if p := m.peers[id]; p != nil {
					m.confirm(now, p, epoch)
				}
			})
		},
		stranded: func(id topo.RouterID) {
			m.tell(func(time.Time) {
				if p := m.peers[id]; p != nil {
					p.pair.hurry()
				}
			})
		},
		spoofed: m.spoofed,
		tooBig:  m.tooBig,
	}
	return m
}

// Set gives the Mesh a configuration and this router's credential. It may be called at any time; what
// differs is carried out soon after it returns. Self and FabricMTU cannot change while the Mesh runs.
func (m *Mesh) Set(c Config, cred *keys.Credential) error {
	if err := c.Check(); err != nil {
		return err
	}
	c = c.withDefaults()
	if cred == nil || cred.Key.IsZero() {
		return errors.New("fabric: no credential: a router needs its key and certificate to link to others")
	}
	me := c.router(c.Self)
	if !cred.Key.Public().Equal(ed25519.PublicKey(me.PublicKey)) {
		return fmt.Errorf("fabric: the credential's key is not the one that the catalog has for router %s", c.Self)
	}
	if old := m.settings.Load(); old != nil && (old.conf.Self != c.Self || old.conf.FabricMTU != c.FabricMTU) {
		return fmt.Errorf("fabric: router %s with MTU %d cannot become router %s with MTU %d while it runs: restart it",
			old.conf.Self, old.conf.FabricMTU, c.Self, c.FabricMTU)
	}
	m.settings.Store(&settings{conf: c, cred: cred})
	select {
	case m.poke <- struct{}{}:
	default:
	}
	return nil
}

// config is what Set was last given. Goroutines other than the loop read it here.
func (m *Mesh) config() *Config { return &m.settings.Load().conf }

func (m *Mesh) selfID() topo.RouterID { return m.config().Self }

// member is what the catalog says about a router that shows a certificate.
func (m *Mesh) member(id topo.RouterID) (keys.Member, bool) {
	r := m.config().router(id)
	if r == nil {
		return keys.Member{}, false
	}
	return keys.Member{PublicKey: r.PublicKey, Revoked: r.Revoked}, true
}

// Run waits for the first Set, then works until ctx ends (nil) or the device or socket fails (why).
func (m *Mesh) Run(ctx context.Context) error {
	defer m.env.Socket.Close()
	defer m.env.Device.Close()
	select {
	case <-m.poke:
	case <-ctx.Done():
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	if err := m.listen(); err != nil {
		return err
	}
	m.begin(ctx)
	g.Go(func() error { return ended(ctx, m.tunnel.Run(ctx)) })
	g.Go(func() error { return m.fwd.ingress(ctx) })
	for reader := range m.env.Socket.Readers() {
		g.Go(func() error { return m.fwd.receive(ctx, reader) })
	}
	g.Go(func() error { m.loop(ctx); return nil })
	g.Go(func() error {
		<-m.over
		m.wg.Wait() // the sessions say goodbye while the socket still works
		return errors.Join(m.tunnel.Close(), m.env.Device.Close(), m.env.Socket.Close())
	})
	return g.Wait()
}

func (m *Mesh) listen() (err error) {
	m.env.Socket.SetCarrier(m.fwd.carry)
	m.tunnel, err = tunnel.Listen(tunnel.Config{
		Name: "forward", Conn: m.env.Socket.QUIC(), Key: m.settings.Load().cred.Key,
		Credential: func() (*keys.Credential, error) { return m.settings.Load().cred, nil },
		Verify:     keys.VerifyMembers(m.member),
		Handlers:   map[string]tunnel.Handler{ALPN: m.accept},
		Emit:       func(e tunnel.Event) { m.tunnelEvent(e) },
	})
	if err != nil {
		return fmt.Errorf("open the fabric's QUIC endpoint: %w", err)
	}
	return nil
}

// begin makes what the loop owns.
func (m *Mesh) begin(ctx context.Context) {
	m.conf, m.began = *m.config(), time.Now()
	m.flood = &flooder{
		self: m.conf.Self, db: linkstate.NewDB(m.conf.Self, refreshEvery), life: m.life, damp: dampMin,
		sign: func(b []byte) []byte { return m.settings.Load().cred.Key.Sign(b) },
		key:  m.speaker,
		word: m.word,
		peers: func(yield func(topo.RouterID, *outbox)) {
			for _, id := range m.order {
				if p := m.peers[id]; p != nil && p.voice() != nil {
					yield(id, p.voice().out)
				}
			}
		},
	}
	m.probeBody = make([]byte, 0, m.conf.FabricMTU+wire.Overhead)
	m.probePkt = make([]byte, 0, m.conf.FabricMTU+wire.Overhead)
	m.routes = &route.Result{Self: m.conf.Self}
	m.adopt(ctx)
}

// speaker gives the key of a router whose link-state is believed.
func (m *Mesh) speaker(id topo.RouterID) (ed25519.PublicKey, bool) {
	r := m.catalog[id]
	if r == nil || r.Revoked {
		return nil, false
	}
	return r.PublicKey, true
}

func (m *Mesh) emit(e Event) {
	if m.env.Emit != nil {
		m.env.Emit(e)
	}
}

// tunnelEvent passes on what the mesh has no event of its own for.
func (m *Mesh) tunnelEvent(e tunnel.Event) {
	switch e.(type) {
	case tunnel.SessionUp, tunnel.SessionDown, tunnel.DialFailed:
	default:
		m.emit(e)
	}
}
