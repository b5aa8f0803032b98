package offload

import (
	"bytes"
	"encoding/binary"
)

// Joins says which kinds of super-packets the device takes.
type Joins struct{ TCP, UDP bool }

// maxJoin bounds a super-packet in octets: what the length field of IPv4 holds, and what Linux does without
// asking about IPv6.
const maxJoin = maxLength

// Merger puts packets one behind the other and joins those that continue each other. Make one with NewMerger.
// For each packet: Place, write it there, then Add it, or Cancel. Packets gives what has come together.
type Merger struct {
	joins Joins
	arena []byte
	tail  int      // where the next packet that continues nothing begins
	done  []Packet // the last of them is the open one, if there is one

	lain  int // octets of the end of the payload over which Place lets the next header be written
	under [maxHead]byte

	// The open packet: the one that may be continued.
	open    bool
	begin   int // in arena
	meta    Meta
	count   int           // packets in it
	size    int           // octets of payload of each
	whole   bool          // its checksum is complete, and perhaps wrong
	flags   byte          // PSH and FIN of the last segment
	last    byte          // of the segment that is looked at
	first   [maxHead]byte // its headers as they came
	ipID    uint16
	nextSeq uint32
}

// NewMerger makes a Merger that holds n octets, at least those of two largest packets, and count packets.
func NewMerger(n, count int, joins Joins) *Merger {
	return &Merger{joins: joins, arena: make([]byte, max(n, 2*(maxJoin+1))), done: make([]Packet, 0, count)}
}

// Full says that another packet of n octets may find no room: take Packets and Reset first.
func (m *Merger) Full(n int) bool {
	return len(m.done) == cap(m.done) || len(m.arena)-m.tail < max(n, 0)+maxHead
}

// Place returns the empty slice that the next packet is to be appended to.
func (m *Merger) Place() []byte {
	m.lain = 0
	if m.open {
		m.lain = m.meta.Head
		copy(m.under[:m.lain], m.arena[m.tail-m.lain:m.tail])
	}
	at := m.tail - m.lain
	return m.arena[at:at:len(m.arena)]
}

// Cancel forgets the packet that was written.
func (m *Merger) Cancel() { m.restore() }

func (m *Merger) restore() {
	copy(m.arena[m.tail-m.lain:m.tail], m.under[:m.lain])
	m.lain = 0
}

// Add takes the packet that was appended to Place, an IP packet of exactly its length. partial says that its
// checksum is. A packet that cannot have such a checksum is refused, and forgotten.
func (m *Merger) Add(pkt []byte, partial bool) bool {
	if m.open && len(pkt) > m.meta.Head && m.continues(pkt) && m.right(pkt, partial) {
		m.extend(pkt)
		return true
	}
	meta, ok := PartialAt(pkt)
	if partial && !ok {
		m.restore()
		return false
	}
	if m.lain > 0 {
		copy(m.arena[m.tail:], pkt) // they overlap; copy knows how
		m.restore()
		pkt = m.arena[m.tail : m.tail+len(pkt)]
	}
	m.finish()
	m.begin = m.tail
	m.tail += len(pkt)
	m.open = ok && m.opens(pkt, meta, partial)
	if !partial {
		meta = Meta{}
	}
	m.done = append(m.done, Packet{Buf: pkt, Meta: meta})
	return true
}

// Packets returns what was added, in order. The slices are good until Reset, and no packet may be added
// before it.
func (m *Merger) Packets() []Packet {
	m.finish()
	return m.done
}

// Reset forgets everything.
func (m *Merger) Reset() {
	clear(m.done)
	m.done, m.tail, m.open, m.lain = m.done[:0], 0, false, 0
}

// opens says whether pkt may be the first of a super-packet, and notes what the second must be like. Packets
// with IP options or extension headers stay alone: they are rare, and not worth the doubt.
func (m *Merger) opens(pkt []byte, meta Meta, partial bool) bool {
	l4 := pkt[meta.Start:]
	head, gso := 0, None
	switch v6 := pkt[0]>>4 == 6; {
	case v6 && meta.Start != head6, !v6 && meta.Start != head4, !v6 && !rightHeader(pkt[:head4]):
		return false
	case meta.Offset == tcpSum && m.joins.TCP && len(l4) >= minTCP:
		head, gso = int(l4[12]>>4)*4, TCP4
		if v6 {
			gso = TCP6
		}
		// ACK and nothing else: whoever says PSH or FIN is the last of its row, and CWR would need a device
		// that promised to understand it.
		if head < minTCP || l4[13] != tcpACK {
			return false
		}
	case meta.Offset == udpSum && m.joins.UDP:
		head, gso = udpHead, UDP
		if !udpWhole(l4) {
			return false
		}
	default:
		return false
	}
	if meta.Start+head >= len(pkt) || meta.Start+head > maxHead {
		return false
	}
	meta.GSO, meta.Head = gso, meta.Start+head
	m.meta, m.whole, m.count, m.flags, m.last = meta, !partial, 1, 0, 0
	m.size = len(pkt) - meta.Head
	m.meta.Seg = m.size
	copy(m.first[:], pkt[:meta.Head])
	m.ipID = binary.BigEndian.Uint16(pkt[4:])
	if gso != UDP {
		m.nextSeq = binary.BigEndian.Uint32(l4[4:]) + uint32(m.size)
	}
	return true
}

