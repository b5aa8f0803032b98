package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// ProbeLen is the length in octets of a probe body without padding.
const ProbeLen = 40

// MaxProbe is the longest probe body in octets, with padding: the largest fabric MTU there can be.
const MaxProbe = math.MaxUint16

const probeEchoes = 0x01

// maxHeld is the longest hold time that the format can say.
const maxHeld = math.MaxUint32 * time.Microsecond

// ProbeBody is the payload of a Probe packet. Sent is read on the sender's monotonic clock, in
// nanoseconds since a start that only the sender knows.
type ProbeBody struct {
	Path     uint8         // which address pair of the link
	Seq      uint32        // from 1, per path: how many were sent
	Sent     int64         // when, nanoseconds on the sender's clock
	Echo     bool          // the next three mean something
	EchoSeq  uint32        // the newest probe seen from the neighbour
	EchoSent int64         // its Sent, given back
	Held     time.Duration // between its arrival and this probe, in whole microseconds
	Received uint64        // probes of the neighbour seen on this path so far, as package health counts
	Size     int           // of the whole body with padding, octets; 0 when appended means ProbeLen
}

// AppendProbe encodes p at the end of b and pads it with zeros to p.Size. A Size that the format
// cannot say is the caller's mistake and panics.
func AppendProbe(b []byte, p ProbeBody) []byte {
	size := max(p.Size, ProbeLen)
	if p.Size < 0 || size > MaxProbe {
		panic(fmt.Sprintf("wire: probe of %d octets", p.Size))
	}
	var flags byte
	var held uint32
	if p.Echo {
		flags = probeEchoes
		held = uint32(min(max(p.Held, 0), maxHeld) / time.Microsecond)
	} else {
		p.EchoSeq, p.EchoSent = 0, 0
	}
	b = append(b, flags, p.Path)
	b = binary.BigEndian.AppendUint16(b, uint16(size))
	b = binary.BigEndian.AppendUint32(b, p.Seq)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Sent))
	b = binary.BigEndian.AppendUint32(b, p.EchoSeq)
	b = binary.BigEndian.AppendUint64(b, uint64(p.EchoSent))
	b = binary.BigEndian.AppendUint32(b, held)
	b = binary.BigEndian.AppendUint64(b, p.Received)
	return appendZeros(b, size-ProbeLen)
}

// appendZeros grows b by n zero octets without a buffer of its own.
func appendZeros(b []byte, n int) []byte {
	for n > 0 {
		k := min(n, len(zeros))
		b = append(b, zeros[:k]...)
		n -= k
	}
	return b
}

var zeros [512]byte

// ParseProbe decodes a probe body that seal has authenticated. Padding is not looked at, so that
// later versions can use its first octets.
func ParseProbe(b []byte) (ProbeBody, error) {
	if len(b) < ProbeLen {
		return ProbeBody{}, ErrShort
	}
	if int(binary.BigEndian.Uint16(b[2:])) != len(b) || b[0]&^probeEchoes != 0 {
		return ProbeBody{}, ErrField
	}
	p := ProbeBody{
		Path:     b[1],
		Seq:      binary.BigEndian.Uint32(b[4:]),
		Sent:     int64(binary.BigEndian.Uint64(b[8:])),
		Echo:     b[0]&probeEchoes != 0,
		EchoSeq:  binary.BigEndian.Uint32(b[16:]),
		EchoSent: int64(binary.BigEndian.Uint64(b[20:])),
		Held:     time.Duration(binary.BigEndian.Uint32(b[28:])) * time.Microsecond,
		Received: binary.BigEndian.Uint64(b[32:]),
		Size:     len(b),
	}
	if !p.Echo && (p.EchoSeq != 0 || p.EchoSent != 0 || p.Held != 0) {
		return ProbeBody{}, ErrField
	}
	return p, nil
}
