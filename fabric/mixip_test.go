package fabric

import (
	"encoding/binary"

	"github.com/galleon-net/galleon/fabric/offload"
)

// head is an IP header with its options or extension headers, to be finished when the body is known.
type head struct {
	v6       bool
	bytes    []byte
	next     int  // IPv6: where the protocol of the body is to be written
	fragment bool // it may be given an offset: in IPv4 always, in IPv6 when there is a fragment header
	frag     int  // IPv6: where that is
	auth     bool // IPv6: it has an authentication header, behind which no kernel leaves work to others
	df       bool
	wrong    bool // the IPv4 header's checksum is to be
	spelt    bool // is to be spelt all ones where it is zero
}

func (h *head) clone() *head {
	c := *h
	c.bytes = append([]byte(nil), h.bytes...)
	return &c
}

// header makes one of either version, with every DSCP and ECN, hop limits of 1 and 255 among others.
func (m *mix) header() *head {
	tos, hops := byte(m.rng.Uint32()), []byte{1, 2, 64, 255, byte(1 + m.rng.IntN(255))}[m.rng.IntN(5)]
	if m.tame {
		hops = byte(3 + m.rng.IntN(253))
	}
	if m.oneIn(2) {
		tos = 0
	}
	if m.oneIn(2) {
		return m.header6(tos, hops)
	}
	h := &head{fragment: true, df: m.oneIn(2), wrong: !m.tame && m.oneIn(12), spelt: !m.tame && m.oneIn(12)}
	b := make([]byte, 20)
	b[1], b[8] = tos, hops
	binary.BigEndian.PutUint16(b[4:], uint16(m.rng.Uint32()))
	if h.df {
		b[6] = 0x40
	}
	if !m.tame && m.oneIn(20) {
		b[6] |= 0x80 // the reserved bit
	}
	copy(b[12:], m.src4.AsSlice())
	copy(b[16:], m.dst4.AsSlice())
	if m.oneIn(4) {
		b = append(b, m.options4()...)
	}
	b[0] = 0x40 | byte(len(b)/4)
	h.bytes = b
	return h
}

// options4 are IP options, at most 40 octets and padded to a multiple of four.
func (m *mix) options4() []byte {
	var o []byte
	for len(o) < 36 && !m.oneIn(3) {
		switch m.rng.IntN(5) {
		case 0:
			o = append(o, 1) // no operation
		case 1:
			o = append(o, 148, 4, 0, 0) // router alert
		case 2:
			o = append(o, 136, 4, 1, 2) // stream identifier
		case 3:
			if m.tame {
				o = append(o, 1, 1)
			} else {
				o = append(o, 7, 7, 4, 0, 0, 0, 0) // record route
			}
		default:
			if m.tame {
				o = append(o, 94, 4, 7, 7) // experimental
			} else {
				o = append(o, byte(m.rng.Uint32()))
			}
		}
	}
	if len(o) > 40 {
		o = o[:40]
	}
	for len(o)%4 != 0 || len(o) == 0 {
		o = append(o, 0)
	}
	return o
}

