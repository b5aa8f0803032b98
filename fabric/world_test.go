package fabric

import (
	"context"
	"fmt"
	mrand "math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/fabrictest"
	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/tun/tuntest"
	"github.com/galleon-net/galleon/fabric/underlay"
)

// world is a whole mesh in one process, in the bubble's time: routers over a simulated network, with a
// TUN in memory each. Router n has the endpoint 192.0.2.n, the loopbacks 100.64.0.n and fd00::n, and the
// prefixes 10.n.0.0/16 and fd00:n::/32.
type world struct {
	t       *testing.T
	net     *fabrictest.Net
	ca      *keys.Authority
	conf    Config // without Self
	routers map[topo.RouterID]*router

	v6    bool                  // the underlay is IPv6: router n has the endpoint 2001:db8::n
	mtu   map[topo.RouterID]int // of routers whose fabric MTU is not the default
	fewer map[topo.RouterID]int // lanes that a router lacks of worldLanes

	lacks map[topo.RouterID]uint64 // feature bits that a router is too old for

	// When set, these put something between a router and its network, or its device.
	wrapConn func(topo.RouterID, net.PacketConn) net.PacketConn
	wrapDev  func(topo.RouterID, tun.Device) tun.Device
}

type router struct {
	id   topo.RouterID
	cred *keys.Credential
	mesh *Mesh
	dev  *tuntest.Fake
	stop context.CancelFunc
	done chan error

	mu     sync.Mutex
	events []Event
	routes RouteSet
}

const cluster = "galleon-test"

func newWorld(t *testing.T, n int) *world {
	t.Helper()
	return populate(&world{t: t}, n)
}

func populate(w *world, n int) *world {
	t := w.t
	t.Helper()
	w.net, w.routers = fabrictest.New(1), map[topo.RouterID]*router{}
	w.ca = authority(t)
	w.conf = Config{Cluster: cluster, Incarnation: 1}
	for id := topo.RouterID(1); int(id) <= n; id++ {
		w.conf.Routers = append(w.conf.Routers, w.newRouter(id))
	}
	t.Cleanup(w.close)
	return w
}

// endpoint is where a router listens.
func (w *world) endpoint(id topo.RouterID) netip.AddrPort {
	if w.v6 {
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: byte(id)}), 5201)
	}
	return addrOf(id)
}

// worldLanes is how many source ports a router has.
const worldLanes = 4

// laneOf is where the packets of a router's lane come from.
func (w *world) laneOf(id topo.RouterID, lane int) netip.AddrPort {
	e := w.endpoint(id)
	return netip.AddrPortFrom(e.Addr(), e.Port()+uint16(lane))
}

// newRouter makes a router with a certificate, and the catalog's line about it.
func (w *world) newRouter(id topo.RouterID) Router {
	w.t.Helper()
	key := generate(w.t)
	r := &router{id: id, cred: credential(w.t, w.ca, id, key)}
	w.routers[id] = r
	return Router{
		ID: id, Name: fmt.Sprintf("edge-%d", id), Region: "mx-queretaro", Zone: "mx-queretaro-a", PublicKey: key.Public(),
		Endpoints: []netip.AddrPort{w.endpoint(id)},
		Loopbacks: []topo.SegPrefix{prefix(fmt.Sprintf("100.64.0.%d/32", id)), prefix(fmt.Sprintf("fd00::%d/128", id))},
		Grants:    []topo.SegPrefix{prefix(fmt.Sprintf("10.%d.0.0/16", id)), prefix(fmt.Sprintf("fd00:%d::/32", id))},
	}
}

// config is what router id is set to.
func (w *world) config(id topo.RouterID) Config {
	c := w.conf
	c.Self, c.FabricMTU = id, w.mtu[id]
	c.Announce = append([]topo.SegPrefix(nil), w.conf.router(id).Grants...)
	return c
}

