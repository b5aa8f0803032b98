package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"
)

// ProbeLen is the length in octets of a probe body without report and padding.
const ProbeLen = 40

// ReportLen is the length in octets of a report.
const ReportLen = 16

// MaxProbe is the longest probe body in octets, with padding: the largest fabric MTU there can be.
const MaxProbe = math.MaxUint16

// The flags of a probe.
const (
	probeEchoes  = 0x01
	probeReports = 0x02
)

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
	Size     int           // of the whole body with padding, octets; 0 when appended means as short as possible
	Report   Report
}

// Report is what a probe says to a neighbour that understands FeatureReports.
type Report struct {
	Present bool
	Heard   uint64 // bit i: the neighbour's probe EchoSeq-i arrived; 0 without an echo
	LossPPM uint32 // of the sender's probes to the neighbour, of a million
	MTU     uint16 // largest datagram that the sender sends to the neighbour, octets; 0 is not known
	Lanes   uint16 // bit i: the sender sends by lane i
}

// AppendProbe encodes p at the end of b and pads it with zeros to p.Size. A Size that the format
// cannot say is the caller's mistake and panics.
func AppendProbe(b []byte, p ProbeBody) []byte {
	least := ProbeLen
	if p.Report.Present {
		least += ReportLen
	}
	size := max(p.Size, least)
	if p.Size < 0 || size > MaxProbe {
		panic(fmt.Sprintf("wire: probe of %d octets", p.Size))
	}
	var flags byte
	var held uint32
	if p.Echo {
		flags = probeEchoes
		held = uint32(min(max(p.Held, 0), maxHeld) / time.Microsecond)
	} else {
		p.EchoSeq, p.EchoSent, p.Report.Heard = 0, 0, 0
	}
	if p.Report.Present {
		flags |= probeReports
	}
	b = append(b, flags, p.Path)
	b = binary.BigEndian.AppendUint16(b, uint16(size))
	b = binary.BigEndian.AppendUint32(b, p.Seq)
	b = binary.BigEndian.AppendUint64(b, uint64(p.Sent))
	b = binary.BigEndian.AppendUint32(b, p.EchoSeq)
	b = binary.BigEndian.AppendUint64(b, uint64(p.EchoSent))
	b = binary.BigEndian.AppendUint32(b, held)
	b = binary.BigEndian.AppendUint64(b, p.Received)
	if r := p.Report; r.Present {
		b = binary.BigEndian.AppendUint64(b, r.Heard)
		b = binary.BigEndian.AppendUint32(b, r.LossPPM)
		b = binary.BigEndian.AppendUint16(b, r.MTU)
		b = binary.BigEndian.AppendUint16(b, r.Lanes)
	}
	return appendZeros(b, size-least)
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
	if int(binary.BigEndian.Uint16(b[2:])) != len(b) || b[0]&^(probeEchoes|probeReports) != 0 {
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
	if b[0]&probeReports != 0 {
		r, err := parseReport(b[ProbeLen:])
		if err != nil || p.Echo != (r.Heard&1 != 0) || !p.Echo && r.Heard != 0 {
			return ProbeBody{}, ErrField // what is echoed has arrived
		}
		p.Report = r
	}
	return p, nil
}

func parseReport(b []byte) (Report, error) {
	if len(b) < ReportLen {
		return Report{}, ErrShort
	}
	r := Report{
		Present: true,
		Heard:   binary.BigEndian.Uint64(b),
		LossPPM: binary.BigEndian.Uint32(b[8:]),
		MTU:     binary.BigEndian.Uint16(b[12:]),
		Lanes:   binary.BigEndian.Uint16(b[14:]),
	}
	if r.LossPPM > 1_000_000 {
		return Report{}, ErrField
	}
	return r, nil
}
