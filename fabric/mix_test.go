package fabric

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"

	"github.com/galleon-net/galleon/fabric/offload"
	"github.com/galleon-net/galleon/fabric/tun"
)

// mix makes packets of every kind at random, from one host to another. Nothing here is made by the code that is
// tested: not by cutting, not by joining, and with a checksum of its own.
type mix struct {
	rng        *rand.Rand
	src4, dst4 netip.Addr
	src6, dst6 netip.Addr
	mtu        int
	alone      bool // no super-packets and no partial checksums: what may come over a wire
	tame       bool // nothing that a router on the way must change or refuse
	least      int  // packets of a super-packet: one of one is not what kernels make
	most       int  // kernels take 128 of UDP
}

// parcel is what a host gives its device at once, and the packets that must come out at the far end: whole,
// single, in this order.
type parcel struct {
	kind string
	in   []tun.Packet
	want [][]byte
}

func newMix(seed uint64, src, dst string, src6, dst6 string, mtu int) *mix {
	return &mix{
		rng: rand.New(rand.NewPCG(seed, 3)), mtu: mtu, least: 1, most: 400,
		src4: netip.MustParseAddr(src), dst4: netip.MustParseAddr(dst),
		src6: netip.MustParseAddr(src6), dst6: netip.MustParseAddr(dst6),
	}
}

// oneIn is true once in n times.
func (m *mix) oneIn(n int) bool { return m.rng.IntN(n) == 0 }

func (m *mix) octets(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(m.rng.Uint32())
	}
	return b
}

func (m *mix) next() parcel {
	switch m.rng.IntN(6) {
	case 0:
		return m.fragments()
	case 1:
		if !m.alone {
			return m.super()
		}
		fallthrough
	case 2:
		return m.row()
	default:
		return m.single()
	}
}

// single is a packet of any protocol.
func (m *mix) single() parcel {
	h := m.header()
	var body []byte
	var meta offload.Meta
	start := len(h.bytes)
	room := m.mtu - start
	switch m.rng.IntN(4) {
	case 0:
		body = m.tcp(byte(m.rng.Uint32()), 4*m.rng.IntN(11), m.size(room-60))
		h.finish(body, protoTCP)
		meta = m.sums(h, body, protoTCP)
	case 1:
		body = m.udp(m.size(room - 8))
		h.finish(body, protoUDP)
		meta = m.sums(h, body, protoUDP)
	case 2: // too short for its protocol, or of any length
		proto := []byte{protoTCP, protoUDP, icmpProto4, icmpProto6, 132, 47, 50, 51, 136, 33}[m.rng.IntN(10)]
		if m.tame {
			proto = []byte{132, 47, 50, 33}[m.rng.IntN(4)]
		}
		body = m.octets(m.rng.IntN(40))
		h.finish(body, proto)
	default:
		proto := byte(m.rng.Uint32())
		if h.v6 && (proto == 43 || proto == 44 || proto == 0 || proto == 60) {
			proto = 59 // no next header
		}
		if m.tame && (proto < 3 || proto == icmpProto6 || proto == 4 || proto == 41 || proto == 51) {
			proto = 253
		}
		body = m.octets(m.size(room))
		h.finish(body, proto)
	}
	pkt := append(h.bytes, body...)
	want := append([]byte(nil), pkt...)
	if meta.Partial {
		completeSlowly(want, meta)
	}
	if !m.tame && len(pkt)+3 <= m.mtu && m.oneIn(40) {
		pkt = append(pkt, m.octets(3)...) // behind the end that the header gives
		meta = offload.Meta{}
		copy(pkt, want)
	}
	return parcel{"single", []tun.Packet{{Buf: pkt, Meta: meta}}, [][]byte{want}}
}

// size is a length from 0 to most, often an extreme one.
func (m *mix) size(most int) int {
	switch m.rng.IntN(5) {
	case 0:
		return most
	case 1:
		return m.rng.IntN(3)
	default:
		return m.rng.IntN(most + 1)
	}
}

