package tunnel

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/keys/keystest"
	"github.com/galleon-net/galleon/fabric/topo"
)

// oneWay is how long a packet takes; a round trip is rtt.
const (
	oneWay = 75 * time.Millisecond
	rtt    = 2 * oneWay
)

// sim is a simulated network with a cluster on it, in fake time. When the bubble ends with a goroutine still blocked,
// synctest fails the test: every test here is a leak test too.
type sim struct {
	*testing.T
	cluster *keystest.Cluster
	net     *simnet.Simnet
	router  *cutRouter
	events  *recorder
}

// inSim runs f in a bubble.
func inSim(t *testing.T, f func(s *sim)) {
	synctest.Test(t, func(t *testing.T) {
		r := &cutRouter{inner: &simnet.PerfectRouter{}, cut: make(map[netip.Addr]bool)}
		s := &sim{T: t, cluster: keystest.New("pacific", time.Now()), net: &simnet.Simnet{Router: r}, router: r, events: &recorder{}}
		f(s)
	})
}

// cutRouter drops what comes from or goes to addresses that are cut off.
type cutRouter struct {
	inner simnet.Router
	mu    sync.Mutex
	cut   map[netip.Addr]bool
	seen  int // packets
}

func (r *cutRouter) SendPacket(p simnet.Packet) error {
	r.mu.Lock()
	r.seen++
	drop := r.cut[addrPort(p.From).Addr()] || r.cut[addrPort(p.To).Addr()]
	r.mu.Unlock()
	if drop {
		return nil
	}
	return r.inner.SendPacket(p)
}

func (r *cutRouter) AddNode(a net.Addr, p simnet.PacketReceiver) { r.inner.AddNode(a, p) }

func (s *sim) cutOff(a netip.AddrPort, cut bool) {
	s.router.mu.Lock()
	defer s.router.mu.Unlock()
	s.router.cut[a.Addr()] = cut
}

// recorder keeps events.
type recorder struct {
	mu  sync.Mutex
	all []Event
}

func (r *recorder) emit(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, e)
}

func count[E Event](r *recorder) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.all {
		if _, ok := e.(E); ok {
			n++
		}
	}
	return n
}

// node is a router in the simulation.
type node struct {
	*Endpoint
	id   topo.RouterID
	addr netip.AddrPort
	cred *keys.Credential
	end  func()
}

func simAddr(id topo.RouterID) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(id >> 8), byte(id), 1}), 7000)
}

// conn makes a socket at an address.
func (s *sim) conn(a netip.AddrPort) (*simnet.SimConn, func()) {
	n := &simnet.Simnet{Router: s.router}
	c := n.NewEndpoint(net.UDPAddrFromAddrPort(a), simnet.NodeBiDiLinkSettings{Latency: oneWay})
	if err := n.Start(); err != nil {
		s.Fatal(err)
	}
	return c, func() {
		_ = c.Close()
		_ = n.Close()
	}
}

// start puts a router on the network, joined to the cluster for a day, and runs it until the test ends or end is called.
func (s *sim) start(id topo.RouterID, change ...func(*Config)) *node {
	return s.startAs(id, s.cluster.Join(id, time.Now(), 24*time.Hour), change...)
}

func (s *sim) startAs(id topo.RouterID, cred *keys.Credential, change ...func(*Config)) *node {
	s.Helper()
	n := &node{id: id, addr: simAddr(id), cred: cred}
	c, unplug := s.conn(n.addr)
	cfg := Config{
		Name: "test", Conn: c, Key: cred.Key, Verify: s.cluster.Verify, Emit: s.events.emit,
		Credential: func() (*keys.Credential, error) { return n.cred, nil },
		Handlers:   map[string]Handler{ALPNControl: echo, ALPNRaft: echo},
	}
	for _, f := range change {
		f(&cfg)
	}
	e, err := Listen(cfg)
	if err != nil {
		s.Fatal(err)
	}
	n.Endpoint = e
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	n.end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != context.Canceled {
			s.Errorf("Run of %v: %v", id, err)
		}
		if err := e.Close(); err != nil {
			s.Error(err)
		}
		unplug()
	})
	s.Cleanup(n.end)
	return n
}

// echo sends back what every stream brings, until the session ends.
func echo(ctx context.Context, s *Session) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		c, err := s.Accept(ctx)
		if err != nil {
			return
		}
		wg.Go(func() {
			defer c.Close()
			_, _ = io.Copy(c, c)
		})
	}
}

// dial is Endpoint.Dial, which must succeed.
func (s *sim) dial(from, to *node, alpn string) *Session {
	s.Helper()
	x, err := from.Dial(s.Context(), to.id, to.addr, alpn)
	if err != nil {
		s.Fatal(err)
	}
	return x
}

// ask sends a message on a new stream of the session and returns what comes back.
func ask(ctx context.Context, x *Session, msg string) (string, error) {
	c, err := x.Open(ctx)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := io.WriteString(c, msg); err != nil {
		return "", err
	}
	if err := c.(*Stream).CloseWrite(); err != nil {
		return "", err
	}
	b, err := io.ReadAll(c)
	return string(b), err
}
