package underlay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Listen opens a UDP port. The unspecified IPv6 address, [::], serves IPv4 too; where the machine has
// no IPv6 it becomes 0.0.0.0. Any other address serves its own family.
func Listen(addr netip.AddrPort, o Options) (*Socket, error) {
	if !addr.IsValid() {
		return nil, fmt.Errorf("listen on UDP: no address given; use [::]:port for every interface")
	}
	network := "udp6"
	if addr.Addr().Is4() {
		network = "udp4"
	} else if addr.Addr() == netip.IPv6Unspecified() {
		network = "udp"
	}
	c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(addr))
	if network == "udp" && (errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)) {
		addr = netip.AddrPortFrom(netip.IPv4Unspecified(), addr.Port())
		c, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(addr))
	}
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("listen on UDP %s: another process has this port; stop it (see: ss -ulpn 'sport = :%d') or configure another port: %w",
			addr, addr.Port(), err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("listen on UDP %s: this machine has no such address; use one of its own (see: ip address) or [::]: %w", addr, err)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("listen on UDP %s: ports below 1024 need CAP_NET_BIND_SERVICE: %w", addr, err)
	case err != nil:
		return nil, fmt.Errorf("listen on UDP %s: %w", addr, err)
	}
	return open(c, o)
}

// FromFile makes a Socket of a descriptor that another process handed over. The caller still closes f.
func FromFile(f *os.File, o Options) (*Socket, error) {
	pc, err := net.FilePacketConn(f)
	if err != nil {
		return nil, fmt.Errorf("take over UDP socket %s: %w", f.Name(), err)
	}
	c, ok := pc.(*net.UDPConn)
	if !ok {
		pc.Close()
		return nil, fmt.Errorf("take over UDP socket %s: it is a %s socket", f.Name(), pc.LocalAddr().Network())
	}
	return open(c, o)
}

// open sets the socket options. They are set again after a hand-over, for the predecessor may have
// been an older version with others.
func open(c *net.UDPConn, o Options) (*Socket, error) {
	k, err := newKernel(c)
	if err == nil {
		err = k.configure(o)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("set up UDP socket %s: %w", c.LocalAddr(), err)
	}
	return newSocket(k), nil
}

func (k *kernel) configure(o Options) error {
	return k.control(func(fd int) error {
		if k.v6 {
			// On a dual-stack socket both levels count, each for its family.
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE); err != nil {
				return fmt.Errorf("set don't-fragment for IPv6: %w", err)
			}
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE); err != nil && !k.v6 {
			return fmt.Errorf("set don't-fragment for IPv4: %w", err)
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1); err != nil {
			return fmt.Errorf("ask for the count of dropped packets: %w", err)
		}
		if o.Mark != 0 {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, o.Mark); err != nil {
				return fmt.Errorf("set mark %#x (needs CAP_NET_ADMIN): %w", o.Mark, err)
			}
		}
		k.readBuf = size(fd, unix.SO_RCVBUF, unix.SO_RCVBUFFORCE, o.ReadBuffer)
		k.writeBuf = size(fd, unix.SO_SNDBUF, unix.SO_SNDBUFFORCE, o.WriteBuffer)
		return nil
	})
}

// size asks for a buffer of n octets, beyond net.core.rmem_max where that is allowed, and returns what
// was granted. A smaller one costs speed and is no reason to fail.
func size(fd, opt, force, n int) int {
	if n == 0 {
		n = DefaultBuffer
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, n) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, opt, n)
	}
	got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, opt)
	if err != nil {
		return 0
	}
	return got / 2 // the kernel doubles for its own bookkeeping
}
