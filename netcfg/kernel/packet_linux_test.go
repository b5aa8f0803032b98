package kernel_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// What tests write into a device, and read from it.

const (
	tcpSYN = 0x02
	tcpACK = 0x10
)

// ipPacket puts an IP header before a payload. Without df an IPv4 packet may be fragmented.
func ipPacket(from, to netip.Addr, proto byte, df bool, payload []byte) []byte {
	if from.Is6() {
		h := make([]byte, 40, 40+len(payload))
		h[0], h[6], h[7] = 0x60, proto, 64
		binary.BigEndian.PutUint16(h[4:], uint16(len(payload)))
		copy(h[8:], from.AsSlice())
		copy(h[24:], to.AsSlice())
		return append(h, payload...)
	}
	h := make([]byte, 20, 20+len(payload))
	h[0], h[8], h[9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(h[2:], uint16(20+len(payload)))
	if df {
		h[6] = 0x40
	}
	copy(h[12:], from.AsSlice())
	copy(h[16:], to.AsSlice())
	binary.BigEndian.PutUint16(h[10:], ^sum(0, h))
	return append(h, payload...)
}

// datagram is a UDP packet of so many octets, headers and all.
func datagram(from, to netip.Addr, df bool, octets int) []byte {
	head := 20
	if from.Is6() {
		head = 40
	}
	u := make([]byte, octets-head)
	u[1], u[3] = 7, 9
	binary.BigEndian.PutUint16(u[4:], uint16(len(u)))
	binary.BigEndian.PutUint16(u[6:], ^sum(pseudo(from, to, unix.IPPROTO_UDP, len(u)), u))
	return ipPacket(from, to, unix.IPPROTO_UDP, df, u)
}

// segment is a TCP segment without data. An mss of 0 leaves the option out.
func segment(from, to netip.AddrPort, flags byte, seq, ack uint32, mss int) []byte {
	t := make([]byte, 20, 24)
	binary.BigEndian.PutUint16(t, from.Port())
	binary.BigEndian.PutUint16(t[2:], to.Port())
	binary.BigEndian.PutUint32(t[4:], seq)
	binary.BigEndian.PutUint32(t[8:], ack)
	t[12], t[13], t[14], t[15] = 5<<4, flags, 0xff, 0xff
	if mss > 0 {
		t = append(t, 2, 4, byte(mss>>8), byte(mss))
		t[12] = 6 << 4
	}
	binary.BigEndian.PutUint16(t[16:], ^sum(pseudo(from.Addr(), to.Addr(), unix.IPPROTO_TCP, len(t)), t))
	return ipPacket(from.Addr(), to.Addr(), unix.IPPROTO_TCP, true, t)
}

// readSegment is what a TCP segment says.
type readSegment struct {
	from, to netip.AddrPort
	flags    byte
	seq      uint32
	mss      int // the option; 0 when there is none
	data     int // octets
	size     int // of the whole IP packet
	good     bool
}

// readTCP reads a TCP segment, if the packet is one.
func readTCP(p []byte) (s readSegment, ok bool) {
	head, proto := 0, byte(0)
	var from, to netip.Addr
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		head, proto = int(p[0]&15)*4, p[9]
		from, to = netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20]))
	case len(p) >= 40 && p[0]>>4 == 6:
		head, proto = 40, p[6]
		from, to = netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40]))
	}
	if proto != unix.IPPROTO_TCP || len(p) < head+20 {
		return s, false
	}
	t := p[head:]
	s.from = netip.AddrPortFrom(from, binary.BigEndian.Uint16(t))
	s.to = netip.AddrPortFrom(to, binary.BigEndian.Uint16(t[2:]))
	s.seq, s.flags, s.size = binary.BigEndian.Uint32(t[4:]), t[13], len(p)
	off := int(t[12]>>4) * 4
	s.data = len(t) - off
	for o := t[20:off]; len(o) > 1 && o[0] != 0; {
		if o[0] == 1 {
			o = o[1:]
			continue
		}
		if o[0] == 2 && len(o) >= 4 {
			s.mss = int(o[2])<<8 | int(o[3])
		}
		o = o[max(2, min(int(o[1]), len(o))):]
	}
	s.good = sum(pseudo(from, to, unix.IPPROTO_TCP, len(t)), t) == 0xffff
	return s, true
}

// tooBig reads the MTU out of an ICMP message that says that something was too big.
func tooBig(p []byte) (mtu int, ok bool) {
	switch {
	case len(p) >= 28 && p[0]>>4 == 4 && p[9] == unix.IPPROTO_ICMP && p[20] == 3 && p[21] == 4:
		return int(binary.BigEndian.Uint16(p[26:])), true
	case len(p) >= 48 && p[0]>>4 == 6 && p[6] == unix.IPPROTO_ICMPV6 && p[40] == 2:
		return int(binary.BigEndian.Uint32(p[44:])), true
	}
	return 0, false
}

// sayTooBig is such a message about a packet, from where that was going.
func sayTooBig(about []byte, mtu int) []byte {
	s, _ := readTCP(about)
	quote := about[:min(len(about), 500)]
	m := append(make([]byte, 8), quote...)
	if s.from.Addr().Is6() {
		m[0] = 2
		binary.BigEndian.PutUint32(m[4:], uint32(mtu))
		binary.BigEndian.PutUint16(m[2:], ^sum(pseudo(s.to.Addr(), s.from.Addr(), unix.IPPROTO_ICMPV6, len(m)), m))
		return ipPacket(s.to.Addr(), s.from.Addr(), unix.IPPROTO_ICMPV6, false, m)
	}
	m[0], m[1] = 3, 4
	binary.BigEndian.PutUint16(m[6:], uint16(mtu))
	binary.BigEndian.PutUint16(m[2:], ^sum(0, m))
	return ipPacket(s.to.Addr(), s.from.Addr(), unix.IPPROTO_ICMP, false, m)
}

// next reads from a device until take says that this is the packet.
func next(f *os.File, what string, take func([]byte) bool) error {
	b := make([]byte, 65536)
	if err := f.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	for {
		n, err := f.Read(b)
		if err != nil {
			return fmt.Errorf("wait for %s on %s: %w", what, f.Name(), err)
		}
		if take(b[:n]) {
			return nil
		}
	}
}

// pseudo is the sum over the pseudo-header (RFC 9293 section 3.1, RFC 8200 section 8.1).
func pseudo(from, to netip.Addr, proto byte, octets int) uint32 {
	return uint32(sum(0, from.AsSlice())) + uint32(sum(0, to.AsSlice())) + uint32(proto) + uint32(octets)
}

// sum is the Internet checksum (RFC 1071), before its complement.
func sum(start uint32, b []byte) uint16 {
	for i, c := range b {
		if i%2 == 0 {
			start += uint32(c) << 8
		} else {
			start += uint32(c)
		}
	}
	for start > 0xffff {
		start = start>>16 + start&0xffff
	}
	return uint16(start)
}
