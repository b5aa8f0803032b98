package underlay

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/galleon-net/galleon/fabric/topo"
)

// A virtual address is fd67:616c:6c65:6f6e::<router>, port 1: an IPv6 unique local address (RFC 4193)
// whose 64-bit prefix reads 0xfd "galleon". It never appears in an IP header.
var virtualPrefix = [8]byte{0xfd, 'g', 'a', 'l', 'l', 'e', 'o', 'n'}

const virtualPort = 1

// VirtualPrefix is the range of virtual addresses. No pool or endpoint may overlap it.
var VirtualPrefix = netip.PrefixFrom(VirtualAddr(0).Addr(), 64)

// VirtualAddr is the address that stands for "this router, through relays".
func VirtualAddr(r topo.RouterID) netip.AddrPort {
	var a [16]byte
	copy(a[:], virtualPrefix[:])
	binary.BigEndian.PutUint32(a[12:], uint32(r))
	return netip.AddrPortFrom(netip.AddrFrom16(a), virtualPort)
}

// IsVirtual tells whether an address lies in the virtual range, whatever its port.
func IsVirtual(ap netip.AddrPort) bool {
	if !ap.Addr().Is6() {
		return false
	}
	a := ap.Addr().As16()
	return [8]byte(a[:8]) == virtualPrefix
}

// RouterOf returns the router that a virtual address stands for.
func RouterOf(ap netip.AddrPort) (topo.RouterID, bool) {
	a := ap.Addr().As16()
	r := topo.RouterID(binary.BigEndian.Uint32(a[12:]))
	return r, r != 0 && ap == VirtualAddr(r)
}

// addrPort converts what package net gives; IPv4 is never mapped into IPv6 above this package.
func addrPort(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := u.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