// fragments are those of a datagram; some may be missing or out of order.
func (m *mix) fragments() parcel {
	h := m.header()
	for !h.fragment {
		h = m.header()
	}
	unit := (8 + m.rng.IntN(m.mtu-len(h.bytes)-7)) &^ 7
	last := m.rng.IntN(unit) + 1
	p := parcel{kind: "fragments"}
	n := 2 + m.rng.IntN(4)
	for _, i := range m.rng.Perm(n) {
		if m.oneIn(3) {
			i = 0 // out of order, missing, or twice
		}
		f := h.clone()
		size, more := unit, uint16(1)
		if i == n-1 {
			size, more = last, 0
		}
		f.offset(uint16(i*unit/8), more)
		body := m.octets(size)
		f.finish(body, []byte{protoUDP, protoTCP, icmpProto4}[i%3])
		pkt := append(f.bytes, body...)
		p.in, p.want = append(p.in, tun.Packet{Buf: pkt}), append(p.want, append([]byte(nil), pkt...))
	}
	return p
}

// train is a row of TCP or UDP packets that continue each other.
type train struct {
	h        *head
	tcp      bool
	flags    byte
	template []byte // the first transport header
	payload  []byte
	seg      int
	id       uint16
}

// train makes a row of n packets at least 1, of all that an offload may see.
func (m *mix) train(n int) train {
	h := m.header()
	for h.fragment && h.v6 || h.wrong || h.auth || len(h.bytes) > 200 {
		h = m.header()
	}
	if !m.oneIn(4) { // most rows have neither options nor extension headers
		h.strip()
	}
	t := train{h: h, tcp: m.oneIn(2), flags: 0x10, id: uint16(m.rng.Uint32())}
	t.template = m.udp(0)
	if t.tcp {
		if m.oneIn(2) {
			t.flags = byte(m.rng.Uint32())
		}
		t.template = m.tcp(t.flags, 4*m.rng.IntN(11), 0)
	}
	head := len(h.bytes) + len(t.template)
	t.seg = 1 + m.size(m.mtu-head-1)
	longest := 65535 - head
	if h.v6 {
		longest = 65535 - len(t.template) - (len(h.bytes) - 40)
	}
	t.payload = m.octets(min((n-1)*t.seg+1+m.rng.IntN(t.seg), longest))
	return t
}

// packet is number i of the row, its transport header perhaps changed by f, with a whole checksum.
func (t *train) packet(i int, f func(l4 []byte)) (pkt []byte, meta offload.Meta, last bool) {
	part := t.payload[i*t.seg:]
	if last = len(part) <= t.seg; !last {
		part = part[:t.seg]
	}
	h := t.h.clone()
	if !h.v6 {
		binary.BigEndian.PutUint16(h.bytes[4:], t.id+uint16(i))
	}
	body := append(append([]byte(nil), t.template...), part...)
	proto, at := byte(protoUDP), 6
	if t.tcp {
		proto, at = protoTCP, 16
		binary.BigEndian.PutUint32(body[4:], binary.BigEndian.Uint32(body[4:])+uint32(i*t.seg))
		if !last {
			body[13] &^= 0x01 | 0x08 // FIN and PSH belong to the last
		}
		if i > 0 {
			body[13] &^= 0x80 // CWR to the first
		}
	} else {
		binary.BigEndian.PutUint16(body[4:], uint16(len(body)))
	}
	if f != nil {
		f(body)
	}
	h.finish(body, proto)
	meta = offload.Meta{Partial: true, Start: len(h.bytes), Offset: at}
	pkt = append(h.bytes, body...)
	putPartial(pkt, meta, proto)
	completeSlowly(pkt, meta)
	return pkt, meta, last
}

// super is a super-packet.
func (m *mix) super() parcel {
	n := m.least + m.rng.IntN(6)
	if m.oneIn(4) {
		n = 60000
	}
	t := m.train(n)
	t.payload, t.h.spelt = t.payload[:min(len(t.payload), m.most*t.seg)], false
	p := parcel{kind: "super"}
	for i, last := 0, false; !last; i++ {
		var pkt []byte
		pkt, _, last = t.packet(i, nil)
		p.want = append(p.want, pkt)
	}
	h := t.h.clone()
	if !h.v6 {
		binary.BigEndian.PutUint16(h.bytes[4:], t.id)
	}
	body := append(append([]byte(nil), t.template...), t.payload...)
	meta := offload.Meta{GSO: offload.UDP, Seg: t.seg, Head: len(h.bytes) + len(t.template), Partial: true, Start: len(h.bytes), Offset: 6}
	proto := byte(protoUDP)
	if t.tcp {
		proto, meta.GSO, meta.Offset = protoTCP, offload.TCP4, 16
		if h.v6 {
			meta.GSO = offload.TCP6
		}
	} else {
		binary.BigEndian.PutUint16(body[4:], uint16(len(body)))
	}
	h.finish(body, proto)
	pkt := append(h.bytes, body...)
	putPartial(pkt, meta, proto)
	p.in = []tun.Packet{{Buf: pkt, Meta: meta}}
	return p
}

