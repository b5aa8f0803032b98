package fabric

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/underlay"
	"github.com/galleon-net/galleon/fabric/wire"
)

// ingress carries packets from the TUN to the socket until the device is closed. All its memory is
// allocated here, once.
func (f *forwarder) ingress(ctx context.Context, mtu int) error {
	arena, pkts := make([]byte, 4*tun.MaxPacket), make([]tun.Packet, batch)
	var single tun.Lowering
	sealed := make([][]byte, batch)
	for i := range sealed {
		sealed[i] = make([]byte, 0, mtu+wire.Overhead)
	}
	out := make([]underlay.Packet, 0, batch)
	reply := icmpReplies{pkts: make([][]byte, 0, batch)}
	for {
		n, err := f.device.ReadBatch(arena, pkts)
		if err != nil {
			if ctx.Err() != nil || gone(err) {
				return ended(ctx, fmt.Errorf("read from %s: %w", f.device.Name(), err))
			}
			pause(ctx)
			continue
		}
		v := f.view.Load()
		out, reply.pkts = out[:0], reply.pkts[:0]
		for _, p := range pkts[:n] {
			if single.Init(p, tun.Offloads{}) != nil {
				f.drop(dropMalformed)
				continue
			}
			for p, more := single.Next(); more; p, more = single.Next() {
				if len(out) == batch {
					f.send(out)
					out = out[:0]
				}
				if p, ok := f.outward(v, p.Buf, sealed[len(out)][:0], &reply); ok {
					out = append(out, p)
				}
			}
		}
		f.send(out)
		if err := f.deliver(reply.pkts); err != nil {
			return ended(ctx, err)
		}
	}
}

// outward seals one packet into buf.
func (f *forwarder) outward(v *view, pkt, buf []byte, reply *icmpReplies) (underlay.Packet, bool) {
	var none underlay.Packet
	const seg = topo.DefaultSegment // one device serves one segment
	ip, ok := parseIP(pkt)
	if !ok || v == nil {
		f.drop(dropMalformed)
		return none, false
	}
	if ip.dst.IsMulticast() || ip.src.IsLinkLocalUnicast() {
		f.drop(dropLocal)
		return none, false
	}
	if _, ours := v.mine.Lookup(seg, ip.src); !ours {
		f.drop(dropSource)
		return none, false
	}
	e, ok := v.table.Lookup(seg, ip.dst)
	if !ok || e.Local {
		f.drop(dropNoRoute)
		return none, false
	}
	egress := v.faces[e.Egress]
	if egress == nil {
		f.drop(dropNoRoute)
		return none, false
	}
	next, mtu := v.toward(e.Egress, 0)
	if next == nil {
		next, mtu = v.lastResort(e.Egress)
	}
	if next == nil {
		f.drop(dropNoLink)
		return none, false
	}
	if len(ip.pkt) > mtu {
		f.drop(dropTooBig)
		reply.tooBig(v.icmp[seg], ip, mtu, time.Now())
		return none, false
	}
	sender, ok := egress.ring.SenderFor(0)
	if !ok {
		f.drop(dropNoKey)
		return none, false
	}
	h := wire.Header{Type: wire.Data, HopLimit: wire.MaxHops, Class: ip.class, ECN: ip.ecn, Segment: seg, Source: v.self, Dest: e.Egress}
	b, err := sender.Seal(buf, h, ip.pkt)
	if err != nil {
		f.drop(dropNoKey)
		return none, false
	}
	if next != egress {
		if b, ok = next.ring.AppendTag(b); !ok {
			f.drop(dropNoKey)
			return none, false
		}
	}
	addr := next.addr.Load()
	if addr == nil {
		f.drop(dropNoLink)
		return none, false
	}
	egress.out.add(len(ip.pkt))
	next.link.out.add(len(b))
	return underlay.Packet{Buf: b, Addr: *addr}, true
}

// gone says whether a device will never work again.
func gone(err error) bool { return errors.Is(err, os.ErrClosed) || errors.Is(err, tun.ErrGone) }
