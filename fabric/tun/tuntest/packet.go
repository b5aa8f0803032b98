package tuntest

import (
	"encoding/binary"
	"net/netip"
)

const protocolUDP = 17

// UDPPacket is a whole IPv4 or IPv6 packet, checksums included, with one UDP datagram in it.
func UDPPacket(from, to netip.AddrPort, payload []byte) []byte {
	src, dst := from.Addr().AsSlice(), to.Addr().AsSlice()
	udp := binary.BigEndian.AppendUint16(nil, from.Port())
	udp = binary.BigEndian.AppendUint16(udp, to.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(payload)))
	udp = append(udp, 0, 0)
	udp = append(udp, payload...)

	pseudo := append(append([]byte(nil), src...), dst...)
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(udp)))
	pseudo = binary.BigEndian.AppendUint32(pseudo, protocolUDP)
	sum := checksum(append(pseudo, udp...))
	if sum == 0 {
		sum = 0xffff // zero would mean that there is none
	}
	binary.BigEndian.PutUint16(udp[6:], sum)

	var ip []byte
	if from.Addr().Is4() {
		ip = append(ip, 0x45, 0)
		ip = binary.BigEndian.AppendUint16(ip, uint16(20+len(udp)))
		ip = append(ip, 0, 0, 0x40, 0, 64, protocolUDP, 0, 0) // don't fragment, 64 hops
		ip = append(append(ip, src...), dst...)
		binary.BigEndian.PutUint16(ip[10:], checksum(ip))
	} else {
		ip = append(ip, 0x60, 0, 0, 0)
		ip = binary.BigEndian.AppendUint16(ip, uint16(len(udp)))
		ip = append(ip, protocolUDP, 64)
		ip = append(append(ip, src...), dst...)
	}
	return append(ip, udp...)
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
