package fabric

import (
	"errors"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/wire"
)

var errFault = errors.New("a fault of the test")

// flakyConn fails its nth write.
type flakyConn struct {
	net.PacketConn
	left *atomic.Int64
}

func (c flakyConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if c.left.Add(-1) == 0 {
		return 0, errFault
	}
	return c.PacketConn.WriteTo(b, to)
}

// Whichever write to the network fails, the two routers find each other, soon.
func TestTheNthWriteFails(t *testing.T) {
	for n := int64(1); ; n++ {
		touched := true
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 2)
			w.latency(1, 2, 5*time.Millisecond)
			var left atomic.Int64
			left.Store(n)
			w.wrapConn = func(_ topo.RouterID, c net.PacketConn) net.PacketConn { return flakyConn{c, &left} }
			w.startAll()
			w.untilMeshed(1, 2)
			touched = left.Load() <= 0
			if !w.passes(1, 2) {
				w.passes(1, 2) // the nth was this packet itself
			}
		})
		if !touched || t.Failed() {
			t.Logf("%d writes until the mesh stands", n-1)
			return
		}
	}
}

// flakyDevice fails some of its writes and reads, as a device does whose interface is down.
type flakyDevice struct {
	tun.Device
	writes, reads *atomic.Int64
}

func (d flakyDevice) WriteBatch(p []tun.Packet) (int, error) {
	if d.writes.Add(1)%3 == 0 {
		return 0, syscall.EIO
	}
	return d.Device.WriteBatch(p)
}

func (d flakyDevice) ReadBatch(arena []byte, p []tun.Packet) (int, error) {
	if d.reads.Add(1)%3 == 0 {
		return 0, syscall.EIO
	}
	return d.Device.ReadBatch(arena, p)
}

// A device that refuses packets loses those and no others, and does not end the mesh.
func TestADeviceThatRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		var writes, reads atomic.Int64
		w.wrapDev = func(_ topo.RouterID, d tun.Device) tun.Device { return flakyDevice{d, &writes, &reads} }
		w.startAll()
		w.untilMeshed(1, 2)
		arrived := 0
		for range 30 {
			if w.passes(1, 2) {
				arrived++
			}
		}
		if got := w.routers[2].mesh.Status().Drops["device-refused"]; arrived != 20 || got != 10 {
			t.Errorf("%d of 30 arrived, %d counted as refused", arrived, got)
		}
	})
}

// narrowConn is an interface whose MTU is too small for the fabric's datagrams.
type narrowConn struct{ net.PacketConn }

func (c narrowConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if len(b) > 1400 {
		return 0, syscall.EMSGSIZE
	}
	return c.PacketConn.WriteTo(b, to)
}

// The kernel refuses a size: the link gets a smaller MTU at once, for both ends, and soon the one that passes.
func TestANarrowInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.wrapConn = func(id topo.RouterID, c net.PacketConn) net.PacketConn {
			if id == 1 {
				return narrowConn{c}
			}
			return c
		}
		w.startAll()
		w.untilMeshed(1, 2)
		w.until("the smaller MTU", 5*time.Second, func() bool {
			x, err := w.routers[2].mesh.Explain(1)
			mtu := w.peer(1, 2).Link.MTU
			return err == nil && mtu > 1384 && mtu <= 1400 && x.MTU == mtu-wire.Overhead && w.peer(2, 1).Link.MTUIn == mtu
		})
		small := packet(host4(1), host4(2), 1280, "x")
		w.send(1, small)
		if got, ok := w.delivered(2, time.Second); !ok || string(got) != string(small) {
			t.Error("a small packet did not pass")
		}
		w.send(2, packet(host4(2), host4(1), 1400, "x"))
		if got, ok := w.delivered(2, time.Second); !ok || got[20] != 3 || got[21] != 4 {
			t.Errorf("no ICMP message at the other end: %x", got)
		}
	})
}
