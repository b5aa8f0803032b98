package underlay

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of sys/socket.h; the compiler pads it as C does.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// oobLen is room for the control messages that are asked for: SO_RXQ_OVFL.
const oobLen = 64

// batch holds what one recvmmsg or sendmmsg needs, so that a call allocates nothing.
type batch struct {
	hdrs  [MaxBatch]mmsghdr
	iovs  [MaxBatch]unix.Iovec
	names [MaxBatch]unix.RawSockaddrInet6 // large enough for IPv4 as well
	oob   [][oobLen]byte                  // for reading only

	used  int // messages of the call
	n     int // messages that the kernel took or gave
	errno syscall.Errno
	trap  uintptr
	call  func(fd uintptr) bool // bound once: a closure for each call would be garbage
}

func newBatch(reading bool) *batch {
	b := &batch{trap: unix.SYS_SENDMMSG}
	if reading {
		b.trap = unix.SYS_RECVMMSG
		b.oob = make([][oobLen]byte, MaxBatch)
	}
	b.call = b.do
	return b
}

// do is run by the poller until it returns true. MSG_DONTWAIT is said for each call, since another
// process that holds the same socket may have made it blocking.
func (b *batch) do(fd uintptr) bool {
	for {
		n, _, errno := syscall.Syscall6(b.trap, fd, uintptr(unsafe.Pointer(&b.hdrs[0])), uintptr(b.used), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			b.n, b.errno = int(n), 0
			return true
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			b.n, b.errno = 0, errno
			return true
		}
	}
}

func (b *batch) forReading(p []Packet) {
	b.used = min(len(p), MaxBatch)
	b.n, b.errno = 0, 0
	for i := range b.used {
		buf := p[i].Buf[:cap(p[i].Buf)]
		b.message(i, buf, unix.SizeofSockaddrInet6)
		b.hdrs[i].hdr.Control = &b.oob[i][0]
		b.hdrs[i].hdr.SetControllen(oobLen)
	}
}

// forWriting prepares packets up to the first whose address does not fit the socket, and returns how
// many; when that is the very first, the error says why.
func (b *batch) forWriting(p []Packet, v6 bool) (int, error) {
	b.used, b.n, b.errno = 0, 0, 0
	for i := range p[:min(len(p), MaxBatch)] {
		n, err := sockaddr(&b.names[i], p[i].Addr, v6)
		if err != nil {
			return b.used, err
		}
		b.message(i, p[i].Buf, n)
		b.used++
	}
	return b.used, nil
}

func (b *batch) message(i int, buf []byte, nameLen uint32) {
	b.iovs[i].Base = unsafe.SliceData(buf)
	b.iovs[i].SetLen(len(buf))
	h := &b.hdrs[i].hdr
	h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
	h.Namelen = nameLen
	h.Iov = &b.iovs[i]
	h.SetIovlen(1)
	h.Flags = 0
}

// release lets go of the callers' buffers.
func (b *batch) release() {
	for i := range b.used {
		b.iovs[i].Base = nil
	}
}

// packet makes p of message i; one that was longer than its buffer gets no address.
func (b *batch) packet(i int, p *Packet) {
	p.Buf = p.Buf[:b.hdrs[i].len]
	p.Addr = fromSockaddr(&b.names[i])
	if b.hdrs[i].hdr.Flags&unix.MSG_TRUNC != 0 {
		p.Addr = netip.AddrPort{}
	}
	b.iovs[i].Base = nil
}

// overflow returns the socket's count of dropped packets, if message i carries it.
func (b *batch) overflow(i int) (uint32, bool) {
	rest := b.oob[i][:b.hdrs[i].hdr.Controllen]
	for len(rest) >= unix.SizeofCmsghdr {
		h, data, r, err := unix.ParseOneSocketControlMessage(rest)
		if err != nil {
			return 0, false
		}
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SO_RXQ_OVFL && len(data) >= 4 {
			return binary.NativeEndian.Uint32(data), true
		}
		rest = r
	}
	return 0, false
}

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
