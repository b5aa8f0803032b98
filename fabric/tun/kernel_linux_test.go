package tun_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/tun/tuntest"
)

const mtu = 1400

// open makes a device that is up and has addresses, and a host with a socket in each family.
func open(t testing.TB, name string) (*tun.Kernel, tuntest.Rig) {
	needNamespace(t)
	d, err := tun.Open(name, tun.Options{MTU: mtu})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	for _, err := range []error{
		up(d.Name()),
		addAddress(d.Name(), netip.MustParsePrefix("10.77.0.1/24")),
		addAddress(d.Name(), netip.MustParsePrefix("fd77::1/64")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s4, host4 := hostSocket(t, "10.77.0.1:0")
	s6, host6 := hostSocket(t, "[fd77::1]:0")
	received := make(chan datagram, 64)
	for _, s := range []*net.UDPConn{s4, s6} {
		go func() { // ends when the socket is closed
			for {
				b := make([]byte, 2048)
				n, from, err := s.ReadFromUDPAddrPort(b)
				if err != nil {
					return
				}
				received <- datagram{from, b[:n]}
			}
		}()
	}
	return d, tuntest.Rig{
		Device: d, MTU: mtu, Host4: host4, Host6: host6,
		Peer4: netip.MustParseAddrPort("10.77.0.2:2000"), Peer6: netip.MustParseAddrPort("[fd77::2]:2000"),
		Send: func(to netip.AddrPort, payload []byte) error {
			s := s4
			if to.Addr().Is6() {
				s = s6
			}
			_, err := s.WriteToUDPAddrPort(payload, to)
			return err
		},
		Receive: func(d time.Duration) (netip.AddrPort, []byte, error) {
			select {
			case g := <-received:
				return g.from, g.payload, nil
			case <-time.After(d):
				return netip.AddrPort{}, nil, os.ErrDeadlineExceeded
			}
		},
		SetMTU: func(mtu int) error { return setMTU(d.Name(), mtu) },
		Remove: func() error { return removeInterface(d.Name()) },
	}
}

type datagram struct {
	from    netip.AddrPort
	payload []byte
}

// hostSocket binds to an address of the host. A new IPv6 address cannot be bound until the kernel's
// worker has made it valid, which takes a moment.
func hostSocket(t testing.TB, addr string) (*net.UDPConn, netip.AddrPort) {
	to := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr))
	s, err := net.ListenUDP("udp", to)
	tick, late := time.NewTicker(time.Millisecond), time.After(5*time.Second)
	defer tick.Stop()
	for errors.Is(err, syscall.EADDRNOTAVAIL) {
		select {
		case <-tick.C:
			s, err = net.ListenUDP("udp", to)
		case <-late:
			t.Fatal(err)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, s.LocalAddr().(*net.UDPAddr).AddrPort()
}

func TestKernel(t *testing.T) {
	tuntest.Suite(t, func(t *testing.T) tuntest.Rig {
		_, r := open(t, "galleon%d")
		return r
	})
}

func TestDeviceLivesAsLongAsOneHoldsIt(t *testing.T) {
	old, r := open(t, "galleon9")
	f, err := old.File()
	if err != nil {
		t.Fatal(err)
	}
	young, err := tun.FromFile(f)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if young.Name() != "galleon9" {
		t.Errorf("handed over as %s", young.Name())
	}
	old.Close()

	if err := r.Send(r.Peer4, []byte("after")); err != nil {
		t.Fatal(err)
	}
	arena, pkts := make([]byte, tun.MaxPacket), make([]tun.Packet, 1)
	for {
		if _, err := young.ReadBatch(arena, pkts); err != nil {
			t.Fatal(err)
		}
		if _, _, payload, ok := tuntest.ParseUDP(pkts[0].Buf); ok && string(payload) == "after" {
			break
		}
	}
	young.Close()
	if _, err := net.InterfaceByName("galleon9"); err == nil {
		t.Error("the device outlives its last holder")
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	needNamespace(t)
	d, err := tun.Open("galleon5", tun.Options{MTU: mtu})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, c := range []struct {
		name string
		mtu  int
		is   error
		says string
	}{
		{"galleon5", mtu, syscall.EBUSY, "another process holds it"},
		{"lo", mtu, syscall.EINVAL, "an interface of that name exists"},
		{"a-name-of-sixteen", mtu, syscall.EINVAL, "1 to 15 characters"},
		{"galleon6", 1 << 20, syscall.EINVAL, "set MTU 1048576"},
	} {
		d, err := tun.Open(c.name, tun.Options{MTU: c.mtu})
		if err == nil {
			d.Close()
		}
		if !errors.Is(err, c.is) || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("open %s: %v; want %q", c.name, err, c.says)
		}
	}
	if _, err := net.InterfaceByName("galleon6"); err == nil {
		t.Error("a device whose MTU was refused was left behind")
	}
}

func TestFromFileRefusesOthers(t *testing.T) {
	needNamespace(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, err := tun.FromFile(null); err == nil {
		t.Error("took over /dev/null")
	}

	tap, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	if _, err := tun.FromFile(tap); err == nil {
		t.Error("took over a descriptor without device")
	}
	req, err := unix.NewIfreq("tap%d")
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(int(tap.Fd()), unix.TUNSETIFF, req); err != nil {
		t.Fatal(err)
	}
	if _, err := tun.FromFile(tap); err == nil || !strings.Contains(err.Error(), "not a TUN device") {
		t.Errorf("took over a TAP device: %v", err)
	}
}

func TestDownIsNotGone(t *testing.T) {
	needNamespace(t)
	d, err := tun.Open("galleon%d", tun.Options{MTU: mtu})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	pkt := tuntest.UDPPacket(netip.MustParseAddrPort("10.77.0.2:1"), netip.MustParseAddrPort("10.77.0.1:1"), nil)
	n, err := d.WriteBatch(tuntest.Plain(pkt, pkt))
	if n != 0 || !errors.Is(err, syscall.EIO) || errors.Is(err, tun.ErrGone) || !strings.Contains(err.Error(), "interface is down") {
		t.Errorf("wrote %d to an interface that is down, %v", n, err)
	}
}

func TestBatchesDoNotAllocate(t *testing.T) {
	d, r := open(t, "galleon%d")
	const k = 16
	arena, in := make([]byte, 2*tun.MaxPacket), make([]tun.Packet, k)
	pkts := make([]tun.Packet, k)
	for i := range pkts { // to an address of nobody: the kernel drops them, whatever it thinks of that
		pkts[i].Buf = tuntest.UDPPacket(r.Peer4, netip.MustParseAddrPort("10.77.0.2:9"), make([]byte, 100))
	}
	payload := make([]byte, 100)
	read := 0
	one := testing.AllocsPerRun(20, func() {
		for range k {
			r.Send(r.Peer4, payload)
		}
	})
	both := testing.AllocsPerRun(20, func() {
		for range k {
			r.Send(r.Peer4, payload)
		}
		for got := 0; got < k; {
			n, err := d.ReadBatch(arena, in)
			if err != nil {
				t.Fatal(err)
			}
			got += n
			read += n
		}
		if _, err := d.WriteBatch(pkts); err != nil {
			t.Fatal(err)
		}
	})
	if both > one {
		t.Errorf("%d packets each way allocate %v times", k, both-one)
	}
	if read < k {
		t.Errorf("read %d packets", read)
	}
}
