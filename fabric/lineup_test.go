package fabric

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/fib"
	"github.com/galleon-net/galleon/fabric/health"
	"github.com/galleon-net/galleon/fabric/seal"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/tun/tuntest"
	"github.com/galleon-net/galleon/fabric/underlay"
)

// wires is a socket that keeps copies of what is written to it.
type wires struct {
	sent     []underlay.Packet
	injected [][]byte
}

func (w *wires) ReadBatch(int, []underlay.Packet) (int, error) { panic("not read in these tests") }

func (w *wires) WriteBatch(pkts []underlay.Packet) error {
	for _, p := range pkts {
		p.Buf = append([]byte(nil), p.Buf...)
		w.sent = append(w.sent, p)
	}
	return nil
}

func (w *wires) InjectQUIC(b []byte, _ netip.AddrPort) { w.injected = append(w.injected, b) }

// lineup is a line of routers r1 - r2 - r3 without loops, sessions or probes: only their data paths.
// r1 and r3 also have each other's keys, and no link.
type lineup struct {
	f     [4]*forwarder // by router
	wires [4]*wires
	tuns  [4]*tuntest.Fake
	outw  [4]*outward
	inw   [4]*inward
}

func addrOf(r topo.RouterID) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(r)}), 5201)
}

func prefix(s string) topo.SegPrefix {
	return topo.SegPrefix{Prefix: netip.MustParsePrefix(s)}
}

// lineupOf is how a lineup differs from what routers are today.
type lineupOf struct {
	devices [4]tun.Offloads // by router
	lanes   int             // of each pair
	old     bool            // nobody delivers partial checksums
}

// today is what newLineup makes.
func today() lineupOf {
	o := offloadsHere()
	return lineupOf{devices: [4]tun.Offloads{{}, o, o, o}, lanes: 1, old: oldPeers}
}

func newLineup(t testing.TB) *lineup {
	t.Helper()
	return today().build(t)
}

func (of lineupOf) build(t testing.TB) *lineup {
	t.Helper()
	l := &lineup{}
	now := time.Unix(1_800_000_000, 0)
	next := map[topo.RouterID]map[topo.RouterID]topo.RouterID{1: {2: 2, 3: 2}, 2: {1: 1, 3: 3}, 3: {2: 2, 1: 2}}
	for self := topo.RouterID(1); self <= 3; self++ {
		l.wires[self] = &wires{}
		l.tuns[self] = tuntest.NewWith("galleon0", 1400, of.devices[self])
		f := &forwarder{socket: l.wires[self], device: l.tuns[self], probes: make(chan heardProbe, 1)}
		f.confirmed = func(topo.RouterID, uint16) {}
		f.stranded = func(topo.RouterID) {}
		f.spoofed = func(topo.RouterID, netip.Addr, uint64) {}
		f.tooBig = func(netip.AddrPort, int) {}
		l.f[self], l.outw[self], l.inw[self] = f, newOutward(f), newInward(f)
		v := &view{self: self, mtu: 1400, faces: map[topo.RouterID]*face{}, byAddr: map[netip.AddrPort]*face{}, icmp: map[topo.SegmentID]icmpSrc{}}
		entries := []fib.Entry{}
		hops := map[topo.RouterID]fib.Hop{}
		for r := topo.RouterID(1); r <= 3; r++ {
			own := fib.Entry{Prefix: prefix(fmt.Sprintf("10.%d.0.0/16", r)), Egress: r}
			own6 := fib.Entry{Prefix: prefix(fmt.Sprintf("fd00:%d::/32", r)), Egress: r}
			if r == self {
				own.Egress, own.Local, own6.Egress, own6.Local = 0, true, 0, true
				v.mine = fib.Build([]fib.Entry{own, own6}, nil)
				entries = append(entries, own, own6)
				continue
			}
			entries = append(entries, own, own6)
			hops[r] = fib.Hop{Next: next[self][r], MTU: 1400}
			fc := &face{id: r, ring: seal.NewKeyring(self, r)}
			fc.partial.Store(!of.old)
			var lanes [health.Slots]uint8
			for i := range lanes {
				lanes[i] = uint8(i % of.lanes)
			}
			fc.lanes.store(lanes)
			var secret seal.Secret
			p := topo.PairOf(self, r)
			secret[0], secret[1] = byte(p.A), byte(p.B)
			if err := fc.ring.Install(seal.Offer{Epoch: 1, Secret: secret, Suite: seal.AES128GCM, Lanes: of.lanes}, now); err != nil {
				t.Fatal(err)
			}
			if err := fc.ring.Confirm(1, now); err != nil {
				t.Fatal(err)
			}
			fc.sources.Store(fib.Build([]fib.Entry{{Prefix: own.Prefix, Local: true}, {Prefix: own6.Prefix, Local: true}}, nil))
			if next[self][r] == r {
				a := addrOf(r)
				fc.addr.Store(&a)
				fc.usable.Store(true)
				v.byAddr[a] = fc
			}
			v.faces[r] = fc
		}
		v.table = fib.Build(entries, hops)
		f.view.Store(v)
	}
	return l
}

