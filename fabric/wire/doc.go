// Package wire is the bytes between two routers: the header of a sealed datagram, the body of a
// probe, and the hello of a pair session. It only encodes and decodes; package seal does the
// cryptography, package underlay the sockets.
//
// # The datagram
//
// Galleon packets share one UDP port with QUIC. RFC 9443 tells protocols apart by the first byte: a
// QUIC packet has bit 0x40 set (unless its peer offered to grease that bit, which ours never do), a
// Galleon packet has bit 0x80 set and 0x40 clear, that is 128 to 191. Numbers are big endian.
//
//	      0               1               2               3
//	 +-------+-------+-+-+-----------+-----+-----+---+---------------+
//	 |1 0 V V|T T T T|L|0| hop limit |class|P|0 0|ECN|     lane      |
//	 +-------+-------+-+-+-----------+-----+-----+---+---------------+
//	 |            segment            |             epoch             |
//	 +-------------------------------+-------------------------------+
//	 |                         source router                         |
//	 +---------------------------------------------------------------+
//	 |                      destination router                       |
//	 +---------------------------------------------------------------+
//	 |                                                               |
//	 |                     counter (64 bits)                         |
//	 +---------------------------------------------------------------+
//	 |  payload ...                                                  |
//	 |  16 bytes of AEAD tag, if the type is sealed                  |
//	 +---------------------------------------------------------------+
//	 |  8 bytes of link tag, if L is set                             |
//	 +---------------------------------------------------------------+
//
//	V        version of the format, 0
//	T        type: 1 data (an IP packet), 2 probe, 3 session; others are carried but not delivered
//	L        a link tag ends the packet
//	hop      routers that may still handle the packet; the source writes MaxHops, each relay takes
//	         one away, and a relay that finds 1 drops the packet
//	class    topo.Class: which queue
//	P        the payload's TCP or UDP checksum is partial: it is the sum of the pseudo-header, as the
//	         kernel left it, and nobody has added the rest since the seal vouches for the octets (see
//	         package offload). Only between ends that both offer FeaturePartial
//	ECN      the inner packet's field, so that whoever sees congestion on the way knows whether the
//	         packet may be marked instead of dropped (RFC 6040)
//	lane     one five-tuple of the pair, with a key, a counter and a replay window of its own
//	segment  the tenant network that the payload belongs to
//	epoch    which handshake of this pair made the keys
//	source, destination   the two ends of the seal, not of the hop
//	counter  per pair, direction, lane and epoch, from 0; the nonce comes from it
//
// Byte 1 changes at every hop and is therefore not under the seal; all other bytes of the header
// are additional data of the AEAD, end to end. Where a packet is relayed, the link tag covers all 24
// bytes, byte 1 included, so that nobody but a neighbour can make a relay work.
//
// A session packet carries one QUIC packet of a pair's session through relays. It is not sealed,
// since it is what makes the keys, and QUIC protects itself; it has a link tag on every hop.
//
// Alternatives refused: a variable header (a relay would parse before it can check), a four-byte
// truncated counter (saves 4 bytes of 1,400 and needs guessing), and routers as 16-bit numbers (the
// catalog never reuses one).
//
// # The probe
//
// A probe travels only to a direct neighbour, sealed with the keys of the pair. The times are each
// sender's own monotonic clock: a router only subtracts its own readings, so the clocks need not agree.
//
//	0        flags: bit 0 set when the echo fields mean something, bit 1 when a report follows byte 40
//	1        path: which address pair of the link
//	2-3      length of the body with padding; what follows byte 40, or the report, is padding, so that
//	         a probe can be as large as the largest data packet and so find a path that swallows those
//	4-7      sequence number of this probe, from 1: also how many were sent on this path
//	8-15     when it was sent, nanoseconds, sender's clock
//	16-19    echo: sequence number of the newest probe seen from the neighbour
//	20-27    echo: its send time, as the neighbour wrote it
//	28-31    how long that one was held here, microseconds; the largest number also means "longer"
//	32-39    probes received from the neighbour on this path so far, as package health counts them
//	         (full-size ones apart: what is lost for its size is not loss)
//
// A report is sent where both hellos have FeatureReports. With it the sender of probes learns the fate of
// each, and may therefore choose by which lane and in which size each goes without telling anybody:
//
//	40-47    which probes of the neighbour arrived: bit i (the lowest is 0) stands for echo minus i
//	48-51    how many of a million of its own probes the sender knows to be lost on the way to the neighbour
//	52-53    largest datagram that the sender sends to the neighbour now, octets; 0 is not known
//	54-55    lanes that the sender sends to the neighbour by: bit i stands for lane i
//
// # The hello
//
// The first stream of a pair session carries one hello from the dialler and one answer, 32 bytes
// each. The size is fixed so that there is nothing to bound; what it may grow into are feature bits.
//
//	0        kind: 1 hello, 2 answer
//	1        lanes that the sender can serve, 1 to MaxLanes; in the answer: that both will
//	2-3      epoch proposed, or chosen
//	4-5      largest IP packet that the sender can carry in this pair, octets; at least MinMTU
//	6-7      zero
//	8-15     feature bits offered, or common: bit 0 FeatureReports
//	16-19    AEAD suites, the preferred one first, 0 ends; in the answer exactly one
//	20-31    zero when sent, not looked at when read
package wire

// Lengths in octets.
const (
	HeaderLen = 24 // the fixed header
	SealLen   = 16 // the AEAD tag at the end of a sealed payload
	TagLen    = 8  // the link tag of a relayed packet

	// Overhead is what a relayed data packet is longer than the IP packet in it. It is the same
	// number for a direct one when sizes are planned, so that rerouting never changes the MTU.
	Overhead = HeaderLen + SealLen + TagLen
)

// MaxHops is the hop limit that a source writes: more routers than any useful path has, few enough
// that a loop during convergence dies quickly. The field could hold 63.
const MaxHops = 8

// MaxLanes bounds the five-tuples of one pair, and so the keys held for each neighbour.
const MaxLanes = 16

// MinMTU is the least fabric MTU in octets: what IPv6 asks of every link (RFC 8200 section 5).
const MinMTU = 1280
