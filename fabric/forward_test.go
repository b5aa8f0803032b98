package fabric

import (
	"net/netip"
	"testing"

	"github.com/galleon-net/galleon/fabric/fib"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/underlay"
	"github.com/galleon-net/galleon/fabric/wire"
)

func TestDirectAndRelayed(t *testing.T) {
	for _, ver := range []struct{ src, dst1, dst2 string }{
		{"10.1.0.5", "10.2.0.9", "10.3.0.9"}, {"fd00:1::5", "fd00:2::9", "fd00:3::9"},
	} {
		l := newLineup(t)
		pkt := packet(ver.src, ver.dst1, 200, "hello")
		p, ok := l.out(1, pkt)
		if !ok || p.Addr != addrOf(2) || wire.IsTagged(p.Buf) {
			t.Fatalf("direct: sent %v to %v, tagged %v", ok, p.Addr, wire.IsTagged(p.Buf))
		}
		if got := l.in(2, 1, p.Buf).toTUN; len(got) != 1 || string(got[0]) != string(pkt) {
			t.Fatalf("direct: delivered %d packets", len(got))
		}

		pkt = packet(ver.src, ver.dst2, 200, "hello")
		p, ok = l.out(1, pkt)
		if !ok || p.Addr != addrOf(2) || !wire.IsTagged(p.Buf) {
			t.Fatalf("relayed: sent %v to %v, tagged %v", ok, p.Addr, wire.IsTagged(p.Buf))
		}
		passed := l.in(2, 1, p.Buf)
		if len(passed.toTUN) != 0 || len(passed.toPeer) != 1 || passed.toPeer[0].Addr != addrOf(3) {
			t.Fatalf("the relay delivered %d, passed on %d", len(passed.toTUN), len(passed.toPeer))
		}
		if h, _ := wire.Parse(passed.toPeer[0].Buf); h.HopLimit != wire.MaxHops-1 {
			t.Errorf("hop limit %d after one relay", h.HopLimit)
		}
		if got := l.in(3, 2, passed.toPeer[0].Buf).toTUN; len(got) != 1 || string(got[0]) != string(pkt) {
			t.Fatalf("relayed: delivered %d packets", len(got))
		}
		for r := topo.RouterID(1); r <= 3; r++ {
			l.wantDropped(t, r)
		}
	}
}

func TestRelayCarriesNothingForStrangers(t *testing.T) {
	l := newLineup(t)
	p, _ := l.out(1, packet("10.1.0.5", "10.3.0.9", 200, "x"))
	good := append([]byte(nil), p.Buf...)

	untagged := append([]byte(nil), good[:len(good)-wire.TagLen]...)
	wire.SetTagged(untagged, false)
	forged := append([]byte(nil), good...)
	forged[len(forged)-1] ^= 1
	moreHops := append([]byte(nil), good...)
	moreHops[1]++ // the hop limit is under the tag
	probe := append([]byte(nil), good...)
	probe[0] = probe[0]&^0x0f | byte(wire.Probe)
	for _, b := range [][]byte{untagged, forged, moreHops, probe} {
		if in := l.in(2, 1, b); len(in.toPeer)+len(in.toTUN) != 0 {
			t.Errorf("passed on %x", b[:wire.HeaderLen])
		}
	}
	if in := l.in(2, 9, good); len(in.toPeer) != 0 {
		t.Error("passed on a good packet from an address that is no neighbour's")
	}
	l.wantDropped(t, 2, "no-link-tag", "no-link-tag", "no-link-tag", "no-link-tag", "no-link-tag")

	// From a neighbour whose packet it is not: the right tag is the neighbour's own.
	if in := l.in(2, 3, good); len(in.toPeer) != 0 {
		t.Error("took r1's tag from r3")
	}
}

