package offload

import (
	"encoding/binary"
	"fmt"
)

// Splitter cuts a super-packet into its packets, in place. Init, then Next until it says false. Its zero value
// is ready for Init; it may be used again.
type Splitter struct {
	pkt  []byte
	m    Meta
	next int // where the payload of the next packet begins
	i    int // number of the next packet
	n    int // packets in all

	head     [maxHead]byte // as it was read
	v6       bool
	id       uint16 // of an IPv4 packet
	seq      uint32 // of a TCP segment
	flags    byte
	sum, end uint16 // the partial checksum of a full packet, and of the last
}

// Flags of a TCP header that do not belong to every packet of a row (RFC 9293 section 3.1, RFC 3168).
const (
	tcpFIN = 0x01
	tcpPSH = 0x08
	tcpACK = 0x10
	tcpCWR = 0x80
)

// Init begins with a packet. One that is no super-packet comes back whole from the first Next.
func (s *Splitter) Init(pkt []byte, m Meta) error {
	if m.GSO != None {
		// What ParseVnet made is right; what a fake or a peer made is checked here.
		if err := m.checkGSO(pkt); err != nil {
			return err
		}
		if len(pkt) > maxLength+head6 {
			return fmt.Errorf("%w: %d octets", ErrMeta, len(pkt))
		}
	}
	s.pkt, s.m, s.i, s.n, s.next = pkt, m, 0, 1, m.Head
	if m.GSO == None {
		return nil
	}
	payload := len(pkt) - m.Head
	s.n = (payload + m.Seg - 1) / m.Seg
	copy(s.head[:], pkt[:m.Head])
	if s.v6 = pkt[0]>>4 == 6; !s.v6 {
		s.id = binary.BigEndian.Uint16(pkt[4:])
	}
	l4 := pkt[m.Start:]
	if m.GSO != UDP {
		s.seq, s.flags = binary.BigEndian.Uint32(l4[4:]), l4[13]
	}
	// The sum that the kernel left counts the length of the whole.
	whole := binary.BigEndian.Uint16(l4[m.Offset:])
	without := add(whole, ^uint16(len(pkt)-m.Start))
	s.sum = add(without, uint16(m.Head-m.Start+m.Seg))
	s.end = add(without, uint16(m.Head-m.Start+payload-(s.n-1)*m.Seg))
	return nil
}

// Count is how many packets there are in all.
func (s *Splitter) Count() int { return s.n }

// Full is the length in octets of each packet but the last, which may be shorter.
func (s *Splitter) Full() int {
	if s.n == 1 {
		return len(s.pkt)
	}
	return s.m.Head + s.m.Seg
}

// Meta is that of each packet: single, its checksum as partial as it was.
func (s *Splitter) Meta() Meta {
	return Meta{Partial: s.m.Partial, Start: s.m.Start, Offset: s.m.Offset}
}

// Next returns the next packet. It lies where the one before ended, and its header over that one's last
// octets: be done with a packet before asking for the next.
func (s *Splitter) Next() ([]byte, bool) {
	if s.i == s.n {
		return nil, false
	}
	i := s.i
	s.i++
	if s.m.GSO == None {
		return s.pkt, true
	}
	begin, end := s.next-s.m.Head, min(s.next+s.m.Seg, len(s.pkt))
	s.next = end
	p := s.pkt[begin:end]
	copy(p, s.head[:s.m.Head])
	last := s.i == s.n
	sum := s.sum
	if last {
		sum = s.end
	}
	if s.v6 {
		binary.BigEndian.PutUint16(p[4:], uint16(len(p)-head6))
	} else {
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		binary.BigEndian.PutUint16(p[4:], s.id+uint16(i))
		headerSum(p[:int(p[0]&15)*4])
	}
	l4 := p[s.m.Start:]
	binary.BigEndian.PutUint16(l4[s.m.Offset:], sum)
	if s.m.GSO == UDP {
		binary.BigEndian.PutUint16(l4[4:], uint16(len(l4)))
		return p, true
	}
	binary.BigEndian.PutUint32(l4[4:], s.seq+uint32(i*s.m.Seg))
	flags := s.flags
	if !last {
		flags &^= tcpFIN | tcpPSH
	}
	if i > 0 {
		flags &^= tcpCWR
	}
	l4[13] = flags
	return p, true
}