// out sends one packet into r's TUN and returns what left for the underlay.
func (l *lineup) out(r topo.RouterID, pkt []byte) (underlay.Packet, bool) {
	sent := l.outAll(r, tun.Packet{Buf: pkt})
	if len(sent) == 0 {
		return underlay.Packet{}, false
	}
	return sent[0], true
}

// outAll sends packets and super-packets into r's TUN in one round.
func (l *lineup) outAll(r topo.RouterID, pkts ...tun.Packet) []underlay.Packet {
	l.wires[r].sent = nil
	o := l.outw[r]
	o.begin()
	for _, p := range pkts {
		o.packet(tun.Packet{Buf: append([]byte(nil), p.Buf...), Meta: p.Meta})
	}
	o.flush()
	return l.wires[r].sent
}

// pump is a round of r's ingress with what is in its device, as many rounds as it takes.
func (l *lineup) pump(t testing.TB, r topo.RouterID, arena []byte, pkts []tun.Packet) []underlay.Packet {
	t.Helper()
	l.wires[r].sent = nil
	for {
		if l.tuns[r].Waiting() == 0 {
			return l.wires[r].sent
		}
		n, err := l.tuns[r].ReadBatch(arena, pkts)
		if err != nil {
			t.Fatal(err)
		}
		o := l.outw[r]
		o.begin()
		for _, p := range pkts[:n] {
			o.packet(p)
		}
		o.flush()
	}
}

// neighbours gives two routers a link.
func (l *lineup) neighbours(a, b topo.RouterID) {
	for range 2 {
		v := *l.f[a].view.Load()
		addr := addrOf(b)
		v.faces[b].addr.Store(&addr)
		v.faces[b].usable.Store(true)
		v.byAddr[addr] = v.faces[b]
		hops := map[topo.RouterID]fib.Hop{b: {Next: b, MTU: 1400}}
		for r := topo.RouterID(1); r <= 3; r++ {
			if h, ok := v.table.Hop(r); ok && r != b {
				hops[r] = h
			}
		}
		v.table = fib.Build(v.table.Entries(), hops)
		l.f[a].view.Store(&v)
		a, b = b, a
	}
}

// passed is what became of datagrams.
type passed struct {
	toTUN  [][]byte     // cut and completed
	super  []tun.Packet // as they were written
	toPeer []underlay.Packet
}

// in gives r a datagram and returns what it delivers and what it passes on.
func (l *lineup) in(r, from topo.RouterID, b []byte) passed {
	return l.inAll(r, underlay.Packet{Buf: b, Addr: addrOf(from)})
}

// inAll gives r datagrams and runs in one round.
func (l *lineup) inAll(r topo.RouterID, pkts ...underlay.Packet) (out passed) {
	l.wires[r].sent = nil
	in := l.inw[r]
	in.begin(time.Unix(1_800_000_000, 0))
	for _, p := range pkts {
		p.Buf = append(make([]byte, 0, len(p.Buf)), p.Buf...)
		if err := in.run(p); err != nil {
			panic(err)
		}
	}
	if err := in.flush(); err != nil {
		panic(err)
	}
	for {
		select {
		case p := <-l.tuns[r].Delivered():
			out.toTUN = append(out.toTUN, p)
		case p := <-l.tuns[r].Whole():
			out.super = append(out.super, p)
		default:
			out.toPeer = l.wires[r].sent
			return out
		}
	}
}

// dropped says under which reasons r dropped packets so far.
func (l *lineup) dropped(r topo.RouterID) map[string]uint64 {
	d := map[string]uint64{}
	for i, name := range reasonNames {
		if n := l.f[r].drops[i].Load(); n > 0 {
			d[name] = n
		}
	}
	return d
}

// forget makes the counts of drops zero.
func (l *lineup) forget() {
	for _, f := range l.f[1:] {
		for i := range f.drops {
			f.drops[i].Store(0)
		}
	}
}

func (l *lineup) wantDropped(t *testing.T, r topo.RouterID, reasons ...string) {
	t.Helper()
	want := map[string]uint64{}
	for _, n := range reasons {
		want[n]++
	}
	if got := l.dropped(r); !maps.Equal(got, want) {
		t.Errorf("%s dropped %v, want %v", r, got, want)
	}
}
