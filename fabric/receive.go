package fabric

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/galleon-net/galleon/fabric/seal"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/underlay"
	"github.com/galleon-net/galleon/fabric/wire"
)

// minReadBuffer is the least that a datagram is read into: more than any Ethernet carries.
const minReadBuffer = 2048

// runs is how many packets of the underlay one round reads.
const runs = 8

// inward is the memory of the receiving goroutine, allocated once.
type inward struct {
	pkts   []underlay.Packet
	toTUN  [][]byte
	toPeer []underlay.Packet
}

// receive carries packets from the socket to the TUN, or on to the next router, until the socket is closed.
func (f *forwarder) receive(ctx context.Context, mtu int) error {
	in := inward{
		pkts:   make([]underlay.Packet, runs),
		toTUN:  make([][]byte, 0, batch),
		toPeer: make([]underlay.Packet, 0, batch),
	}
	for i := range in.pkts {
		in.pkts[i].Buf = make([]byte, underlay.ReadLen)
	}
	for {
		n, err := f.socket.ReadBatch(0, in.pkts)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
				return ended(ctx, fmt.Errorf("read from the underlay: %w", err))
			}
			pause(ctx)
			continue
		}
		v, now := f.view.Load(), time.Now()
		in.toTUN, in.toPeer = in.toTUN[:0], in.toPeer[:0]
		for _, p := range in.pkts[:n] {
			for i := range p.Count() {
				if v != nil {
					f.handle(v, now, underlay.Packet{Buf: p.Datagram(i), Addr: p.Addr}, &in)
				}
				if len(in.toTUN) == batch {
					if err := f.deliver(in.toTUN); err != nil {
						return ended(ctx, err)
					}
					in.toTUN = in.toTUN[:0]
				}
			}
		}
		f.send(in.toPeer)
		if err := f.deliver(in.toTUN); err != nil {
			return ended(ctx, err)
		}
	}
}

func (f *forwarder) handle(v *view, now time.Time, p underlay.Packet, in *inward) {
	h, err := wire.Parse(p.Buf)
	if err != nil {
		f.drop(dropMalformed)
		return
	}
	source := v.faces[h.Source]
	if source == nil {
		f.drop(dropUnknown)
		return
	}
	switch {
	case h.Dest != v.self:
		f.relay(v, h, p, in)
	case h.Type == wire.Session:
		f.uncarry(v, h, p)
	case h.Type == wire.Data, h.Type == wire.Probe:
		f.open(v, now, source, h, p, in)
	default:
		f.drop(dropMalformed) // a type of a later version
	}
}

// open takes a packet that was sealed for us.
func (f *forwarder) open(v *view, now time.Time, source *face, h wire.Header, p underlay.Packet, in *inward) {
	pkt := p.Buf
	if h.Tagged {
		// The tag spoke to the hop; the seal speaks for the whole way.
		pkt = pkt[:len(pkt)-wire.TagLen]
		wire.SetTagged(pkt, false)
	}
	opener, ok := source.ring.OpenerFor(h.Epoch, h.Lane)
	if !ok {
		f.drop(dropNoKey)
		if source.stranded.CompareAndSwap(false, true) {
			f.stranded(source.id)
		}
		return
	}
	payload, err := opener.Open(pkt[wire.HeaderLen:wire.HeaderLen], pkt)
	if err != nil {
		if errors.Is(err, seal.ErrReplay) {
			f.drop(dropReplay)
		} else {
			f.drop(dropAuth)
		}
		return
	}
	if link := v.byAddr[p.Addr]; link != nil {
		link.link.in.add(len(p.Buf))
	}
	if source.confirms(h.Epoch) {
		f.confirmed(source.id, h.Epoch)
	}
	if h.Type == wire.Probe {
		f.probed(now, h, p, payload)
		return
	}
	if h.Segment != topo.DefaultSegment {
		f.drop(dropNotOurs)
		return
	}
	ip, ok := parseIP(payload)
	if !ok {
		f.drop(dropMalformed)
		return
	}
	if _, granted := source.sources.Load().Lookup(h.Segment, ip.src); !granted {
		f.drop(dropSpoofed)
		f.lied(source, ip.src)
		return
	}
	if e, ok := v.table.Lookup(h.Segment, ip.dst); !ok || !e.Local {
		f.drop(dropNotOurs)
		return
	}
	source.in.add(len(ip.pkt))
	in.toTUN = append(in.toTUN, ip.pkt)
}

// probed hands a probe to the loop. A probe came straight from its sender or it is not one.
func (f *forwarder) probed(now time.Time, h wire.Header, p underlay.Packet, payload []byte) {
	body, err := wire.ParseProbe(payload)
	if err != nil || h.Tagged {
		f.drop(dropMalformed)
		return
	}
	select {
	case f.probes <- heardProbe{h.Source, p.Addr, now, len(p.Buf), body}:
	default: // the loop is busy; one lost probe is no verdict
	}
}

// relay passes a packet on without opening it.
func (f *forwarder) relay(v *view, h wire.Header, p underlay.Packet, in *inward) {
	link := v.byAddr[p.Addr]
	if link == nil || h.Type == wire.Probe {
		f.drop(dropNoTag)
		return
	}
	pkt, ok := link.ring.CheckTag(p.Buf)
	if !ok {
		f.drop(dropNoTag)
		return
	}
	link.link.in.add(len(p.Buf))
	if !wire.TakeHop(pkt) {
		f.drop(dropHopLimit)
		return
	}
	next, _ := v.toward(h.Dest, link.id)
	if next == nil {
		f.drop(dropNoLink)
		return
	}
	addr := next.addr.Load()
	if addr == nil {
		f.drop(dropNoLink)
		return
	}
	if pkt, ok = next.ring.AppendTag(pkt); !ok {
		f.drop(dropNoKey)
		return
	}
	f.relays.add(len(pkt))
	next.link.out.add(len(pkt))
	in.toPeer = append(in.toPeer, underlay.Packet{Buf: pkt, Addr: *addr})
}

// lied counts a packet whose sender lies about where it comes from.
func (f *forwarder) lied(source *face, src netip.Addr) {
	n := source.spoofed.Add(1)
	if n&(n-1) == 0 { // the 1st, 2nd, 4th, 8th ...: the loop hears of a flood a few dozen times
		f.spoofed(source.id, src, n)
	}
}
