package kernel_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/galleon-net/galleon/netcfg/kernel"
	"github.com/galleon-net/galleon/netcfg/kernel/kerneltest"
	"github.com/galleon-net/galleon/netcfg/plan"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

func TestRealContract(t *testing.T) {
	kerneltest.Contract(t, func(t *testing.T) kerneltest.Bench { return kerneltest.NewRealBench(t) })
}

// TestEveryCallFails lets the nth exchange with the kernel fail, for every n, until a pass goes through
// untouched. An observation with a failure in it is an error, never half of the truth.
func TestEveryCallFails(t *testing.T) {
	b := kerneltest.NewRealBench(t)
	b.AddDevice(kerneltest.Device)
	want := kerneltest.Reach(t, b.Kernel(), kerneltest.Example())
	k := b.Kernel().(*kernel.Real)
	broken := errors.New("broken on purpose")
	for n := 0; ; n++ {
		calls := 0
		kernel.FailCalls(k, func(string) error {
			calls++
			if calls == n+1 {
				return broken
			}
			return nil
		})
		found, err := k.Observe(t.Context(), kerneltest.Example().Scope())
		if calls <= n {
			if err != nil || !reflect.DeepEqual(found, want) {
				t.Fatalf("untouched: %v\n got %+v\nwant %+v", err, found, want)
			}
			if n < 7 {
				t.Fatalf("only %d calls", n)
			}
			return
		}
		if !errors.Is(err, broken) || !reflect.DeepEqual(found, plan.Found{}) {
			t.Fatalf("call %d failed: %v, found %+v", n+1, err, found)
		}
	}
}

// TestInterruptedDumps: an interruption is asked past, whenever it comes; one that never ends is an error.
func TestInterruptedDumps(t *testing.T) {
	b := kerneltest.NewRealBench(t)
	b.AddDevice(kerneltest.Device)
	want := kerneltest.Reach(t, b.Kernel(), kerneltest.Example())
	k := b.Kernel().(*kernel.Real)
	calls := 0
	kernel.FailCalls(k, func(call string) error {
		calls++
		if dump := call == "routes" || call == "rules" || call == "addresses"; dump && calls%3 != 0 {
			return netlink.ErrDumpInterrupted
		}
		return nil
	})
	found, err := k.Observe(t.Context(), kerneltest.Example().Scope())
	if err != nil || !reflect.DeepEqual(found, want) {
		t.Fatalf("%v\n got %+v\nwant %+v", err, found, want)
	}
	kernel.FailCalls(k, func(call string) error {
		if call == "routes" {
			return netlink.ErrDumpInterrupted
		}
		return nil
	})
	if found, err := k.Observe(t.Context(), kerneltest.Example().Scope()); !errors.Is(err, netlink.ErrDumpInterrupted) || len(found.Routes) > 0 {
		t.Fatalf("never whole: %v, %+v", err, found)
	}
}

// TestPacketsGoWhereMeant asks the kernel itself which way packets go.
func TestPacketsGoWhereMeant(t *testing.T) {
	b := kerneltest.NewRealBench(t)
	b.AddDevice(kerneltest.Device)
	h, err := netlink.NewHandleAt(netns.NsHandle(b.NetNS()), unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	// An underlay with a default route, as every machine has.
	if err := h.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "wire"}); err != nil {
		t.Skipf("making a veth pair is not possible here: %v", err)
	}
	eth, err := h.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	address := netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(192, 0, 2, 1).To4(), Mask: net.CIDRMask(24, 32)}}
	wire, err := h.LinkByName("wire")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{h.AddrAdd(eth, &address), h.LinkSetUp(wire), h.LinkSetUp(eth),
		h.RouteAdd(&netlink.Route{Gw: net.IPv4(192, 0, 2, 254).To4(), LinkIndex: eth.Attrs().Index})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f := kerneltest.Reach(t, b.Kernel(), kerneltest.Example())
	way := func(to string, mark uint32) any {
		t.Helper()
		routes, err := h.RouteGetWithOptions(net.ParseIP(to), &netlink.RouteGetOptions{Mark: mark})
		if err != nil {
			return err
		}
		return routes[0].LinkIndex
	}
	check := func(what, to string, mark uint32, want any) {
		t.Helper()
		if got := way(to, mark); got != want {
			t.Errorf("%s: %s with mark %#x goes to %v, want %v", what, to, mark, got, want)
		}
	}
	tun, wireless := f.Device.Index, eth.Attrs().Index
	check("remote", "10.5.0.9", 0, tun)
	check("elsewhere", "203.0.113.1", 0, wireless)
	check("known, not reachable", "10.77.0.1", 0, unix.EHOSTUNREACH)
	check("local, in the main table", "10.1.0.1", 0, wireless)
	check("the tunnels' own", "10.5.0.9", 0x67616c, wireless)
	b.RemoveDevice(kerneltest.Device)
	check("remote, device gone", "10.5.0.9", 0, unix.EHOSTUNREACH)
	check("remote v6, device gone", "fd00:5::9", 0, unix.EHOSTUNREACH)
}

