package wan

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A frame is what one read of a TUN device gives when it was opened with IFF_VNET_HDR: a header that says
// what the kernel has left to others, then an IP packet.
//
//	 0        1          2         4          6            8             10
//	┌────────┬──────────┬─────────┬──────────┬────────────┬─────────────┬───────────────────┐
//	│ flags  │ GSO type │ hdr len │ GSO size │ csum start │ csum offset │ IP packet         │
//	└────────┴──────────┴─────────┴──────────┴────────────┴─────────────┴───────────────────┘
//
// in the byte order of the machine (virtio 1.2, section 5.1.6; legacy form, as the kernel's TUN driver keeps
// it by default). With GSO size set, the packet is a super-packet; its payload is to be cut every so many
// bytes. Flag NEEDS_CSUM says that the checksum field holds only the sum of the pseudo-header.
type frame []byte

const vnetLen = 10

func (f frame) flags() byte        { return f[0] }
func (f frame) gsoType() byte      { return f[1] &^ unix.VIRTIO_NET_HDR_GSO_ECN }
func (f frame) gsoSize() int       { return int(binary.NativeEndian.Uint16(f[4:])) }
func (f frame) checkStart() int    { return int(binary.NativeEndian.Uint16(f[6:])) }
func (f frame) checkOffset() int   { return int(binary.NativeEndian.Uint16(f[8:])) }
func (f frame) packet() []byte     { return f[vnetLen:] }
func (f frame) isIPv6() bool       { return f[vnetLen]>>4 == 6 }
func (f frame) isSuper() bool      { return f.gsoType() != unix.VIRTIO_NET_HDR_GSO_NONE && f.gsoSize() > 0 }
func (f frame) isTCP() bool        { return f.gsoType() != unix.VIRTIO_NET_HDR_GSO_UDP_L4 }
func (f frame) setGSOSize(n int)   { binary.NativeEndian.PutUint16(f[4:], uint16(n)) }
func (f frame) setHeaderLen(n int) { binary.NativeEndian.PutUint16(f[2:], uint16(n)) }

var errMalformed = errors.New("not an IP packet that a kernel would send")

// shape says where a frame goes and how it is cut. Its fields are checked against the frame's length once,
// so that cut need not.
type shape struct {
	Src, Dst netip.Addr
	Burst
	headers int // bytes of IP and transport header that every segment repeats; 0 unless a super-packet
}

// read finds a frame's shape.
func (f frame) read() (shape, error) {
	if len(f) < vnetLen+20 {
		return shape{}, errMalformed
	}
	p := f.packet()
	var s shape
	switch p[0] >> 4 {
	case 4:
		s.Src, s.Dst = netip.AddrFrom4([4]byte(p[12:])), netip.AddrFrom4([4]byte(p[16:]))
	case 6:
		if len(p) < 40 {
			return shape{}, errMalformed
		}
		s.Src, s.Dst = netip.AddrFrom16([16]byte(p[8:])), netip.AddrFrom16([16]byte(p[24:]))
	default:
		return shape{}, errMalformed
	}
	s.Burst = Single(len(p))
	if !f.isSuper() {
		return s, nil
	}
	at, least := f.checkStart(), 8
	if f.isTCP() {
		least = 20
	}
	if f.isIPv6() && at < 40 || !f.isIPv6() && (at < 20 || at != int(p[0]&15)*4) || len(p) < at+least {
		return shape{}, errMalformed
	}
	s.headers = at + least
	if f.isTCP() {
		s.headers = at + max(least, int(p[at+12]>>4)*4)
	}
	payload := len(p) - s.headers
	if payload <= 0 || f.checkOffset()+2 > s.headers-at {
		return shape{}, errMalformed
	}
	s.Segments = (payload + f.gsoSize() - 1) / f.gsoSize()
	s.Size = s.headers + min(f.gsoSize(), payload)
	s.Last = s.headers + payload - (s.Segments-1)*f.gsoSize()
	return s, nil
}

// Flags in the fourteenth byte of a TCP header.
const (
	tcpFIN = 0x01
	tcpPSH = 0x08
	tcpCWR = 0x80
)

// cut appends to dst the frame that carries only count segments of f from the first on: what a network card
// would have made of them, or a smaller super-packet. Lengths, IPv4 identification, sequence number and flags become
// those of the part; the transport checksum again holds the sum of the pseudo-header, which has the length in it.
func (f frame) cut(s shape, first, count int, dst []byte) frame {
	size, at := f.gsoSize(), f.checkStart()
	from := vnetLen + s.headers + first*size
	to := min(len(f), from+count*size)
	base := len(dst)
	dst = append(dst, f[:vnetLen+s.headers]...)
	dst = append(dst, f[from:to]...)
	part := frame(dst[base:])

	part[0] |= unix.VIRTIO_NET_HDR_F_NEEDS_CSUM
	part.setHeaderLen(s.headers)
	if to-from <= size {
		part[1] = unix.VIRTIO_NET_HDR_GSO_NONE
		part.setGSOSize(0)
	}

	p := part.packet()
	var sum uint32
	if part.isIPv6() {
		binary.BigEndian.PutUint16(p[4:], uint16(len(p)-40))
		sum = add(0, p[8:40])
	} else {
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		binary.BigEndian.PutUint16(p[4:], binary.BigEndian.Uint16(p[4:])+uint16(first))
		header := p[:int(p[0]&15)*4]
		header[10], header[11] = 0, 0
		binary.BigEndian.PutUint16(header[10:], ^fold(add(0, header)))
		sum = add(0, p[12:20])
	}

	transport, protocol := p[at:], uint32(unix.IPPROTO_UDP)
	if f.isTCP() {
		protocol = unix.IPPROTO_TCP
		seq := binary.BigEndian.Uint32(transport[4:])
		binary.BigEndian.PutUint32(transport[4:], seq+uint32(first*size))
		if to < len(f) {
			transport[13] &^= tcpFIN | tcpPSH
		}
		if first > 0 {
			transport[13] &^= tcpCWR
		}
	} else {
		binary.BigEndian.PutUint16(transport[4:], uint16(len(transport)))
	}
	sum += protocol + uint32(len(transport))
	binary.BigEndian.PutUint16(transport[f.checkOffset():], fold(sum))
	return part
}

// add and fold are the Internet checksum (RFC 1071), over an even number of bytes.
func add(sum uint32, b []byte) uint32 {
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	return sum
}

func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
