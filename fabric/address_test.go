package fabric

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

func TestAnIPv6Underlay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := populate(&world{t: t, v6: true}, 3)
		w.latency(1, 2, 30*time.Millisecond)
		w.latency(2, 3, 30*time.Millisecond)
		w.latency(1, 3, 40*time.Millisecond)
		w.startAll()
		w.untilMeshed(1, 2, 3)
		if !w.passes(1, 3) {
			t.Error("nothing arrives")
		}
		w.cut(1, 3)
		w.until("relayed", time.Second, func() bool { return w.reaches(1, 3) == "relayed" && w.reaches(3, 1) == "relayed" })
		if !w.passes(1, 3) || !w.passes(3, 1) {
			t.Error("nothing arrives through the relay")
		}
	})
}

func TestEndpointsAreTriedInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		nobody := netip.MustParseAddrPort("192.0.2.200:5201")
		w.conf.router(2).Endpoints = []netip.AddrPort{nobody, addrOf(2)}
		w.conf.router(1).Endpoints = nil // so that r2 cannot help
		w.startAll()
		w.until("meshed over the second endpoint", 10*time.Second, func() bool { return w.reaches(1, 2) == "direct" && w.reaches(2, 1) == "direct" })
		if got := w.peer(1, 2).Link.Addr; got != addrOf(2) {
			t.Errorf("the link leads to %s", got)
		}
	})
}

// natConn is a router behind a NAT: what it sends has an outside address, which the NAT can forget and
// replace. What comes to a forgotten one is lost.
type natConn struct {
	outside []net.PacketConn
	current atomic.Int32
	in      chan arrived
	wg      sync.WaitGroup
	once    sync.Once
	closed  chan struct{}
}

type arrived struct {
	b    []byte
	from net.Addr
}

func newNAT(outside ...net.PacketConn) *natConn {
	n := &natConn{outside: outside, in: make(chan arrived, 64), closed: make(chan struct{})}
	for i, c := range outside {
		n.wg.Go(func() {
			for {
				b := make([]byte, 2048)
				size, from, err := c.ReadFrom(b)
				if err != nil {
					return
				}
				if int(n.current.Load()) != i {
					continue
				}
				select {
				case n.in <- arrived{b[:size], from}:
				case <-n.closed:
					return
				}
			}
		})
	}
	return n
}

func (n *natConn) forget() { n.current.Add(1) }

func (n *natConn) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-n.in:
		return copy(b, p.b), p.from, nil
	case <-n.closed:
		return 0, nil, net.ErrClosed
	}
}

func (n *natConn) WriteTo(b []byte, to net.Addr) (int, error) {
	return n.outside[n.current.Load()].WriteTo(b, to)
}

func (n *natConn) Close() error {
	n.once.Do(func() {
		close(n.closed)
		for _, c := range n.outside {
			c.Close()
		}
		n.wg.Wait()
	})
	return nil
}

func (n *natConn) LocalAddr() net.Addr              { return n.outside[0].LocalAddr() }
func (n *natConn) SetDeadline(time.Time) error      { return nil }
func (n *natConn) SetReadDeadline(time.Time) error  { return nil }
func (n *natConn) SetWriteDeadline(time.Time) error { return nil }

// A NAT gives a router another address. Its next probe tells, and packets follow it there, whatever becomes
// of the session.
func TestANATForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.conf.router(2).Endpoints = nil
		w.fewer = map[topo.RouterID]int{2: worldLanes - 1} // it is one port that the NAT forgets
		var nat *natConn
		w.wrapConn = func(id topo.RouterID, c net.PacketConn) net.PacketConn {
			if id != 2 {
				return c
			}
			nat = newNAT(c, w.net.Listen(addrOf(102)))
			return nat
		}
		w.startAll()
		w.until("meshed", 10*time.Second, func() bool { return w.reaches(1, 2) == "direct" && w.reaches(2, 1) == "direct" })
		out, back := w.flow(2, 1), w.flow(1, 2)
		time.Sleep(time.Second)
		nat.forget()
		time.Sleep(20 * time.Second)
		if got := w.peer(1, 2).Link.Addr; got != addrOf(102) {
			t.Errorf("the link leads to %s", got)
		}
		if n := saw(w.routers[1], func(e LinkMoved) bool { return e.To == addrOf(102) }); n != 1 {
			t.Errorf("moved %d times", n)
		}
		if _, lost, _ := out.result(); lost > 0 {
			t.Errorf("%d lost on the way out", lost)
		}
		if _, lost, gap := back.result(); lost > 10 || gap > 100*time.Millisecond {
			t.Errorf("%d lost on the way back, longest silence %v", lost, gap)
		}
	})
}