// TestNothingLeaks: with the rule gone and the default route ready to take them, packets of the overlay do not
// leave by the underlay, and do not come in by it; others do.
func TestNothingLeaks(t *testing.T) {
	b := kerneltest.NewRealBench(t)
	if why := kerneltest.Observe(t, b.Kernel(), kerneltest.Example()).NoFilter; why != "" {
		t.Skipf("nftables cannot be used here: %s", why)
	}
	// A TUN device plays the underlay: its other end is ours to read and write.
	underlay := b.AddTUN("eth0")
	h, err := netlink.NewHandleAt(netns.NsHandle(b.NetNS()), unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	eth, err := h.LinkByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	lo, err := h.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	addr := func(s string) *netlink.Addr {
		a, err := netlink.ParseAddr(s)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	c := kerneltest.Example()
	for _, err := range []error{h.LinkSetUp(lo), h.AddrAdd(eth, addr("192.0.2.1/24")), h.AddrAdd(lo, addr("10.5.7.7/32")), h.LinkSetUp(eth),
		h.RouteAdd(&netlink.Route{LinkIndex: eth.Attrs().Index, Dst: &net.IPNet{IP: net.IPv4zero.To4(), Mask: net.CIDRMask(0, 32)}})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	f := kerneltest.Reach(t, b.Kernel(), c)
	for _, r := range f.Rules {
		if err := b.Other().Apply(t.Context(), plan.RuleStep{Rule: r, Remove: true}); err != nil {
			t.Fatal(err)
		}
	}
	err = b.Inside(func() error {
		s, err := net.ListenUDP("udp4", nil)
		if err != nil {
			return err
		}
		defer s.Close()
		port := s.LocalAddr().(*net.UDPAddr).Port
		send := func(to string) { _, _ = s.WriteToUDP([]byte(to), &net.UDPAddr{IP: net.ParseIP(to), Port: 9}) }
		send("10.5.0.9")    // overlay: must not appear
		send("10.1.0.9")    // local: may
		send("203.0.113.9") // the Internet: may
		for _, want := range []string{"10.1.0.9", "203.0.113.9"} {
			if got, err := nextUDP(underlay); err != nil || got != want {
				t.Errorf("on the underlay: a packet to %s, %v, want %s", got, err, want)
			}
		}
		// Inwards: one that claims an overlay source, one to an overlay address of this machine, and an honest one.
		for _, p := range [][2]string{{"10.6.0.9", "192.0.2.1"}, {"203.0.113.9", "10.5.7.7"}, {"10.1.0.9", "10.5.7.7"}, {"203.0.113.9", "192.0.2.1"}} {
			if _, err := underlay.Write(udp(p[0], p[1], port)); err != nil {
				return err
			}
		}
		if err := s.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return err
		}
		var b [100]byte
		for _, want := range []string{"10.1.0.9", "203.0.113.9"} {
			_, from, err := s.ReadFromUDPAddrPort(b[:])
			if err != nil {
				return err
			}
			if from.Addr().Unmap().String() != want {
				t.Errorf("heard %s, want %s", from, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// nextUDP reads until an IPv4 UDP packet comes, and says where to.
func nextUDP(f *os.File) (string, error) {
	var b [2048]byte
	for {
		if err := f.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			return "", err
		}
		n, err := f.Read(b[:])
		if err != nil {
			return "", err
		}
		if n >= 28 && b[0]>>4 == 4 && b[9] == unix.IPPROTO_UDP {
			a, _ := netip.AddrFromSlice(b[16:20])
			return a.String(), nil
		}
	}
}

// udp makes an IPv4 packet with an empty UDP datagram. Its UDP checksum is zero, which means none.
func udp(from, to string, port int) []byte {
	p := make([]byte, 28)
	p[0], p[3], p[8], p[9] = 0x45, 28, 64, unix.IPPROTO_UDP
	src, dst := netip.MustParseAddr(from).As4(), netip.MustParseAddr(to).As4()
	copy(p[12:], src[:])
	copy(p[16:], dst[:])
	p[20], p[21], p[22], p[23], p[25] = 4, 0, byte(port>>8), byte(port), 8
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(p[i])<<8 | uint32(p[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	p[10], p[11] = byte(^sum>>8), byte(^sum)
	return p
}
