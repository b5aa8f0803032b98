package tun

import (
	"fmt"

	"github.com/galleon-net/galleon/fabric/offload"
)

// Lowering turns one packet into packets that ask no more of a kernel than some Offloads: it cuts
// super-packets and completes checksums, in place. Init, then Next until it says false, being done with
// each packet before asking for the next. The zero value is ready.
type Lowering struct {
	cut   offload.Splitter
	whole Packet
	has   Offloads
	state lowerState
}

type lowerState uint8

const (
	lowerDone lowerState = iota
	lowerWhole
	lowerCut
)

// Init begins with a packet.
func (l *Lowering) Init(p Packet, has Offloads) error {
	l.has, l.state = has, lowerDone
	if p.GSO == offload.None || p.GSO == offload.UDP && has.USO || p.GSO != offload.UDP && has.TSO {
		l.whole, l.state = p, lowerWhole
		return nil
	}
	if err := l.cut.Init(p.Buf, p.Meta); err != nil {
		return err
	}
	l.state = lowerCut
	return nil
}

// Next returns the next packet.
func (l *Lowering) Next() (p Packet, ok bool) {
	switch l.state {
	case lowerDone:
		return p, false
	case lowerWhole:
		p, l.whole, l.state = l.whole, Packet{}, lowerDone
	case lowerCut:
		if p.Buf, ok = l.cut.Next(); !ok {
			l.state = lowerDone
			return p, false
		}
		p.Meta = l.cut.Meta()
	}
	if p.Partial && p.GSO == offload.None && !l.has.Checksum {
		if end := p.Start + p.Offset + 2; p.Start < 0 || p.Offset < 0 || end > len(p.Buf) {
			p.Meta = offload.Meta{} // nonsense; the receiver's checksum will say so
			return p, true
		}
		offload.Complete(p.Buf, p.Meta)
		p.Meta = offload.Meta{}
	}
	return p, true
}

func panicShort(have int) {
	panic(fmt.Sprintf("tun: an arena of %d octets; a packet needs %d", have, MaxPacket))
}