// row is a row as single packets, most of which may be joined, with a fault here and there.
func (m *mix) row() parcel {
	t := m.train(2 + m.rng.IntN(30))
	p := parcel{kind: "row"}
	partial := m.oneIn(2) && !m.alone
	for i, last := 0, false; !last && i < 64; i++ {
		var pkt []byte
		var meta offload.Meta
		var fault func(l4 []byte)
		if m.oneIn(12) {
			fault = func(l4 []byte) {
				switch at := m.rng.IntN(len(l4)); {
				case t.tcp && at == 12, !t.tcp && (at == 4 || at == 5): // lengths
				default:
					l4[at] ^= 1 << m.rng.IntN(8)
				}
			}
		}
		pkt, meta, last = t.packet(i, fault)
		if m.oneIn(20) {
			m.spoil(pkt, meta)
			meta = offload.Meta{}
		}
		want := append([]byte(nil), pkt...)
		if partial && meta.Partial && !m.oneIn(10) {
			putPartial(pkt, meta, want[protoAt(want)])
		} else {
			meta = offload.Meta{}
		}
		for range 1 + m.rng.IntN(20)/19 { // now and then a packet is sent twice
			p.in, p.want = append(p.in, tun.Packet{Buf: append([]byte(nil), pkt...), Meta: meta}), append(p.want, want)
		}
	}
	return p
}

// sums puts a checksum into a transport header: whole, wrong, none or partial.
func (m *mix) sums(h *head, body []byte, proto byte) (meta offload.Meta) {
	pkt := append(append([]byte(nil), h.bytes...), body...)
	meta = offload.Meta{Partial: true, Start: len(h.bytes), Offset: 6}
	if proto == protoTCP {
		meta.Offset = 16
	}
	putPartial(pkt, meta, proto)
	fragment := h.fragment && h.v6
	if !m.alone && !fragment && m.oneIn(3) {
		copy(body, pkt[meta.Start:])
		return meta
	}
	if n := len(pkt) - 2; n >= meta.Start+20 && m.oneIn(8) {
		// A sum that has two spellings, zero and all ones.
		if (n-meta.Start)%2 == 1 {
			n--
		}
		pkt[n], pkt[n+1] = 0, 0
		binary.BigEndian.PutUint16(pkt[n:], ^slowSum(pkt[meta.Start:]))
	}
	completeSlowly(pkt, meta)
	if m.oneIn(4) {
		m.spoil(pkt, meta)
	}
	copy(body, pkt[meta.Start:])
	return offload.Meta{}
}

// spoil makes a checksum wrong, empty, or spelt otherwise.
func (m *mix) spoil(pkt []byte, meta offload.Meta) {
	at := pkt[meta.Start+meta.Offset:]
	switch m.rng.IntN(3) {
	case 0:
		at[0], at[1] = 0, 0
	case 1:
		at[0], at[1] = 0xff, 0xff
	default:
		at[m.rng.IntN(2)] ^= 1 << m.rng.IntN(8)
	}
}

// tcp is a TCP header with options and n octets of payload, its checksum zero.
func (m *mix) tcp(flags byte, options, n int) []byte {
	b := m.octets(20 + options + max(n, 0))
	m.ports(b)
	b[12], b[13] = byte((20+options)/4)<<4|b[12]&0xf, flags
	b[16], b[17] = 0, 0
	return b
}

// udp is a UDP header with n octets of payload, its checksum zero.
func (m *mix) udp(n int) []byte {
	b := m.octets(8 + max(n, 0))
	m.ports(b)
	binary.BigEndian.PutUint16(b[4:], uint16(len(b)))
	b[6], b[7] = 0, 0
	return b
}

// ports chooses among few flows.
func (m *mix) ports(b []byte) {
	binary.BigEndian.PutUint16(b, uint16(40000+m.rng.IntN(5)))
	binary.BigEndian.PutUint16(b[2:], uint16(9000+m.rng.IntN(3)))
}