func TestHopLimitEndsLoops(t *testing.T) {
	l := newLineup(t)
	h := wire.Header{Type: wire.Data, HopLimit: 1, Source: 1, Dest: 3, Epoch: 1}
	b := append(h.Append(nil), make([]byte, 100)...)
	b, _ = l.f[1].view.Load().faces[2].ring.AppendTag(b)
	if in := l.in(2, 1, b); len(in.toPeer) != 0 {
		t.Error("passed on a packet at its hop limit")
	}
	l.wantDropped(t, 2, "hop-limit")
}

func TestInnerSourceIsHeldAgainstTheGrants(t *testing.T) {
	l := newLineup(t)
	v := *l.f[1].view.Load()
	v.mine = fib.Build([]fib.Entry{{Prefix: prefix("0.0.0.0/0"), Local: true}}, nil) // r1 is compromised
	l.f[1].view.Store(&v)
	told := 0
	l.f[2].spoofed = func(r topo.RouterID, src netip.Addr, n uint64) {
		if told++; r != 1 || src.String() != "10.3.0.7" {
			t.Errorf("told of %s, %s", r, src)
		}
	}
	for range 5 {
		p, ok := l.out(1, packet("10.3.0.7", "10.2.0.9", 100, "x"))
		if !ok {
			t.Fatal("not sent")
		}
		if in := l.in(2, 1, p.Buf); len(in.toTUN) != 0 {
			t.Fatal("delivered a packet with a source that its router was not granted")
		}
	}
	if told != 3 {
		t.Errorf("told %d times of 5 packets, want 3 (the 1st, 2nd and 4th)", told)
	}
	if got := l.dropped(2)["source-refused"]; got != 5 {
		t.Errorf("%d counted", got)
	}
	// Nor is r2 a way to what lies behind others, or in its own network beyond its prefix.
	v.table = fib.Build([]fib.Entry{{Prefix: prefix("0.0.0.0/0"), Egress: 2}}, map[topo.RouterID]fib.Hop{2: {Next: 2, MTU: 1400}})
	p, _ := l.out(1, packet("10.1.0.7", "192.168.1.1", 100, "x"))
	if in := l.in(2, 1, p.Buf); len(in.toTUN)+len(in.toPeer) != 0 {
		t.Error("delivered a packet to a destination that is not r2's")
	}
}

func TestOwnHostsAreHeldToo(t *testing.T) {
	l := newLineup(t)
	for _, b := range [][]byte{
		packet("10.9.0.5", "10.2.0.9", 100, "x"),  // not our prefix
		packet("10.1.0.5", "10.77.0.9", 100, "x"), // nobody's
		packet("10.1.0.5", "10.1.0.9", 100, "x"),  // our own: the kernel should not have
		{0x45, 0, 0},
		packet("fe80::1", "ff02::2", 60, ""), // a router solicitation, as every Linux interface sends
	} {
		if _, ok := l.out(1, b); ok {
			t.Errorf("sent %x", b)
		}
	}
	l.wantDropped(t, 1, "source-not-ours", "no-route", "no-route", "malformed", "link-local")
}

func TestReplayedAndAltered(t *testing.T) {
	l := newLineup(t)
	p, _ := l.out(1, packet("10.1.0.5", "10.2.0.9", 100, "x"))
	if in := l.in(2, 1, p.Buf); len(in.toTUN) != 1 {
		t.Fatal("not delivered")
	}
	l.in(2, 1, p.Buf)
	p, _ = l.out(1, packet("10.1.0.5", "10.2.0.9", 100, "x"))
	p.Buf[40] ^= 1
	l.in(2, 1, p.Buf)
	unknown := append([]byte(nil), p.Buf...)
	unknown[11] = 77 // source r77
	l.in(2, 1, unknown)
	l.wantDropped(t, 2, "replayed", "not-authentic", "unknown-router")
}

