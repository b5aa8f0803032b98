package fabric

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/galleon-net/galleon/fabric/offload"
	"github.com/galleon-net/galleon/fabric/tun"
)

// icmpSrc are the addresses of this router in a segment, one for each family.
type icmpSrc struct{ v4, v6 netip.Addr }

// The size and rate of too-big messages.
const (
	icmp4Quote  = 576 - 20 - 8  // octets of the offending packet that are sent back (RFC 1812 section 4.3.2.3)
	icmp6Quote  = 1280 - 40 - 8 // (RFC 4443 section 2.4 c)
	icmpPerSec  = 200           // a host needs one; a burst of hosts needs a few
	icmpBuffers = batch         // the messages of one batch
	icmpProto4  = 1
	icmpProto6  = 58
)

// icmpReplies builds "packet too big" (RFC 1191, RFC 4443 section 3.2) messages for the hosts behind this
// router, in memory that it keeps.
type icmpReplies struct {
	pkts []tun.Packet
	bufs [][]byte
	used time.Time // the second that left is for
	left int
}

// tooBig appends the message for a packet that may be no longer than mtu. It stays silent about packets that
// must not be answered, when this router has no address to speak from, and beyond its rate.
func (r *icmpReplies) tooBig(from icmpSrc, p ipPacket, mtu int, now time.Time) {
	if now.Sub(r.used) >= time.Second {
		r.used, r.left = now, icmpPerSec
	}
	i := len(r.pkts)
	if r.left == 0 || i >= icmpBuffers || !answerable(p) {
		return
	}
	if len(r.bufs) <= i {
		r.bufs = append(r.bufs, make([]byte, 1280))
	}
	var b []byte
	switch {
	case p.src.Is4() && from.v4.IsValid():
		b = tooBig4(r.bufs[i], from.v4, p, mtu)
	case p.src.Is6() && from.v6.IsValid():
		b = tooBig6(r.bufs[i], from.v6, p, mtu)
	default:
		return
	}
	r.left--
	r.pkts = append(r.pkts, tun.Packet{Buf: b})
}

// answerable keeps errors from answering errors, fragments and groups (RFC 1812 section 4.3.2.7, RFC 4443
// section 2.4 e; too-big may answer a multicast in IPv6, which nobody sends here).
func answerable(p ipPacket) bool {
	if p.dst.IsMulticast() || p.src.IsUnspecified() || p.src.IsMulticast() {
		return false
	}
	if p.src.Is4() {
		if binary.BigEndian.Uint16(p.pkt[6:])&0x1fff != 0 {
			return false
		}
		head := int(p.pkt[0]&15) * 4
		if p.pkt[9] == icmpProto4 && len(p.pkt) > head {
			t := p.pkt[head]
			return t == 0 || t == 8 // echo and its reply are no errors
		}
		return true
	}
	return !(p.pkt[6] == icmpProto6 && len(p.pkt) > 40 && p.pkt[40] < 128)
}

func tooBig4(b []byte, from netip.Addr, p ipPacket, mtu int) []byte {
	quote := p.pkt[:min(len(p.pkt), icmp4Quote)]
	b = b[:28+len(quote)]
	clear(b[:28])
	b[0], b[8], b[9] = 0x45, 64, icmpProto4
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	src := from.As4()
	copy(b[12:], src[:])
	copy(b[16:], p.pkt[12:16])
	binary.BigEndian.PutUint16(b[10:], ^offload.Sum(0, b[:20]))
	b[20], b[21] = 3, 4 // destination unreachable, fragmentation needed
	binary.BigEndian.PutUint16(b[26:], uint16(mtu))
	copy(b[28:], quote)
	binary.BigEndian.PutUint16(b[22:], ^offload.Sum(0, b[20:]))
	return b
}

func tooBig6(b []byte, from netip.Addr, p ipPacket, mtu int) []byte {
	quote := p.pkt[:min(len(p.pkt), icmp6Quote)]
	b = b[:48+len(quote)]
	clear(b[:48])
	b[0], b[6], b[7] = 0x60, icmpProto6, 64
	binary.BigEndian.PutUint16(b[4:], uint16(8+len(quote)))
	src := from.As16()
	copy(b[8:], src[:])
	copy(b[24:], p.pkt[8:24])
	b[40] = 2 // packet too big
	binary.BigEndian.PutUint32(b[44:], uint32(mtu))
	copy(b[48:], quote)
	// The pseudo-header (RFC 8200 section 8.1): both addresses, the length, the protocol.
	var rest [4]byte
	binary.BigEndian.PutUint16(rest[:], uint16(8+len(quote)))
	rest[3] = icmpProto6
	sum := offload.Sum(offload.Sum(0, b[8:40]), rest[:])
	binary.BigEndian.PutUint16(b[42:], ^offload.Sum(sum, b[40:]))
	return b
}
