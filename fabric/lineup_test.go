package fabric

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/fib"
	"github.com/galleon-net/galleon/fabric/seal"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/underlay"
)

// wires is a socket that keeps what is written to it.
type wires struct {
	sent     []underlay.Packet
	injected [][]byte
}

func (w *wires) ReadBatch(int, []underlay.Packet) (int, error) { panic("not read in these tests") }

func (w *wires) WriteBatch(p []underlay.Packet) error { w.sent = append(w.sent, p...); return nil }

func (w *wires) InjectQUIC(b []byte, _ netip.AddrPort) { w.injected = append(w.injected, b) }

// lineup is a line of routers r1 - r2 - r3 without loops, sessions or probes: only their data paths.
// r1 and r3 also have each other's keys, and no link.
type lineup struct {
	f     [4]*forwarder // by router
	wires [4]*wires
}

func addrOf(r topo.RouterID) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(r)}), 5201)
}

func prefix(s string) topo.SegPrefix {
	return topo.SegPrefix{Prefix: netip.MustParsePrefix(s)}
}

func newLineup(t testing.TB) *lineup {
	t.Helper()
	l := &lineup{}
	now := time.Unix(1_800_000_000, 0)
	next := map[topo.RouterID]map[topo.RouterID]topo.RouterID{1: {2: 2, 3: 2}, 2: {1: 1, 3: 3}, 3: {2: 2, 1: 2}}
	for self := topo.RouterID(1); self <= 3; self++ {
		l.wires[self] = &wires{}
		f := &forwarder{socket: l.wires[self], probes: make(chan heardProbe, 1)}
		f.confirmed = func(topo.RouterID, uint16) {}
		f.stranded = func(topo.RouterID) {}
		f.spoofed = func(topo.RouterID, netip.Addr, uint64) {}
		f.tooBig = func(netip.AddrPort, int) {}
		l.f[self] = f
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
			var secret seal.Secret
			p := topo.PairOf(self, r)
			secret[0], secret[1] = byte(p.A), byte(p.B)
			if err := fc.ring.Install(seal.Offer{Epoch: 1, Secret: secret, Suite: seal.AES128GCM, Lanes: lanes}, now); err != nil {
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
	return l.f[r].outward(l.f[r].view.Load(), pkt, make([]byte, 0, 2048), &icmpReplies{})
}

// in gives r a datagram and returns what it delivers and what it passes on.
func (l *lineup) in(r, from topo.RouterID, b []byte) *inward {
	in := &inward{}
	buf := append(make([]byte, 0, 2048), b...)
	l.f[r].handle(l.f[r].view.Load(), time.Unix(1_800_000_000, 0), underlay.Packet{Buf: buf, Addr: addrOf(from)}, in)
	return in
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
