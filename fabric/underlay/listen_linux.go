package underlay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
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
	return open([]*net.UDPConn{c}, o)
}

// open sets the socket options. They are set again after a hand-over, for the predecessor may have
// been an older version with others.
func open(conns []*net.UDPConn, o Options) (*Socket, error) {
	k, err := newKernel(conns, o)
	if err != nil {
		for _, c := range conns {
			c.Close()
		}
		return nil, fmt.Errorf("set up UDP socket %s: %w", conns[0].LocalAddr(), err)
	}
	return newSocket(k, k.short), nil
}
