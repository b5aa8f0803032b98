package fabric

import (
	"encoding/binary"
	"net/netip"

	"github.com/galleon-net/galleon/fabric/topo"
)

// flow is what packets have in common that are sent the same way by the same lane.
type flow struct {
	src, dst netip.Addr
	ports    uint32 // of TCP and UDP, when they can be seen; 0 in fragments, so that all of one go together
	proto    uint8
	tos      uint8
}

// ipPacket is what the data path reads of an IP header.
type ipPacket struct {
	pkt []byte // cut to the length that the header gives
	flow
}

// parseIP reads the fixed header of an IPv4 (RFC 791) or IPv6 (RFC 8200) packet.
func parseIP(b []byte) (p ipPacket, ok bool) {
	if len(b) < 20 {
		return p, false
	}
	var size, l4 int
	switch b[0] >> 4 {
	case 4:
		size, l4 = int(binary.BigEndian.Uint16(b[2:])), int(b[0]&15)*4
		if l4 < 20 || size < l4 {
			return p, false
		}
		p.tos, p.proto = b[1], b[9]
		p.src, p.dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		if binary.BigEndian.Uint16(b[6:])&0x3fff != 0 {
			l4 = size // a fragment
		}
	case 6:
		if len(b) < 40 {
			return p, false
		}
		size, l4 = 40+int(binary.BigEndian.Uint16(b[4:])), 40
		p.tos, p.proto = b[0]<<4|b[1]>>4, b[6]
		p.src, p.dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
	default:
		return p, false
	}
	if size > len(b) {
		return p, false
	}
	p.pkt = b[:size]
	if (p.proto == protoTCP || p.proto == protoUDP) && l4+4 <= size {
		p.ports = binary.BigEndian.Uint32(b[l4:])
	}
	return p, true
}

const (
	protoTCP = 6
	protoUDP = 17
)

func (f flow) class() topo.Class { return classOf(f.tos >> 2) }
func (f flow) ecn() uint8        { return f.tos & ecnMask }

// hash is the same for all packets of a flow, and of both its directions' addresses taken together.
func (f flow) hash() uint32 {
	s, d := f.src.As16(), f.dst.As16()
	h := f.ports*0x85ebca6b ^ uint32(f.proto)
	for i := 0; i < 16; i += 4 {
		h = (h ^ binary.NativeEndian.Uint32(s[i:])) * 0x9e3779b1
		h = (h ^ h>>15 ^ binary.NativeEndian.Uint32(d[i:])) * 0x85ebca6b
	}
	return h ^ h>>16
}

// classOf reads a DiffServ code point (RFC 4594): network control and CS6 are ours to protect, CS1 and
// lower effort (RFC 8622) are what is left over.
func classOf(dscp byte) topo.Class {
	switch dscp {
	case 48, 56:
		return topo.ClassControl
	case 1, 8:
		return topo.ClassBulk
	}
	return topo.ClassInteractive
}

// The ECN field (RFC 3168).
const (
	ecnMask = 3
	notECT  = 0
	ect1    = 1
	ect0    = 2
	ce      = 3
)

// decapsulate gives the inner packet the congestion mark that the outer header picked up (RFC 6040 section
// 4.2). It says false when the packet must be dropped: it was marked on the way, and the ends would not
// understand the mark.
func (p *ipPacket) decapsulate(outer uint8) bool {
	switch inner := p.ecn(); {
	case outer == ce && inner == notECT:
		return false
	case outer == ce, outer == ect1 && inner == ect0:
		p.mark(outer)
	}
	return true
}

// mark writes the ECN field. An IPv4 header's checksum follows by what changed (RFC 1624), so that a wrong one
// arrives as wrong as it was sent.
func (p *ipPacket) mark(ecn uint8) {
	if p.ecn() == ecn {
		return
	}
	before := binary.BigEndian.Uint16(p.pkt)
	p.tos = p.tos&^ecnMask | ecn
	if p.pkt[0]>>4 == 6 {
		p.pkt[1] = p.pkt[1]&^(ecnMask<<4) | ecn<<4
		return
	}
	p.pkt[1] = p.tos
	sum := uint32(^binary.BigEndian.Uint16(p.pkt[10:])) + uint32(^before) + uint32(binary.BigEndian.Uint16(p.pkt))
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(p.pkt[10:], ^uint16(sum>>16+sum&0xffff))
}