func (w *world) start(ids ...topo.RouterID) {
	w.t.Helper()
	for _, id := range ids {
		r := w.routers[id]
		r.dev = tuntest.NewWith("galleon0", w.config(id).withDefaults().FabricMTU, offloadsHere())
		dev := tun.Device(r.dev)
		var conns []net.PacketConn
		for lane := range worldLanes - w.fewer[id] {
			conn := w.net.Listen(w.laneOf(id, lane))
			if w.wrapConn != nil {
				conn = w.wrapConn(id, conn)
			}
			conns = append(conns, conn)
		}
		if w.wrapDev != nil {
			dev = w.wrapDev(id, dev)
		}
		r.mesh = New(Env{
			Socket: underlay.Wrap(conns[0], conns[1:]...), Device: dev, Rand: mrand.New(mrand.NewPCG(uint64(id), 1)),
			Emit: func(e Event) {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.events = append(r.events, e)
				if verbose {
					w.t.Logf("%s %s %s %v", time.Now().Format("15:04:05.000"), r.id, e.Name(), e.LogValue())
				}
			},
			Routes: func(s RouteSet) {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.routes = s
			},
		})
		r.mesh.offers &^= (w.lacks[id] | lacksHere())
		if err := r.mesh.Set(w.config(id), r.cred); err != nil {
			w.t.Fatalf("set %s: %v", id, err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		r.stop, r.done = cancel, make(chan error, 1)
		mesh, done := r.mesh, r.done
		go func() { done <- mesh.Run(ctx) }()
	}
}

// startAll starts every router.
func (w *world) startAll() {
	for id := topo.RouterID(1); int(id) <= len(w.conf.Routers); id++ {
		w.start(id)
	}
}

// kill ends a router, and its goodbyes are lost.
func (w *world) kill(id topo.RouterID) {
	w.t.Helper()
	for o := range w.routers {
		if o != id {
			w.net.Cut(addrOf(id).Addr(), addrOf(o).Addr())
		}
	}
	r := w.routers[id]
	r.stop()
	if err := <-r.done; err != nil {
		w.t.Errorf("%s ended: %v", id, err)
	}
	r.done = nil
}

// revive starts a killed router again, with nothing but its key.
func (w *world) revive(id topo.RouterID) {
	w.t.Helper()
	for o := range w.routers {
		if o != id {
			w.net.Heal(addrOf(id).Addr(), addrOf(o).Addr())
		}
	}
	w.start(id)
}

func (w *world) set(ids ...topo.RouterID) {
	w.t.Helper()
	for _, id := range ids {
		if err := w.routers[id].mesh.Set(w.config(id), w.routers[id].cred); err != nil {
			w.t.Fatalf("set %s: %v", id, err)
		}
	}
}

func (w *world) close() {
	for _, r := range w.routers {
		if r.done != nil {
			r.stop()
			if err := <-r.done; err != nil {
				w.t.Errorf("%s ended: %v", r.id, err)
			}
		}
	}
	w.net.Close()
}

func (w *world) latency(a, b topo.RouterID, oneWay time.Duration) {
	w.net.Both(w.endpoint(a).Addr(), w.endpoint(b).Addr(), func(p *fabrictest.Path) { p.Latency = oneWay })
}

func (w *world) cut(a, b topo.RouterID) { w.net.Cut(w.endpoint(a).Addr(), w.endpoint(b).Addr()) }

func (w *world) heal(a, b topo.RouterID) { w.net.Heal(w.endpoint(a).Addr(), w.endpoint(b).Addr()) }

// until waits for a condition, and says how long it took.
func (w *world) until(what string, within time.Duration, ok func() bool) time.Duration {
	w.t.Helper()
	start := time.Now()
	for !ok() {
		if time.Since(start) > within {
			for id := topo.RouterID(1); int(id) <= len(w.conf.Routers); id++ {
				if r := w.routers[id]; r.done != nil {
					w.t.Log(r.mesh.Status().brief())
				}
			}
			w.t.Fatalf("not within %v: %s", within, what)
		}
		time.Sleep(10 * time.Millisecond) // fake time: the bubble's, not the wall's
	}
	return time.Since(start)
}

// reaches says how a sees b: direct, relayed, no.
func (w *world) reaches(a, b topo.RouterID) string {
	for _, p := range w.routers[a].mesh.Status().Peers {
		if p.Router == b {
			return p.Reached
		}
	}
	return "unknown"
}

func (w *world) peer(a, b topo.RouterID) PeerStatus {
	for _, p := range w.routers[a].mesh.Status().Peers {
		if p.Router == b {
			return p
		}
	}
	return PeerStatus{}
}

// untilMeshed waits until each of the routers reaches each other one directly, with keys and prefixes.
func (w *world) untilMeshed(ids ...topo.RouterID) {
	w.t.Helper()
	w.until("full mesh", 10*time.Second, func() bool {
		for _, a := range ids {
			s := w.routers[a].mesh.Status()
			direct := 0
			for _, p := range s.Peers {
				if p.Reached == "direct" && len(p.Epochs) > 0 {
					direct++
				}
			}
			if direct < len(ids)-1 || len(s.Prefixes) < 4*len(ids) {
				return false
			}
		}
		return true
	})
}

// saw counts the events that match.
func saw[E Event](r *router, match func(E) bool) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, e := range r.events {
		if e, ok := e.(E); ok && (match == nil || match(e)) {
			n++
		}
	}
	return n
}

// Changes of a path.
func cutPath(p *fabrictest.Path) { p.Cut = true }

func narrowPath(p *fabrictest.Path) { p.MTU = 1400 }

func wholePath(p *fabrictest.Path) { p.MTU = 0 }

// brief is a status on a line for each peer.
func (s Status) brief() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s drops %v", s.Self, s.Drops)
	for _, p := range s.Peers {
		fmt.Fprintf(&b, "\n  %s %s via %s", p.Router, p.Reached, p.Next)
		if l := p.Link; l != nil {
			fmt.Fprintf(&b, ", link %s (%s) since %s rtt %v mtu %d flaps %d", l.State, l.Why, l.Since.Format("04:05.000"), l.RTT, l.MTU, l.Flaps)
		}
		for _, x := range p.Sessions {
			fmt.Fprintf(&b, ", %s %d dialed=%v since %s", x.Kind, x.Epoch, x.Dialed, x.Since.Format("04:05.000"))
		}
		for _, e := range p.Epochs {
			fmt.Fprintf(&b, ", %d %s", e.Epoch, e.Stage)
		}
		if p.Error != "" {
			fmt.Fprintf(&b, ", %d failures: %s", p.Failures, p.Error)
		}
	}
	return b.String()
}

func losePath(p *fabrictest.Path) { p.LossPPM = 100_000 }