// The switch to the backup is one atomic load away from the verdict: no table is built, nobody is dialed.
func TestBackupCarriesAtOnce(t *testing.T) {
	l := newLineup(t)
	v := *l.f[1].view.Load()
	a := addrOf(3)
	v.faces[3].addr.Store(&a)
	v.faces[3].usable.Store(true)
	v.table = fib.Build(v.table.Entries(), map[topo.RouterID]fib.Hop{2: {Next: 2, MTU: 1400}, 3: {Next: 3, Backup: 2, MTU: 1400}})
	l.f[1].view.Store(&v)

	pkt := packet("10.1.0.5", "10.3.0.9", 100, "x")
	if p, ok := l.out(1, pkt); !ok || p.Addr != addrOf(3) || wire.IsTagged(p.Buf) {
		t.Fatalf("up: to %v", p.Addr)
	}
	v.faces[3].usable.Store(false)
	if p, ok := l.out(1, pkt); !ok || p.Addr != addrOf(2) || !wire.IsTagged(p.Buf) {
		t.Fatalf("down: to %v", p.Addr)
	}
	// With both down, what is our own tries the direct link: it would be lost otherwise.
	v.faces[2].usable.Store(false)
	if p, ok := l.out(1, pkt); !ok || p.Addr != addrOf(3) || wire.IsTagged(p.Buf) {
		t.Fatalf("both down: to %v", p.Addr)
	}
	v.faces[3].addr.Store(nil)
	if _, ok := l.out(1, pkt); ok {
		t.Fatal("sent where there is no link")
	}
	l.wantDropped(t, 1, "no-usable-link")
}

func TestARelayNeverSendsBack(t *testing.T) {
	l := newLineup(t)
	v := *l.f[2].view.Load()
	v.table = fib.Build(v.table.Entries(), map[topo.RouterID]fib.Hop{1: {Next: 1, MTU: 1400}, 3: {Next: 1, MTU: 1400}}) // r2 thinks that r3 is behind r1
	l.f[2].view.Store(&v)
	p, _ := l.out(1, packet("10.1.0.5", "10.3.0.9", 100, "x"))
	if in := l.in(2, 1, p.Buf); len(in.toPeer) != 0 {
		t.Error("sent a packet back to where it came from")
	}
	l.wantDropped(t, 2, "no-usable-link")
}

func TestSessionPacketsAreCarried(t *testing.T) {
	l := newLineup(t)
	quic := append([]byte{0xc0}, make([]byte, 1199)...)
	if err := l.f[1].carry(underlay.VirtualAddr(3), quic); err != nil {
		t.Fatal(err)
	}
	p := l.wires[1].sent[0]
	if p.Addr != addrOf(2) {
		t.Fatalf("sent to %v", p.Addr)
	}
	passed := l.in(2, 1, p.Buf)
	if len(passed.toPeer) != 1 {
		t.Fatal("the relay dropped it")
	}
	l.in(3, 2, passed.toPeer[0].Buf)
	if got := l.wires[3].injected; len(got) != 1 || string(got[0]) != string(quic) {
		t.Fatalf("QUIC got %d packets", len(got))
	}
	// Without a tag it is not even a packet, also at its destination.
	bare := append([]byte(nil), passed.toPeer[0].Buf...)
	bare = bare[:len(bare)-wire.TagLen]
	wire.SetTagged(bare, false)
	l.in(3, 2, bare)
	l.wantDropped(t, 3, "malformed")
	if err := l.f[1].carry(underlay.VirtualAddr(77), quic); err == nil {
		t.Error("carried to a router that nobody knows")
	}
}

// FuzzHandle throws datagrams at a router from a neighbour's address.
func FuzzHandle(f *testing.F) {
	l := newLineup(f)
	p, _ := l.out(1, packet("10.1.0.5", "10.2.0.9", 100, "x"))
	f.Add(append([]byte(nil), p.Buf...))
	p, _ = l.out(1, packet("10.1.0.5", "10.3.0.9", 100, "x"))
	f.Add(append([]byte(nil), p.Buf...))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := newLineup(t)
		in := l.in(2, 1, b)
		for _, p := range in.toPeer {
			if p.Addr != addrOf(3) && p.Addr != addrOf(1) {
				t.Fatalf("sent to %v", p.Addr)
			}
		}
	})
}
