package fabric

import (
	"context"
	"errors"
	"fmt"
	"net"
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

// The memory of one round from the socket. Pages that nothing is read into cost nothing.
const (
	runs      = 32                // packets of the underlay that one round reads
	joinArena = 4 * tun.MaxPacket // octets of opened packets that one write takes
)

// inward is what a receiving goroutine works with, allocated once.
type inward struct {
	*forwarder
	v      *view // of this round
	now    time.Time
	join   *offload.Merger // opened, for the TUN
	onward underlay.Runs   // for other routers

	link *face          // the neighbour that the run came from, nil for none
	from netip.AddrPort // its address
	tos  uint8          // of the outer header
	last sealedBy       // of the packet before
	flow flow           // of the packet before, if it was let in
	via  tally          // what came by the link
	in   tally          // what was opened of the source
}

// sealedBy is what belongs to the ends and the keys that a header names.
type sealedBy struct {
	id     topo.RouterID
	epoch  uint16
	lane   uint8
	source *face
	opener *seal.Opener
}

// tally counts for one traffic until another is counted for.
type tally struct {
	t         *traffic
	n, octets int
}

func (c *tally) add(t *traffic, octets int) {
	if c.t != t {
		c.flush()
		c.t = t
	}
	c.n++
	c.octets += octets
}

func (c *tally) flush() {
	if c.n > 0 {
		c.t.addN(c.n, c.octets)
	}
	*c = tally{}
}

func newInward(f *forwarder) *inward {
	o := f.device.Offloads()
	return &inward{
		forwarder: f, onward: underlay.MakeRuns(batch),
		join: offload.NewMerger(joinArena, batch, offload.Joins{TCP: o.TSO, UDP: o.USO}),
	}
}

// receive carries packets from a reader of the socket to the TUN, or on to the next router, until the socket
// is closed.
func (f *forwarder) receive(ctx context.Context, reader int) error {
	pkts := make([]underlay.Packet, runs)
	for i := range pkts {
		pkts[i].Buf = make([]byte, underlay.ReadLen)
	}
	in := newInward(f)
	for {
		n, err := f.socket.ReadBatch(reader, pkts)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
				return ended(ctx, fmt.Errorf("read from the underlay: %w", err))
			}
			pause(ctx)
			continue
		}
		in.begin(time.Now())
		for _, p := range pkts[:n] {
			if err := in.run(p); err != nil {
				return ended(ctx, err)
			}
		}
		if err := in.flush(); err != nil {
			return ended(ctx, err)
		}
	}
}

// begin starts a round. What was found out in the one before may have changed.
func (in *inward) begin(now time.Time) {
	in.v, in.now, in.last, in.flow = in.view.Load(), now, sealedBy{}, flow{}
}

// flush sends and delivers what the round has brought.
func (in *inward) flush() error {
	in.via.flush()
	in.in.flush()
	in.send(in.onward.Packets())
	in.onward.Reset()
	err := in.deliver(in.join.Packets())
	in.join.Reset()
	return err
}

// run takes a datagram, or each datagram of a run.
func (in *inward) run(p underlay.Packet) error {
	if in.v == nil {
		return nil
	}
	in.link, in.from, in.tos = in.v.byAddr[p.Addr], p.Addr, p.TOS
	size := p.Seg
	if size == 0 {
		size = len(p.Buf)
	}
	for at := 0; at < len(p.Buf); at += size {
		d := p.Buf[at:min(at+size, len(p.Buf))] // with the capacity of the rest, so that onward sees neighbours
		if in.onward.Full() || in.join.Full(len(d)) {
			if err := in.flush(); err != nil {
				return err
			}
		}
		in.datagram(d)
	}
	return nil
}

func (in *inward) datagram(d []byte) {
	h, err := wire.Parse(d)
	if err != nil {
		in.drop(dropMalformed)
		return
	}
	if h.Source != in.last.id || h.Epoch != in.last.epoch || h.Lane != in.last.lane {
		in.last, in.flow = sealedBy{id: h.Source, epoch: h.Epoch, lane: h.Lane, source: in.v.faces[h.Source]}, flow{}
	}
	if in.last.source == nil {
		in.drop(dropUnknown)
		return
	}
	switch {
	case h.Dest != in.v.self:
		in.relay(h, d)
	case h.Type == wire.Session:
		in.uncarry(h, d)
	case h.Type == wire.Data, h.Type == wire.Probe:
		in.open(h, d)
	default:
		in.drop(dropMalformed) // a type of a later version
	}
}

