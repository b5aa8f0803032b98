package offload

import (
	"encoding/binary"
	"math/bits"
)

// Sum is the Internet checksum (RFC 1071) of b, added to sum, before its complement. Words are taken in
// network order; sum is folded to 16 bits.
func Sum(sum uint16, b []byte) uint16 {
	// Eight octets at a time with the carry put back at the end of each round: one's complement addition does
	// not care how wide its words are.
	acc, carry := uint64(sum), uint64(0)
	for len(b) >= 32 {
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(b), 0)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(b[8:]), carry)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(b[16:]), carry)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(b[24:]), carry)
		acc += carry // cannot carry again: acc was below 2^64-1 after a carry
		b = b[32:]
	}
	for len(b) >= 8 {
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(b), 0)
		acc += carry
		b = b[8:]
	}
	if len(b) > 0 {
		var last [8]byte
		copy(last[:], b)
		acc, carry = bits.Add64(acc, binary.BigEndian.Uint64(last[:]), 0)
		acc += carry
	}
	acc = acc>>32 + acc&0xffffffff
	acc = acc>>16 + acc&0xffff
	acc = acc>>16 + acc&0xffff
	return uint16(acc>>16 + acc&0xffff)
}

// add is one's complement addition.
func add(a, b uint16) uint16 {
	s := uint32(a) + uint32(b)
	return uint16(s>>16 + s&0xffff)
}

// sumParts is the sum of a with b behind it.
func sumParts(a, b []byte) uint16 {
	sb := Sum(0, b)
	if len(a)%2 == 1 { // b begins in the middle of a word
		sb = bits.ReverseBytes16(sb)
	}
	return add(Sum(0, a), sb)
}

// pseudo is the sum of the pseudo-header of a packet without routing header (RFC 9293 section 3.1, RFC 8200
// section 8.1), for n octets of transport header and payload.
func pseudo(pkt []byte, proto byte, n int) uint16 {
	addrs := pkt[8:head6]
	if pkt[0]>>4 == 4 {
		addrs = pkt[12:head4]
	}
	return add(add(Sum(0, addrs), uint16(proto)), uint16(n))
}

// Complete finishes the partial checksum of a single packet. Of a complete one it changes nothing.
func Complete(pkt []byte, m Meta) {
	if !m.Partial {
		return
	}
	at := pkt[m.Start+m.Offset:]
	sum := ^Sum(0, pkt[m.Start:])
	if sum == 0 && m.Offset == udpSum {
		sum = 0xffff // zero means that there is none (RFC 768)
	}
	binary.BigEndian.PutUint16(at, sum)
}

// headerSum writes the checksum of an IPv4 header.
func headerSum(h []byte) {
	h[10], h[11] = 0, 0
	binary.BigEndian.PutUint16(h[10:], ^Sum(0, h))
}
