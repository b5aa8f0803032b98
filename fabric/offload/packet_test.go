package offload

import (
	"encoding/binary"
	"math/rand/v2"
)

// spec is a packet to be made.
type spec struct {
	v6, udp    bool
	port       uint16
	id         uint16
	seq        uint32
	flags      byte
	options    int // octets of TCP options, a multiple of 4
	extension  bool
	payload    int
	partial    bool
	wrong      bool // a checksum that is
	noChecksum bool
}

// build makes the packet, its payload from r.
func (s spec) build(r *rand.Rand) []byte {
	var p []byte
	l4 := udpHead
	proto := byte(protoUDP)
	if !s.udp {
		l4, proto = minTCP+s.options, protoTCP
	}
	if s.v6 {
		p = make([]byte, head6)
		p[0], p[1], p[6], p[7] = 0x60, 0x20, proto, 64
		for i := 8; i < head6; i++ {
			p[i] = byte(i)
		}
		if s.extension {
			p[6] = extDestination
			p = append(p, proto, 0, 1, 4, 0, 0, 0, 0)
		}
		binary.BigEndian.PutUint16(p[4:], uint16(len(p)-head6+l4+s.payload))
	} else {
		p = make([]byte, head4)
		p[0], p[6], p[8], p[9] = 0x45, 0x40, 64, proto
		binary.BigEndian.PutUint16(p[2:], uint16(head4+l4+s.payload))
		binary.BigEndian.PutUint16(p[4:], s.id)
		copy(p[12:], []byte{10, 0, 0, 1, 10, 0, 1, 1})
		headerSum(p)
	}
	start := len(p)
	p = append(p, make([]byte, l4)...)
	binary.BigEndian.PutUint16(p[start:], s.port)
	binary.BigEndian.PutUint16(p[start+2:], 443)
	offset := udpSum
	if s.udp {
		binary.BigEndian.PutUint16(p[start+4:], uint16(l4+s.payload))
	} else {
		offset = tcpSum
		binary.BigEndian.PutUint32(p[start+4:], s.seq)
		p[start+12], p[start+13], p[start+15] = byte(l4/4)<<4, s.flags, 77
		for i := range s.options {
			p[start+minTCP+i] = byte(i + 1)
		}
	}
	for range s.payload {
		p = append(p, byte(r.Uint32()))
	}
	binary.BigEndian.PutUint16(p[start+offset:], pseudo(p, proto, l4+s.payload))
	if !s.partial {
		Complete(p, Meta{Partial: true, Start: start, Offset: offset})
	}
	if s.wrong {
		p[start+offset+1]++
	}
	if s.noChecksum {
		p[start+offset], p[start+offset+1] = 0, 0
	}
	return p
}

// split cuts packets as a Splitter does, into copies.
func split(packets []Packet) (out [][]byte, partial []bool) {
	var s Splitter
	for _, p := range packets {
		if err := s.Init(p.Buf, p.Meta); err != nil {
			panic(err)
		}
		for pkt, ok := s.Next(); ok; pkt, ok = s.Next() {
			out = append(out, append([]byte(nil), pkt...))
			partial = append(partial, s.Meta().Partial)
		}
	}
	return out, partial
}