// header6 has any chain of extension headers, in any order (RFC 8200 section 4).
func (m *mix) header6(tos, hops byte) *head {
	h := &head{v6: true, next: 6}
	b := make([]byte, 40)
	binary.BigEndian.PutUint32(b, 6<<28|uint32(tos)<<20|m.rng.Uint32()&0xfffff)
	b[7] = hops
	copy(b[8:], m.src6.AsSlice())
	copy(b[24:], m.dst6.AsSlice())
	h.bytes = b
	if !m.oneIn(3) {
		return h
	}
	for i := range 1 + m.rng.IntN(4) {
		kind := []byte{0, 43, 60, 44, 51}[m.rng.IntN(5)]
		switch {
		case kind == 0 && (i > 0 || m.tame): // hop-by-hop options come first or not at all
			kind = 60
		case kind == 44 && h.fragment:
			continue
		case m.tame && kind == 43:
			kind = 60
		}
		at := len(h.bytes)
		h.bytes[h.next], h.next = kind, at
		var e []byte
		switch kind {
		case 44:
			e = append([]byte{0, 0, 0, 0}, m.octets(4)...)
			h.fragment, h.frag = true, at
		case 51: // authentication: its length counts in fours
			h.auth = true
			n := m.rng.IntN(4)
			e = append([]byte{0, byte(1 + 2*n), 0, 0}, m.octets(8+8*n)...)
		case 43: // routing, type 253 for experiments, no segments left
			n := m.rng.IntN(3)
			e = append([]byte{0, byte(n), 253, 0}, m.octets(4+8*n)...)
		default: // options that are to be skipped, here padding
			n := m.rng.IntN(3)
			e = append([]byte{0, byte(n), 1, byte(4 + 8*n)}, make([]byte, 4+8*n)...)
		}
		h.bytes = append(h.bytes, e...)
	}
	return h
}

// strip takes options and extension headers away.
func (h *head) strip() {
	if h.v6 {
		h.bytes, h.next, h.fragment = h.bytes[:40], 6, false
		return
	}
	h.bytes = h.bytes[:20]
	h.bytes[0] = 0x45
}

// offset makes it the header of a fragment.
func (h *head) offset(units, more uint16) {
	if h.v6 {
		binary.BigEndian.PutUint16(h.bytes[h.frag+2:], units<<3|more)
		return
	}
	binary.BigEndian.PutUint16(h.bytes[6:], units|more<<13)
}

// finish writes what depends on the body.
func (h *head) finish(body []byte, proto byte) {
	b := h.bytes
	if h.v6 {
		b[h.next] = proto
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-40+len(body)))
		return
	}
	b[9] = proto
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(body)))
	if h.spelt { // an identification with which the sum is zero
		b[4], b[5], b[10], b[11] = 0, 0, 0, 0
		binary.BigEndian.PutUint16(b[4:], ^slowSum(b))
	}
	b[10], b[11] = 0, 0
	binary.BigEndian.PutUint16(b[10:], ^slowSum(b))
	switch {
	case h.spelt && b[10]|b[11] == 0:
		b[10], b[11] = 0xff, 0xff
	case h.wrong:
		b[10]++
	}
}

// protoAt is where a header without extension headers says its protocol, and for one with them where the first
// says it; for rows, whose protocol the generator knows.
func protoAt(pkt []byte) int {
	if pkt[0]>>4 == 4 {
		return 9
	}
	at := 6
	for next := 40; pkt[at] != protoTCP && pkt[at] != protoUDP; {
		size := 8 + 8*int(pkt[next+1])
		if pkt[at] == 51 {
			size = 8 + 4*int(pkt[next+1])
		}
		at, next = next, next+size
	}
	return at
}

// slowSum is RFC 1071, octet by octet.
func slowSum(b []byte) uint16 {
	var sum uint32
	for i, o := range b {
		if i%2 == 0 {
			sum += uint32(o) << 8
		} else {
			sum += uint32(o)
		}
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// putPartial writes the sum of the pseudo-header into the checksum's place.
func putPartial(pkt []byte, m offload.Meta, proto byte) {
	var p []byte
	if pkt[0]>>4 == 4 {
		p = append(p, pkt[12:20]...)
	} else {
		p = append(p, pkt[8:40]...)
	}
	p = binary.BigEndian.AppendUint32(p, uint32(len(pkt)-m.Start))
	p = append(p, 0, proto)
	binary.BigEndian.PutUint16(pkt[m.Start+m.Offset:], slowSum(p))
}

// completeSlowly finishes a partial checksum.
func completeSlowly(pkt []byte, m offload.Meta) {
	sum := ^slowSum(pkt[m.Start:])
	if sum == 0 && m.Offset == 6 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(pkt[m.Start+m.Offset:], sum)
}