// udpWhole says that a datagram fills its packet and has a checksum; a row gets one, and one length.
func udpWhole(l4 []byte) bool {
	return len(l4) >= udpHead && int(binary.BigEndian.Uint16(l4[4:])) == len(l4) && l4[6]|l4[7] != 0
}

// continues says whether pkt is the next of the open one: the same headers, and the numbers go on.
func (m *Merger) continues(pkt []byte) bool {
	size := len(pkt) - m.meta.Head
	if size <= 0 || size > m.size || m.tail-m.begin+size > maxJoin {
		return false
	}
	a, b := m.first[:m.meta.Head], pkt
	if a[0] != b[0] || a[1] != b[1] {
		return false
	}
	if a[0]>>4 == 4 {
		// All but total length, identification and checksum.
		if binary.BigEndian.Uint16(b[4:]) != m.ipID+uint16(m.count) || int(binary.BigEndian.Uint16(b[2:])) != len(b) ||
			binary.BigEndian.Uint32(a[6:]) != binary.BigEndian.Uint32(b[6:]) ||
			binary.BigEndian.Uint64(a[12:]) != binary.BigEndian.Uint64(b[12:]) || !rightHeader(b[:head4]) {
			return false
		}
	} else if a[2] != b[2] || a[3] != b[3] || !bytes.Equal(a[6:head6], b[6:head6]) || int(binary.BigEndian.Uint16(b[4:])) != len(b)-head6 {
		return false
	}
	a, b = a[m.meta.Start:], b[m.meta.Start:]
	if binary.BigEndian.Uint32(a) != binary.BigEndian.Uint32(b) { // ports
		return false
	}
	if m.meta.GSO == UDP {
		return udpWhole(b)
	}
	return binary.BigEndian.Uint32(b[4:]) == m.nextSeq &&
		binary.BigEndian.Uint32(a[8:]) == binary.BigEndian.Uint32(b[8:]) && a[12] == b[12] &&
		m.ends(b[13]) &&
		a[14] == b[14] && a[15] == b[15] && // window
		bytes.Equal(a[18:], b[18:m.meta.Head-m.meta.Start]) // urgent pointer, options
}

// ends says whether a segment with such flags may continue a row, and keeps those that then end it.
func (m *Merger) ends(flags byte) bool {
	m.last = flags & (tcpPSH | tcpFIN)
	return flags&^m.last == tcpACK
}

// right makes sure of complete checksums, which a super-packet cannot keep: first of the open packet, when it
// is to be continued for the first time, then of pkt.
func (m *Merger) right(pkt []byte, partial bool) bool {
	if m.whole {
		l4, from := m.tail-m.begin-m.meta.Start, m.begin+m.meta.Start
		sum := pseudo(m.first[:], m.protocol(), l4)
		if end := m.tail - m.lain; end >= from {
			sum = add(sum, sumParts(m.arena[from:end], m.under[:m.lain]))
		} else { // the payload is shorter than its headers, so that pkt lies over them too
			sum = add(sum, Sum(0, m.under[m.lain-l4:m.lain]))
		}
		if sum != 0xffff || m.doubled(m.first[:]) {
			m.open = false
			return false
		}
		m.whole = false
	}
	return partial || add(pseudo(pkt, m.protocol(), len(pkt)-m.meta.Start), Sum(0, pkt[m.meta.Start:])) == 0xffff && !m.doubled(pkt)
}

// doubled says that the checksum is zero in its other spelling, all ones. It is right, but nobody who computes
// it writes it so, but for UDP.
func (m *Merger) doubled(pkt []byte) bool {
	at := m.meta.Start + m.meta.Offset
	return m.meta.Offset != udpSum && pkt[at]&pkt[at+1] == 0xff
}

// rightHeader says that the checksum of an IPv4 header is the one that headerSum would write.
func rightHeader(h []byte) bool { return Sum(0, h) == 0xffff && h[10]&h[11] != 0xff }

// extend joins pkt, which lies with its header over the payload before, to the open packet.
func (m *Merger) extend(pkt []byte) {
	m.restore()
	size := len(pkt) - m.meta.Head
	m.tail += size
	m.count++
	if m.meta.GSO != UDP {
		m.nextSeq += uint32(size)
		m.flags |= m.last
	}
	if size < m.size || m.flags != 0 {
		m.finish() // a short one, or one with PSH or FIN, ends the row
	}
}

// finish closes the open packet: when it became a row, its headers are made those of a super-packet.
func (m *Merger) finish() {
	if !m.open {
		return
	}
	m.open = false
	if m.count == 1 {
		return
	}
	p := m.arena[m.begin:m.tail]
	if p[0]>>4 == 4 {
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		headerSum(p[:head4])
	} else {
		binary.BigEndian.PutUint16(p[4:], uint16(len(p)-head6))
	}
	l4 := p[m.meta.Start:]
	if m.meta.GSO == UDP {
		binary.BigEndian.PutUint16(l4[4:], uint16(len(l4)))
	} else {
		l4[13] |= m.flags
	}
	binary.BigEndian.PutUint16(l4[m.meta.Offset:], pseudo(p, m.protocol(), len(l4)))
	m.done[len(m.done)-1] = Packet{Buf: p, Meta: m.meta}
}

func (m *Merger) protocol() byte {
	if m.meta.GSO == UDP {
		return protoUDP
	}
	return protoTCP
}