// open takes a packet that was sealed for us.
func (in *inward) open(h wire.Header, d []byte) {
	source, pkt := in.last.source, d
	if h.Tagged {
		// The tag spoke to the hop; the seal speaks for the whole way.
		pkt = pkt[:len(pkt)-wire.TagLen]
		wire.SetTagged(pkt, false)
	}
	if in.last.opener == nil {
		opener, ok := source.ring.OpenerFor(h.Epoch, h.Lane)
		if !ok {
			in.drop(dropNoKey)
			if source.stranded.CompareAndSwap(false, true) {
				in.stranded(source.id)
			}
			return
		}
		in.last.opener = opener
	}
	payload, err := in.last.opener.Open(in.join.Place(), pkt)
	if err != nil {
		in.join.Cancel()
		if errors.Is(err, seal.ErrReplay) {
			in.drop(dropReplay)
		} else {
			in.drop(dropAuth)
		}
		return
	}
	if in.link != nil {
		in.via.add(&in.link.link.in, len(d))
	}
	if source.confirms(h.Epoch) {
		in.confirmed(source.id, h.Epoch)
	}
	if h.Type == wire.Probe {
		in.probed(h, len(d), payload)
		in.join.Cancel()
		return
	}
	if why, ok := in.admit(h, payload); !ok {
		in.join.Cancel()
		in.drop(why)
	}
}

// admit gives the TUN a packet that was opened, if it may come from there and go here.
func (in *inward) admit(h wire.Header, payload []byte) (reason, bool) {
	if h.Segment != topo.DefaultSegment {
		return dropNotOurs, false
	}
	ip, ok := parseIP(payload)
	if !ok {
		return dropMalformed, false
	}
	source := in.last.source
	if ip.flow != in.flow {
		if _, granted := source.sources.Load().Lookup(h.Segment, ip.src); !granted {
			in.lied(source, ip.src)
			return dropSpoofed, false
		}
		if e, ok := in.v.table.Lookup(h.Segment, ip.dst); !ok || !e.Local {
			return dropNotOurs, false
		}
		in.flow = ip.flow
	}
	if !ip.decapsulate(in.tos & ecnMask) {
		return dropMarked, false
	}
	if !in.join.Add(ip.pkt, h.Partial) {
		return dropMalformed, false
	}
	in.in.add(&source.in, len(ip.pkt))
	return 0, true
}

// probed hands a probe to the loop. A probe came straight from its sender or it is not one.
func (in *inward) probed(h wire.Header, size int, payload []byte) {
	body, err := wire.ParseProbe(payload)
	if err != nil || h.Tagged {
		in.drop(dropMalformed)
		return
	}
	select {
	case in.probes <- heardProbe{peer: h.Source, from: in.from, at: in.now, size: size, lane: h.Lane, body: body}:
	default: // the loop is busy; one lost probe is no verdict
	}
}

// relay passes a packet on without opening it.
func (in *inward) relay(h wire.Header, d []byte) {
	link := in.link
	if link == nil || h.Type == wire.Probe {
		in.drop(dropNoTag)
		return
	}
	pkt, ok := link.ring.CheckTag(d)
	if !ok {
		in.drop(dropNoTag)
		return
	}
	in.via.add(&link.link.in, len(d))
	if !wire.TakeHop(pkt) {
		in.drop(dropHopLimit)
		return
	}
	next, _ := in.v.toward(h.Dest, link.id)
	if next == nil {
		in.drop(dropNoLink)
		return
	}
	addr := next.addr.Load()
	if addr == nil {
		in.drop(dropNoLink)
		return
	}
	if pkt, ok = next.ring.AppendTag(pkt); !ok {
		in.drop(dropNoKey)
		return
	}
	in.relays.add(len(pkt))
	// What is inside cannot be seen; the lane of the ends keeps their flows apart.
	lane := next.lane(uint32(h.Source)<<8 ^ uint32(h.Lane))
	next.link.out[lane].add(len(pkt))
	in.onward.Add(pkt, *addr, in.tos, lane)
}

// lied counts a packet whose sender lies about where it comes from.
func (f *forwarder) lied(source *face, src netip.Addr) {
	n := source.spoofed.Add(1)
	if n&(n-1) == 0 { // the 1st, 2nd, 4th, 8th ...: the loop hears of a flood a few dozen times
		f.spoofed(source.id, src, n)
	}
}
