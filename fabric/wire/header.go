package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Type says what a packet carries.
type Type uint8

// The types of version 0. A relay carries the others too, so that two upgraded routers can use a new
// one through an old relay; the receiver drops what it does not know.
const (
	Data    Type = 1 // an IP packet, sealed
	Probe   Type = 2 // a ProbeBody, sealed, to a direct neighbour only
	Session Type = 3 // a QUIC packet of the pair's session, not sealed, link tag mandatory
)

func (t Type) String() string {
	switch t {
	case Data:
		return "data"
	case Probe:
		return "probe"
	case Session:
		return "session"
	}
	return "type-" + strconv.Itoa(int(t))
}

// Header is the first 24 octets of a packet, decoded.
type Header struct {
	Type     Type           // 1 to 15
	HopLimit uint8          // 0 to 63; not under the seal
	Tagged   bool           // a link tag ends the packet; not under the seal
	Class    topo.Class     // 0 to 7
	Partial  bool           // the transport checksum in the payload is the pseudo-header's sum; only where both ends offered FeaturePartial
	ECN      uint8          // 0 to 3, as in the IP header
	Lane     uint8          // below MaxLanes
	Segment  topo.SegmentID // of the payload
	Epoch    uint16         // of the pair's keys
	Source   topo.RouterID  // who sealed it
	Dest     topo.RouterID  // who can open it
	Counter  uint64         // set by seal.Sender
}

// Why a packet is not believed.
var (
	ErrShort   = errors.New("wire: shorter than its format")
	ErrVersion = errors.New("wire: not a packet of version 0")
	ErrField   = errors.New("wire: a field is out of its range")
)

const (
	firstByte   = 0x80 // 10 for RFC 9443, version 00
	familyMask  = 0xc0
	versionMask = 0x30
	typeMask    = 0x0f
	tagBit      = 0x80 // in byte 1
	hopMask     = 0x3f
	classShift  = 5
	partialBit  = 0x10
	classSpare  = 0x0c
	ecnMask     = 0x03
)

// IsGalleon tells from the first octet of a datagram whether it is ours, of any version (RFC 9443).
func IsGalleon(first byte) bool { return first&familyMask == firstByte }

// IsQUIC tells whether the first octet is that of a QUIC packet whose fixed bit is set. An octet
// that is neither belongs to no protocol of this port.
func IsQUIC(first byte) bool { return first&0x40 != 0 }

// Append encodes h at the end of b. A field that does not fit its bits is the caller's mistake and
// panics: cut off in silence it would send a packet to somebody else.
func (h Header) Append(b []byte) []byte {
	if h.Type == 0 || h.Type > typeMask || h.HopLimit > hopMask || h.Class > 7 || h.ECN > ecnMask || h.Lane >= MaxLanes {
		panic(fmt.Sprintf("wire: header field out of range: %+v", h))
	}
	var tag byte
	if h.Tagged {
		tag = tagBit
	}
	class := byte(h.Class)<<classShift | h.ECN
	if h.Partial {
		class |= partialBit
	}
	b = append(b, firstByte|byte(h.Type), tag|h.HopLimit, class, h.Lane)
	b = binary.BigEndian.AppendUint16(b, uint16(h.Segment))
	b = binary.BigEndian.AppendUint16(b, h.Epoch)
	b = binary.BigEndian.AppendUint32(b, uint32(h.Source))
	b = binary.BigEndian.AppendUint32(b, uint32(h.Dest))
	return binary.BigEndian.AppendUint64(b, h.Counter)
}

// Parse decodes the header at the start of a packet, and checks that what the header promises (a
// seal, a link tag) fits into it. It looks at no cryptography: what it returns is a claim.
func Parse(b []byte) (Header, error) {
	if len(b) < HeaderLen {
		return Header{}, ErrShort
	}
	if !IsGalleon(b[0]) || b[0]&versionMask != 0 {
		return Header{}, ErrVersion
	}
	h := Header{
		Type:     Type(b[0] & typeMask),
		HopLimit: b[1] & hopMask,
		Tagged:   b[1]&tagBit != 0,
		Class:    topo.Class(b[2] >> classShift),
		Partial:  b[2]&partialBit != 0,
		ECN:      b[2] & ecnMask,
		Lane:     b[3],
		Segment:  topo.SegmentID(binary.BigEndian.Uint16(b[4:])),
		Epoch:    binary.BigEndian.Uint16(b[6:]),
		Source:   topo.RouterID(binary.BigEndian.Uint32(b[8:])),
		Dest:     topo.RouterID(binary.BigEndian.Uint32(b[12:])),
		Counter:  binary.BigEndian.Uint64(b[16:]),
	}
	// Spare bits are refused, not ignored: whoever gives them a meaning must know that nobody sets them.
	if h.Type == 0 || h.Lane >= MaxLanes || b[1]&^(tagBit|hopMask) != 0 || b[2]&classSpare != 0 ||
		h.Source == 0 || h.Dest == 0 {
		return Header{}, ErrField
	}
	if h.Type == Session && !h.Tagged {
		return Header{}, ErrField
	}
	need := HeaderLen + SealLen // a session packet too: no QUIC packet is shorter than its AEAD tag
	if h.Tagged {
		need += TagLen
	}
	if len(b) < need {
		return Header{}, ErrShort
	}
	return h, nil
}

// TakeHop is what a relay does to a packet that Parse accepted: one hop less, in place. It returns
// false, and changes nothing, when the packet may go no further. The link tag is wrong afterwards.
func TakeHop(b []byte) bool {
	if b[1]&hopMask <= 1 {
		return false
	}
	b[1]--
	return true
}

// SetTagged says in an encoded packet whether a link tag ends it.
func SetTagged(b []byte, on bool) {
	b[1] &^= tagBit
	if on {
		b[1] |= tagBit
	}
}

// IsTagged tells whether an encoded packet says that a link tag ends it.
func IsTagged(b []byte) bool { return b[1]&tagBit != 0 }
