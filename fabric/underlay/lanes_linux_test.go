package underlay

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/fabric/wire"
)

func TestLanes(t *testing.T) {
	for _, c := range []struct{ listen, host string }{{"127.0.0.1:0", "127.0.0.1"}, {"[::1]:0", "::1"}, {"[::]:0", "127.0.0.1"}, {"[::]:0", "::1"}} {
		a, b := listen(t, c.listen, Options{Lanes: 4}), listen(t, c.listen)
		if a.Lanes() != 4 || b.Lanes() != 1 || len(*shortfallsOf(a)) != 0 {
			t.Fatalf("%d and %d lanes, lacks %v", a.Lanes(), b.Lanes(), *shortfallsOf(a))
		}
		to := netip.AddrPortFrom(netip.MustParseAddr(c.host), b.LocalAddr().Port())
		send := func(s *Socket) (ports [6]uint16) {
			var p []Packet
			for lane := range 6 { // two of which there are not
				p = append(p, Packet{Buf: galleon(fmt.Sprint(lane)), Addr: to, Lane: uint8(lane)})
			}
			mustWrite(t, s, p...)
			for range p {
				q := read(t, b, 1)[0]
				ports[q.Buf[wire.HeaderLen]-'0'] = q.Addr.Port()
				if q.Addr.Addr() != to.Addr() {
					t.Errorf("from %s, want %s", q.Addr, to.Addr())
				}
			}
			return ports
		}
		ports := send(a)
		seen := map[uint16]bool{}
		for _, p := range ports[:4] {
			seen[p] = true
		}
		if own := a.LocalAddr().Port(); len(seen) != 4 || ports[0] != own || ports[4] != own || ports[5] != own {
			t.Errorf("%s: lanes are ports %v, the port is %d", c.listen, ports, own)
		}

		// A successor sends from the same ports.
		young := handOver(t, a, Options{Lanes: 2})
		a.Close()
		if again := send(young); again != ports {
			t.Errorf("%s: ports %v were handed over as %v", c.listen, ports, again)
		}
	}
}

// TestLanesTakeNothing: what is sent to a lane is dropped, and costs no memory.
func TestLanesTakeNothing(t *testing.T) {
	a, b := listen(t, "127.0.0.1:0", Options{Lanes: 2}), listen(t, "127.0.0.1:0")
	lane := a.net.(*kernel).lanes[1]
	for range 100 {
		mustWrite(t, b, Packet{Buf: galleon("for nobody"), Addr: addrPort(lane.LocalAddr())})
	}
	m, err := lane.memory()
	if err != nil {
		t.Fatal(err)
	}
	if m[unix.SK_MEMINFO_RMEM_ALLOC] != 0 || m[unix.SK_MEMINFO_RCVBUF] > 8192 {
		t.Errorf("holds %d octets of at most %d", m[unix.SK_MEMINFO_RMEM_ALLOC], m[unix.SK_MEMINFO_RCVBUF])
	}
}

func TestLanesAreClosedWithTheSocket(t *testing.T) {
	s := listen(t, "127.0.0.1:0", Options{Lanes: 3, Readers: 2})
	var addrs []netip.AddrPort
	for _, p := range s.net.(*kernel).lanes {
		addrs = append(addrs, addrPort(p.LocalAddr()))
	}
	s.Close()
	for _, a := range addrs {
		listen(t, a.String())
	}
}

// TestLanesSetTheirOptions: don't-fragment counts on every one.
func TestLanesSetTheirOptions(t *testing.T) {
	s := listen(t, "[::]:0", Options{Lanes: 2, Readers: 2})
	k := s.net.(*kernel)
	for _, p := range append(k.lanes, k.ports...) {
		err := p.control(func(fd int) error {
			v4, err := unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER)
			if err != nil || v4 != unix.IP_PMTUDISC_PROBE {
				t.Errorf("%s: IPv4 %d, %v", p.LocalAddr(), v4, err)
			}
			if !p.v6 {
				return nil
			}
			v6, err := unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER)
			if err != nil || v6 != unix.IPV6_PMTUDISC_PROBE {
				t.Errorf("%s: IPv6 %d, %v", p.LocalAddr(), v6, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}
