package fabrictest

import (
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

var (
	addrA = netip.MustParseAddrPort("192.0.2.1:5201")
	addrB = netip.MustParseAddrPort("192.0.2.2:5201")
	addrC = netip.MustParseAddrPort("[2001:db8::3]:5201")
)

// arrival sends one packet and says when it came, or false when it did not within a second.
func arrival(t *testing.T, from, to net.PacketConn, size int) (time.Duration, bool) {
	t.Helper()
	start := time.Now()
	if _, err := from.WriteTo(make([]byte, size), to.LocalAddr()); err != nil {
		t.Fatalf("write: %v", err)
	}
	if err := to.SetReadDeadline(start.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	n, who, err := to.ReadFrom(make([]byte, 2000))
	if err != nil {
		return 0, false
	}
	if n != size || who.String() != from.LocalAddr().String() {
		t.Fatalf("got %d octets from %s, want %d from %s", n, who, size, from.LocalAddr())
	}
	return time.Since(start), true
}

func TestPathsDoWhatTheySay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		a, b, c := n.Listen(addrA), n.Listen(addrB), n.Listen(addrC)
		defer func() { a.Close(); b.Close(); c.Close(); n.Close() }()

		n.Set(addrA.Addr(), addrB.Addr(), func(p *Path) { p.Latency = 30 * time.Millisecond })
		n.Set(addrB.Addr(), addrA.Addr(), func(p *Path) { p.Latency = 50 * time.Millisecond })
		n.Both(addrA.Addr(), addrC.Addr(), func(p *Path) { p.MTU = 1280 })

		if d, ok := arrival(t, a, b, 100); !ok || d != 30*time.Millisecond {
			t.Errorf("a to b took %v, %v; want 30ms", d, ok)
		}
		if d, ok := arrival(t, b, a, 100); !ok || d != 50*time.Millisecond {
			t.Errorf("b to a took %v, %v; want 50ms", d, ok)
		}
		if _, ok := arrival(t, a, c, 1280); !ok {
			t.Error("a packet of the MTU was lost")
		}
		if _, ok := arrival(t, a, c, 1281); ok {
			t.Error("a packet beyond the MTU passed")
		}
		n.Cut(addrA.Addr(), addrB.Addr())
		if _, ok := arrival(t, a, b, 10); ok {
			t.Error("a packet passed a cut")
		}
		if _, ok := arrival(t, b, c, 10); !ok {
			t.Error("a cut of a and b stopped b and c")
		}
		n.Heal(addrA.Addr(), addrB.Addr())
		if _, ok := arrival(t, a, b, 10); !ok {
			t.Error("a healed path is still cut")
		}
		if got := n.Counts(addrA.Addr(), addrB.Addr()); got != (Counts{Delivered: 2, Cut: 1}) {
			t.Errorf("counts %+v", got)
		}
	})
}

// TestOneSourcePort breaks one port of a, and spares another and the way back.
func TestOneSourcePort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		port := netip.AddrPortFrom(addrA.Addr(), 6000)
		a, lane, b := n.Listen(addrA), n.Listen(port), n.Listen(addrB)
		defer func() { a.Close(); lane.Close(); b.Close(); n.Close() }()
		n.Set(addrA.Addr(), addrB.Addr(), func(p *Path) { p.Latency = 10 * time.Millisecond })
		n.SetFrom(port, addrB.Addr(), func(p *Path) { p.Latency, p.MTU = 5*time.Millisecond, 1000 })
		if d, ok := arrival(t, lane, b, 1000); !ok || d != 15*time.Millisecond {
			t.Errorf("by the port: %v, %v; want 15ms", d, ok)
		}
		if _, ok := arrival(t, lane, b, 1001); ok {
			t.Error("a packet beyond the port's MTU passed")
		}
		n.SetFrom(port, addrB.Addr(), func(p *Path) { p.Cut = true })
		if _, ok := arrival(t, lane, b, 10); ok {
			t.Error("a packet passed the cut port")
		}
		if d, ok := arrival(t, a, b, 1001); !ok || d != 10*time.Millisecond {
			t.Errorf("by the other port: %v, %v; want 10ms", d, ok)
		}
		if _, ok := arrival(t, b, lane, 10); !ok {
			t.Error("the way back to the port is cut, too")
		}
	})
}

func TestLossIsRoughlyWhatWasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(7)
		a, b := n.Listen(addrA), n.Listen(addrB)
		defer func() { a.Close(); b.Close(); n.Close() }()
		n.Set(addrA.Addr(), addrB.Addr(), func(p *Path) { p.LossPPM = 200_000 })
		for range 5000 {
			if _, err := a.WriteTo([]byte("x"), b.LocalAddr()); err != nil {
				t.Fatal(err)
			}
		}
		if lost := n.Counts(addrA.Addr(), addrB.Addr()).Lost; lost < 900 || lost > 1100 {
			t.Errorf("%d of 5000 lost, want about 1000", lost)
		}
	})
}

func TestOrderIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		a, b := n.Listen(addrA), n.Listen(addrB)
		defer func() { a.Close(); b.Close(); n.Close() }()
		n.Set(addrA.Addr(), addrB.Addr(), func(p *Path) { p.Latency = time.Millisecond })
		for i := range 200 {
			if _, err := a.WriteTo([]byte{byte(i)}, b.LocalAddr()); err != nil {
				t.Fatal(err)
			}
		}
		buf := make([]byte, 10)
		for i := range 200 {
			if _, _, err := b.ReadFrom(buf); err != nil || buf[0] != byte(i) {
				t.Fatalf("packet %d: got %d, %v", i, buf[0], err)
			}
		}
	})
}

func TestAnAddressCanBeUsedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		a, b := n.Listen(addrA), n.Listen(addrB)
		b.Close()
		if _, err := a.WriteTo([]byte("x"), b.LocalAddr()); err != nil {
			t.Fatal(err)
		}
		b = n.Listen(addrB)
		if _, ok := arrival(t, a, b, 10); !ok {
			t.Error("nothing arrives at an address that was used again")
		}
		a.Close()
		b.Close()
		n.Close()
	})
}
