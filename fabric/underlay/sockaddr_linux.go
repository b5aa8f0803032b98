package underlay

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

var errFamily = errors.New("an IPv4 socket cannot send to an IPv6 address; listen on [::] to serve both")

// sockaddr writes an address in the socket's family and returns its length.
func sockaddr(sa *unix.RawSockaddrInet6, to netip.AddrPort, v6 bool) (uint32, error) {
	a := to.Addr()
	if !a.IsValid() {
		return 0, unix.EDESTADDRREQ
	}
	if IsVirtual(to) {
		return 0, errVirtual
	}
	if !v6 {
		if !a.Is4() && !a.Is4In6() {
			return 0, errFamily
		}
		*(*unix.RawSockaddrInet4)(unsafe.Pointer(sa)) = unix.RawSockaddrInet4{
			Family: unix.AF_INET, Port: bigEndian(to.Port()), Addr: a.As4(),
		}
		return unix.SizeofSockaddrInet4, nil
	}
	*sa = unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: bigEndian(to.Port()), Addr: a.As16()}
	if z := a.Zone(); z != "" {
		id, err := zoneID(z)
		if err != nil {
			return 0, err
		}
		sa.Scope_id = id
	}
	return unix.SizeofSockaddrInet6, nil
}

func fromSockaddr(sa *unix.RawSockaddrInet6) netip.AddrPort {
	if sa.Family == unix.AF_INET {
		s4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(sa))
		return netip.AddrPortFrom(netip.AddrFrom4(s4.Addr), bigEndian(s4.Port))
	}
	a := netip.AddrFrom16(sa.Addr).Unmap()
	if sa.Scope_id != 0 {
		a = a.WithZone(strconv.Itoa(int(sa.Scope_id))) // link-local only; the one case that allocates
	}
	return netip.AddrPortFrom(a, bigEndian(sa.Port))
}

// bigEndian converts a port between this machine's order and the network's, either way.
func bigEndian(p uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], p)
	return binary.BigEndian.Uint16(b[:])
}

func zoneID(z string) (uint32, error) {
	if n, err := strconv.ParseUint(z, 10, 32); err == nil {
		return uint32(n), nil
	}
	i, err := net.InterfaceByName(z)
	if err != nil {
		return 0, err
	}
	return uint32(i.Index), nil
}
