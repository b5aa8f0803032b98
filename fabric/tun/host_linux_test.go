package tun_test

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/fabric/offload"
	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/tun/tuntest"
)

const mtu = 1400

// open makes a device that is up and has addresses, and a host with a socket in each family.
func open(t testing.TB, name string, o tun.Options, most tun.Offloads) (*tun.Kernel, tuntest.Rig) {
	needNamespace(t)
	o.MTU = mtu
	d, err := tun.OpenWith(name, o, most)
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
				select {
				case received <- datagram{from, b[:n]}:
				default: // nobody waits for that many
				}
			}
		}()
	}
	wire := tap(t, d.Name())
	has := most
	if o.NoOffload {
		has = tun.Offloads{}
	}
	return d, tuntest.Rig{
		Device: d, MTU: mtu, Host4: host4, Host6: host6, Offloads: has,
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
		SendPacket:    wire.send,
		ReceivePacket: wire.receive,
		SetMTU:        func(mtu int) error { return setMTU(d.Name(), mtu) },
		Remove:        func() error { return removeInterface(d.Name()) },
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

// wiretap is a packet socket (packet(7)) at the host's side of a device, with vnet headers of its own: it
// sends what a stack would, super-packets too, and sees what the stack is given, before it is cut.
type wiretap struct {
	f     *os.File
	index int
}

func tap(t testing.TB, name string) wiretap {
	t.Helper()
	i, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	const all = unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, all)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "packet socket")
	t.Cleanup(func() { f.Close() })
	for _, err := range []error{
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: i.Index}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return wiretap{f, i.Index}
}

func (w wiretap) send(p tun.Packet) error {
	b := make([]byte, offload.VnetLen, offload.VnetLen+len(p.Buf))
	p.PutVnet(b)
	proto := uint16(unix.ETH_P_IP)
	if p.Buf[0]>>4 == 6 {
		proto = unix.ETH_P_IPV6
	}
	var be [2]byte
	binary.BigEndian.PutUint16(be[:], proto)
	raw, err := w.f.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Write(func(fd uintptr) bool {
		inner = unix.Sendto(int(fd), append(b, p.Buf...), 0, &unix.SockaddrLinklayer{Protocol: binary.NativeEndian.Uint16(be[:]), Ifindex: w.index})
		return inner != unix.EAGAIN
	})
	if err == nil {
		err = inner
	}
	return err
}

func (w wiretap) receive(d time.Duration) (p tun.Packet, err error) {
	if err := w.f.SetReadDeadline(time.Now().Add(d)); err != nil {
		return p, err
	}
	b := make([]byte, 1<<17)
	n, err := w.f.Read(b)
	if err != nil {
		return p, err
	}
	p.Buf = b[offload.VnetLen:n]
	p.Meta, err = offload.ParseVnet(b[:offload.VnetLen], p.Buf)
	return p, err
}
