package fabric

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/galleon-net/galleon/fabric/offload"
	"github.com/galleon-net/galleon/fabric/seal"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/underlay"
	"github.com/galleon-net/galleon/fabric/wire"
)

// The memory of one round from the TUN to the socket. A round is kept short: what it reads first waits for
// what it reads last.
const (
	readArena = 3 * tun.MaxPacket // octets, so two super-packets at least
	sealArena = readArena * 9 / 8 // what that becomes, sealed; more is sent in two parts
)

// outward is what the ingress goroutine works with, allocated once.
type outward struct {
	*forwarder
	v     *view // of this round
	split offload.Splitter
	row   seal.Run
	way   way           // of the packet before
	runs  underlay.Runs // sealed, to be sent
	buf   []byte        // where they lie, one behind the other
	reply icmpReplies
}

// way is what the table says about the packets of a flow.
type way struct {
	flow         flow
	egress, next *face
	addr         netip.AddrPort
	mtu          int // longest IP packet, octets
	lane         uint8
	sender       *seal.Sender
}

func newOutward(f *forwarder) *outward {
	return &outward{
		forwarder: f, buf: make([]byte, 0, sealArena),
		runs: underlay.MakeRuns(batch), reply: icmpReplies{pkts: make([]tun.Packet, 0, batch)},
	}
}

// ingress carries packets from the TUN to the socket until the device is closed.
func (f *forwarder) ingress(ctx context.Context) error {
	arena, pkts := make([]byte, readArena), make([]tun.Packet, batch)
	o := newOutward(f)
	for {
		n, err := f.device.ReadBatch(arena, pkts)
		if err != nil {
			if ctx.Err() != nil || gone(err) {
				return ended(ctx, fmt.Errorf("read from %s: %w", f.device.Name(), err))
			}
			pause(ctx)
			continue
		}
		o.begin()
		for _, p := range pkts[:n] {
			o.packet(p)
		}
		o.flush()
		if err := f.deliver(o.reply.pkts); err != nil {
			return ended(ctx, err)
		}
	}
}

// begin starts a round. What was found out in the one before may have changed.
func (o *outward) begin() {
	o.v, o.way = o.view.Load(), way{}
	o.reply.pkts = o.reply.pkts[:0]
}

// flush sends what is sealed.
func (o *outward) flush() {
	o.send(o.runs.Packets())
	o.runs.Reset()
	o.buf = o.buf[:0]
}

// packet seals a packet, or each packet of a super-packet.
func (o *outward) packet(p tun.Packet) {
	ip, ok := parseIP(p.Buf)
	if !ok || o.v == nil || o.split.Init(ip.pkt, p.Meta) != nil {
		o.drop(dropMalformed)
		return
	}
	if ip.flow != o.way.flow {
		o.way = way{}
		if why, ok := o.find(ip.flow); !ok {
			o.dropN(why, o.split.Count())
			return
		}
	}
	w := &o.way
	n := o.split.Count()
	if o.split.Full() > w.mtu {
		o.drop(dropTooBig)
		o.reply.tooBig(o.v.icmp[topo.DefaultSegment], ip, w.mtu, time.Now())
		return
	}
	partial := p.Partial && w.egress.partial.Load() && evident(ip.pkt, p.Meta)
	octets := len(ip.pkt) + (n-1)*p.Head
	h := wire.Header{
		Type: wire.Data, HopLimit: wire.MaxHops, Class: ip.class(), ECN: ip.ecn(), Partial: partial,
		Segment: topo.DefaultSegment, Source: o.v.self, Dest: w.egress.id,
	}
	if err := o.row.Begin(w.sender, h, n, octets); err != nil {
		o.dropN(dropNoKey, n)
		return
	}
	sent := 0
	for pkt, ok := o.split.Next(); ok; pkt, ok = o.split.Next() {
		if p.Partial && !partial {
			offload.Complete(pkt, o.split.Meta())
		}
		d, ok := o.seal(pkt)
		if !ok {
			o.drop(dropNoKey)
			continue
		}
		sent += len(d)
		o.runs.Add(d, w.addr, ip.tos, w.lane)
	}
	w.egress.out.addN(n, octets)
	w.next.link.out[w.lane].addN(n, sent)
}

// seal appends the datagram of a packet to what is sent next.
func (o *outward) seal(pkt []byte) ([]byte, bool) {
	if cap(o.buf)-len(o.buf) < len(pkt)+wire.Overhead || o.runs.Full() {
		o.flush()
	}
	start := len(o.buf)
	b := o.row.Seal(o.buf, pkt)
	if o.way.next != o.way.egress {
		var ok bool
		d := b[start:]
		if d, ok = o.way.next.ring.AppendTag(d); !ok {
			return nil, false
		}
		b = b[:start+len(d)]
	}
	o.buf = b
	return b[start:], true
}

// find fills the way of a flow, or says why there is none.
func (o *outward) find(fl flow) (reason, bool) {
	const seg = topo.DefaultSegment // one device serves one segment
	v := o.v
	if fl.dst.IsMulticast() || fl.src.IsLinkLocalUnicast() {
		return dropLocal, false
	}
	if _, ours := v.mine.Lookup(seg, fl.src); !ours {
		return dropSource, false
	}
	e, ok := v.table.Lookup(seg, fl.dst)
	if !ok || e.Local {
		return dropNoRoute, false
	}
	egress := v.faces[e.Egress]
	if egress == nil {
		return dropNoRoute, false
	}
	next, mtu := v.toward(e.Egress, 0)
	if next == nil {
		next, mtu = v.lastResort(e.Egress)
	}
	if next == nil {
		return dropNoLink, false
	}
	addr := next.addr.Load()
	if addr == nil {
		return dropNoLink, false
	}
	lane := next.lane(fl.hash())
	sender, ok := egress.ring.SenderFor(lane)
	if !ok {
		return dropNoKey, false
	}
	o.way = way{flow: fl, egress: egress, next: next, addr: *addr, mtu: mtu, lane: lane, sender: sender}
	return 0, true
}

// evident says that the far end can tell from the packet itself what of its checksum is not done.
func evident(pkt []byte, m offload.Meta) bool {
	at, ok := offload.PartialAt(pkt)
	return ok && at.Start == m.Start && at.Offset == m.Offset
}

// gone says whether a device will never work again.
func gone(err error) bool { return errors.Is(err, os.ErrClosed) || errors.Is(err, tun.ErrGone) }
