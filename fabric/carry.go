package fabric

import (
	"fmt"
	"net/netip"
	"sync"

	"github.com/galleon-net/galleon/fabric/underlay"
	"github.com/galleon-net/galleon/fabric/wire"
)

// maxCarried is the longest Session packet, octets: more than any QUIC packet makes.
const maxCarried = 2048

// carriers lends the buffers in which QUIC packets travel as Session packets.
var carriers = sync.Pool{New: func() any { return new([maxCarried]byte) }}

// carry is what the underlay calls when QUIC writes to a virtual address: the packet goes hop by hop to
// the router that the address stands for, with a link tag on every hop. Routers on the way see a QUIC
// packet and can do no more with it than any router of the Internet could.
func (f *forwarder) carry(to netip.AddrPort, b []byte) error {
	dest, ok := underlay.RouterOf(to)
	if !ok {
		return fmt.Errorf("carry a session packet: %s stands for no router", to)
	}
	v := f.view.Load()
	if v == nil {
		return fmt.Errorf("carry a session packet to %s: no routes yet", dest)
	}
	next, _ := v.toward(dest, 0)
	if next == nil {
		return fmt.Errorf("carry a session packet to %s: no usable way", dest)
	}
	addr := next.addr.Load()
	if addr == nil || len(b)+wire.HeaderLen+wire.TagLen > maxCarried {
		return fmt.Errorf("carry a session packet of %d octets to %s: does not fit", len(b), dest)
	}
	buf := carriers.Get().(*[maxCarried]byte)
	defer carriers.Put(buf)
	h := wire.Header{Type: wire.Session, HopLimit: wire.MaxHops, Source: v.self, Dest: dest}
	pkt := append(h.Append(buf[:0]), b...)
	if pkt, ok = next.ring.AppendTag(pkt); !ok {
		return fmt.Errorf("carry a session packet to %s: no keys with %s", dest, next.id)
	}
	lane := next.lane(uint32(dest))
	next.link.out[lane].add(len(pkt))
	return f.socket.WriteBatch([]underlay.Packet{{Buf: pkt, Addr: *addr, Lane: lane}})
}

// uncarry gives a carried QUIC packet to QUIC, when a neighbour vouches for it.
func (in *inward) uncarry(h wire.Header, d []byte) {
	link := in.link
	if link == nil {
		in.drop(dropNoTag)
		return
	}
	pkt, ok := link.ring.CheckTag(d)
	if !ok {
		in.drop(dropNoTag)
		return
	}
	in.via.add(&link.link.in, len(d))
	in.socket.InjectQUIC(pkt[wire.HeaderLen:], underlay.VirtualAddr(h.Source))
}
