package tuntest

import (
	"encoding/binary"
	"net/netip"

	"github.com/galleon-net/galleon/fabric/offload"
	"github.com/galleon-net/galleon/fabric/tun"
)

const (
	protocolTCP = 6
	protocolUDP = 17
)

// UDPPacket is a whole IPv4 or IPv6 packet, checksums included, with one UDP datagram in it.
func UDPPacket(from, to netip.AddrPort, payload []byte) []byte {
	return transportPacket(from, to, 0, protocolUDP, udpHeader(from, to, len(payload)), payload)
}

// TCPPacket is the same with a TCP segment. The flags are those of its header: FIN 1, PSH 8, ACK 16.
func TCPPacket(from, to netip.AddrPort, seq uint32, flags byte, payload []byte) []byte {
	return transportPacket(from, to, 0, protocolTCP, tcpHeader(from, to, seq, flags), payload)
}

func udpHeader(from, to netip.AddrPort, payload int) []byte {
	h := binary.BigEndian.AppendUint16(nil, from.Port())
	h = binary.BigEndian.AppendUint16(h, to.Port())
	h = binary.BigEndian.AppendUint16(h, uint16(8+payload))
	return append(h, 0, 0)
}

// tcpHeader has a timestamp option, as most segments have.
func tcpHeader(from, to netip.AddrPort, seq uint32, flags byte) []byte {
	h := binary.BigEndian.AppendUint16(nil, from.Port())
	h = binary.BigEndian.AppendUint16(h, to.Port())
	h = binary.BigEndian.AppendUint32(h, seq)
	h = binary.BigEndian.AppendUint32(h, 7) // acknowledges
	h = append(h, 8<<4, flags, 2, 0, 0, 0, 0, 0)
	return append(h, 1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2)
}

// transportPacket puts an IP header in front and the checksums in.
func transportPacket(from, to netip.AddrPort, id uint16, proto byte, header, payload []byte) []byte {
	body := append(header, payload...)
	at := sumAt(proto)
	sum := checksum(append(pseudo(from, to, proto, len(body)), body...))
	if sum == 0 && proto == protocolUDP {
		sum = 0xffff // zero would mean that there is none
	}
	binary.BigEndian.PutUint16(body[at:], sum)
	return append(ipHeader(from, to, id, proto, len(body)), body...)
}

// sumAt is where the checksum lies in a transport header.
func sumAt(proto byte) int {
	if proto == protocolTCP {
		return 16
	}
	return 6
}

func pseudo(from, to netip.AddrPort, proto byte, n int) []byte {
	b := append(from.Addr().AsSlice(), to.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	return binary.BigEndian.AppendUint32(b, uint32(proto))
}

func ipHeader(from, to netip.AddrPort, id uint16, proto byte, n int) []byte {
	src, dst := from.Addr().AsSlice(), to.Addr().AsSlice()
	var ip []byte
	if from.Addr().Is4() {
		ip = append(ip, 0x45, 0)
		ip = binary.BigEndian.AppendUint16(ip, uint16(20+n))
		ip = binary.BigEndian.AppendUint16(ip, id)
		ip = append(ip, 0x40, 0, 64, proto, 0, 0) // don't fragment, 64 hops
		ip = append(append(ip, src...), dst...)
		binary.BigEndian.PutUint16(ip[10:], checksum(ip))
		return ip
	}
	ip = append(ip, 0x60, 0, 0, 0)
	ip = binary.BigEndian.AppendUint16(ip, uint16(n))
	ip = append(ip, proto, 64)
	return append(append(ip, src...), dst...)
}

// Partial leaves the transport checksum of a packet without options or extension headers to somebody else.
func Partial(pkt []byte) tun.Packet {
	b := append([]byte(nil), pkt...)
	start, proto := 20, b[9]
	pseudo := append([]byte(nil), b[12:20]...)
	if b[0]>>4 == 6 {
		start, proto = 40, b[6]
		pseudo = append([]byte(nil), b[8:40]...)
	}
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(b)-start))
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(proto))
	binary.BigEndian.PutUint16(b[start+sumAt(proto):], ^checksum(pseudo))
	return tun.Packet{Buf: b, Meta: offload.Meta{Partial: true, Start: start, Offset: sumAt(proto)}}
}

// Super is a TCP or UDP super-packet, and the packets that it stands for, made one by one and not by
// cutting.
func Super(from, to netip.AddrPort, tcp bool, payload []byte, seg int) (p tun.Packet, cut [][]byte) {
	const id, seq, ack, pushFin = 500, 1 << 30, 16, 9
	for i, rest := 0, payload; len(rest) > 0; i++ {
		part := rest[:min(seg, len(rest))]
		rest = rest[len(part):]
		proto, head := byte(protocolUDP), udpHeader(from, to, len(part))
		if tcp {
			proto, head = protocolTCP, tcpHeader(from, to, uint32(seq+i*seg), ack)
			if len(rest) == 0 {
				head[13] |= pushFin
			}
		}
		cut = append(cut, transportPacket(from, to, uint16(id+i), proto, head, part))
	}
	proto, head := byte(protocolUDP), udpHeader(from, to, len(payload))
	if tcp {
		proto, head = protocolTCP, tcpHeader(from, to, seq, ack|pushFin)
	}
	p = Partial(transportPacket(from, to, id, proto, head, payload))
	p.GSO, p.Seg, p.Head = offload.UDP, seg, p.Start+len(head)
	switch {
	case tcp && from.Addr().Is4():
		p.GSO = offload.TCP4
	case tcp:
		p.GSO = offload.TCP6
	}
	return p, cut
}

// ParseUDP takes an IP packet without options or extension headers apart; false when it is not UDP.
func ParseUDP(p []byte) (from, to netip.AddrPort, payload []byte, ok bool) {
	var src, dst netip.Addr
	switch {
	case len(p) >= 28 && p[0] == 0x45 && p[9] == protocolUDP:
		src, dst = netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20]))
		p = p[20:]
	case len(p) >= 48 && p[0]>>4 == 6 && p[6] == protocolUDP:
		src, dst = netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40]))
		p = p[40:]
	default:
		return from, to, nil, false
	}
	from = netip.AddrPortFrom(src, binary.BigEndian.Uint16(p))
	to = netip.AddrPortFrom(dst, binary.BigEndian.Uint16(p[2:]))
	return from, to, p[8:], true
}

// checksum is that of RFC 1071.
func checksum(b []byte) uint16 {
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
