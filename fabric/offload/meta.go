package offload

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// GSO is the kind of a super-packet.
type GSO uint8

// The kinds. None is a single packet.
const (
	None GSO = iota
	TCP4
	TCP6
	UDP // over IPv4 or IPv6
)

func (g GSO) String() string { return [...]string{"none", "tcp4", "tcp6", "udp"}[g&3] }

// Meta is what lies beside a packet: what it stands for, and what of it is not done yet.
type Meta struct {
	GSO     GSO  // a super-packet of this kind
	Seg     int  // octets of payload of each packet in it, the last may have fewer; only with GSO
	Head    int  // octets of its IP and transport headers; only with GSO
	Partial bool // the transport checksum is the sum of the pseudo-header; always with GSO
	Start   int  // where the transport header begins; only with Partial
	Offset  int  // of the checksum in the transport header; only with Partial
}

// Packet is an IP packet or super-packet.
type Packet struct {
	Buf []byte
	Meta
}

// VnetLen is the length in octets of a vnet header.
const VnetLen = 10

// The values of a vnet header: flags, and types of GSO.
const (
	vnetNeedsCsum = 1
	vnetNone      = 0
	vnetTCP4      = 1
	vnetTCP6      = 4
	vnetUDP       = 5
	vnetECN       = 0x80 // a TCP super-packet with CWR; we do not offer to take such
)

// Transport protocols, and where their checksums lie.
const (
	protoTCP  = 6
	protoUDP  = 17
	tcpSum    = 16
	udpSum    = 6
	udpHead   = 8
	minTCP    = 20
	head4     = 20
	head6     = 40
	maxHead   = 256 // of the IP and transport headers of a super-packet, octets
	maxLength = 1<<16 - 1
)

// ErrMeta says that a vnet header and its packet do not fit together.
var ErrMeta = errors.New("offload: vnet header does not fit its packet")

// ParseVnet reads the vnet header h in front of pkt, in this machine's byte order. It believes nothing that
// it does not find in the packet: what it returns can be split, or completed, without looking again.
func ParseVnet(h, pkt []byte) (Meta, error) {
	if len(h) < VnetLen {
		return Meta{}, fmt.Errorf("%w: %d octets of header", ErrMeta, len(h))
	}
	var m Meta
	if h[0]&vnetNeedsCsum != 0 {
		m.Partial = true
		m.Start = int(binary.NativeEndian.Uint16(h[6:]))
		m.Offset = int(binary.NativeEndian.Uint16(h[8:]))
		if m.Start < head4 || m.Start+m.Offset+2 > len(pkt) {
			return Meta{}, fmt.Errorf("%w: checksum at %d+%d of %d octets", ErrMeta, m.Start, m.Offset, len(pkt))
		}
	}
	switch h[1] &^ vnetECN {
	case vnetNone:
		return m, nil
	case vnetTCP4:
		m.GSO = TCP4
	case vnetTCP6:
		m.GSO = TCP6
	case vnetUDP:
		m.GSO = UDP
	default:
		return Meta{}, fmt.Errorf("%w: type %d", ErrMeta, h[1])
	}
	// hdr_len is not looked at: Linux writes the length of the linear part there, which may be more.
	m.Seg = int(binary.NativeEndian.Uint16(h[2+2:]))
	return m, m.checkGSO(pkt)
}

// checkGSO finds the end of the headers and holds the kind of super-packet against them.
func (m *Meta) checkGSO(pkt []byte) error {
	start, proto, ok := transport(pkt)
	switch {
	case !m.Partial:
		return fmt.Errorf("%w: super-packet with a complete checksum", ErrMeta)
	case !ok || start != m.Start || m.Seg < 1:
		return fmt.Errorf("%w: super-packet of %d octets, transport at %d, segments of %d", ErrMeta, len(pkt), m.Start, m.Seg)
	}
	v6 := pkt[0]>>4 == 6
	switch {
	case m.GSO == UDP && proto == protoUDP && m.Offset == udpSum:
		m.Head = start + udpHead
	case (m.GSO == TCP4 && !v6 || m.GSO == TCP6 && v6) && proto == protoTCP && m.Offset == tcpSum && len(pkt) >= start+minTCP:
		m.Head = start + int(pkt[start+12]>>4)*4
		if m.Head < start+minTCP {
			return fmt.Errorf("%w: TCP header of %d octets", ErrMeta, m.Head-start)
		}
	default:
		return fmt.Errorf("%w: %s super-packet of protocol %d over IPv%d", ErrMeta, m.GSO, proto, pkt[0]>>4)
	}
	if m.Head > maxHead || m.Head >= len(pkt) {
		return fmt.Errorf("%w: headers of %d octets in a packet of %d", ErrMeta, m.Head, len(pkt))
	}
	return nil
}

// PutVnet writes m as a vnet header into h.
func (m Meta) PutVnet(h []byte) {
	_ = h[VnetLen-1]
	clear(h[:VnetLen])
	if m.Partial {
		h[0] = vnetNeedsCsum
		binary.NativeEndian.PutUint16(h[6:], uint16(m.Start))
		binary.NativeEndian.PutUint16(h[8:], uint16(m.Offset))
	}
	if m.GSO != None {
		h[1] = [...]byte{vnetNone, vnetTCP4, vnetTCP6, vnetUDP}[m.GSO&3]
		binary.NativeEndian.PutUint16(h[2:], uint16(m.Head))
		binary.NativeEndian.PutUint16(h[4:], uint16(m.Seg))
	}
}

// PartialAt says what Meta a single packet has whose checksum is partial, from its headers alone: so the far
// end of a tunnel knows it again. It knows TCP and UDP, also behind IPv6 extension headers; not in fragments.
func PartialAt(pkt []byte) (Meta, bool) {
	start, proto, ok := transport(pkt)
	if !ok {
		return Meta{}, false
	}
	m := Meta{Partial: true, Start: start, Offset: udpSum}
	if proto == protoTCP {
		m.Offset = tcpSum
	}
	return m, start+m.Offset+2 <= len(pkt)
}

// transport finds the TCP or UDP header of a packet that is no fragment.
func transport(pkt []byte) (start int, proto byte, ok bool) {
	if len(pkt) < head4 {
		return 0, 0, false
	}
	if pkt[0]>>4 == 4 {
		start = int(pkt[0]&15) * 4
		// Neither more fragments nor an offset.
		if start < head4 || start > len(pkt) || binary.BigEndian.Uint16(pkt[6:])&0x3fff != 0 {
			return 0, 0, false
		}
		return start, pkt[9], pkt[9] == protoTCP || pkt[9] == protoUDP
	}
	if pkt[0]>>4 != 6 || len(pkt) < head6 {
		return 0, 0, false
	}
	start, proto = head6, pkt[6]
	for range maxExtensions {
		switch proto {
		case protoTCP, protoUDP:
			return start, proto, true
		case extHopByHop, extRouting, extDestination:
			if start+8 > len(pkt) {
				return 0, 0, false
			}
			proto, start = pkt[start], start+8+int(pkt[start+1])*8
			if start > len(pkt) {
				return 0, 0, false
			}
		default: // fragments, ESP, and what nobody has heard of
			return 0, 0, false
		}
	}
	return 0, 0, false
}

// IPv6 extension headers that are passed over (RFC 8200 section 4), and how many of them.
const (
	extHopByHop    = 0
	extRouting     = 43
	extDestination = 60
	maxExtensions  = 8
)
