package fabric

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/underlay"
)

// kernels are what a device may have, from everything to nothing.
var kernels = []tun.Offloads{{Checksum: true, TSO: true, USO: true}, {Checksum: true, TSO: true}, {Checksum: true}, {}}

// Whatever a host sends comes out of the tunnel octet by octet, each checksum as right or wrong as it was, nothing
// lost, doubled or out of order: with every set of offloads at either end, directly and through a relay, between
// routers that deliver partial checksums and ones that do not, however the underlay cuts and joins runs.
func TestRandomPacketsArriveAsTheyLeft(t *testing.T) {
	for a, ka := range kernels {
		for b, kb := range kernels {
			t.Run(fmt.Sprintf("%d to %d", a, b), func(t *testing.T) {
				for i := range uint64(8) {
					carryRandom(t, lineupOf{devices: [4]tun.Offloads{{}, ka, {}, kb}, lanes: 1 + int(i)/4*3, old: i&1 > 0}, i&2 > 0, 100*uint64(4*a+b)+i, 60)
				}
			})
		}
	}
}

func TestRandomPacketsOfAnySeed(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var of lineupOf
		of.devices[1] = rapid.SampledFrom(kernels).Draw(r, "sender")
		of.devices[3] = rapid.SampledFrom(kernels).Draw(r, "receiver")
		of.lanes, of.old = rapid.IntRange(1, 4).Draw(r, "lanes"), rapid.Bool().Draw(r, "old")
		carryRandom(t, of, rapid.Bool().Draw(r, "relay"), rapid.Uint64().Draw(r, "seed"), 30)
		if t.Failed() {
			r.FailNow()
		}
	})
}

// carryRandom sends parcels from r1 to r3, through r2 or directly.
func carryRandom(t *testing.T, of lineupOf, relay bool, seed uint64, parcels int) {
	t.Helper()
	l := of.build(t)
	if !relay {
		l.neighbours(1, 3)
	}
	m := newMix(seed, "10.1.0.5", "10.3.0.9", "fd00:1::5", "fd00:3::9", 1400)
	arena, pkts := make([]byte, readArena), make([]tun.Packet, batch)
	for range parcels {
		p := m.next()
		var sent []underlay.Packet
		for in := p.in; len(in) > 0; {
			n := min(len(in), 1+m.rng.IntN(40))
			for _, q := range in[:n] {
				if !l.tuns[1].InjectPacket(q) {
					t.Fatalf("seed %d, %s: the device took no packet of %d octets, %+v", seed, p.kind, len(q.Buf), q.Meta)
				}
			}
			in = in[n:]
			sent = append(sent, l.pump(t, 1, arena, pkts)...)
		}
		from := topo.RouterID(1)
		if relay {
			for i := range sent {
				sent[i].Addr = addrOf(1)
			}
			sent = l.inAll(2, regroup(m.rng, sent)...).toPeer
			from = 2
		}
		for i := range sent {
			sent[i].Addr = addrOf(from)
		}
		var got [][]byte
		for groups := regroup(m.rng, sent); len(groups) > 0; {
			n := 1 + m.rng.IntN(len(groups))
			got = append(got, l.inAll(3, groups[:n]...).toTUN...)
			groups = groups[n:]
		}
		if !same(t, fmt.Sprintf("%+v, relay %v, seed %d, %s", of, relay, seed, p.kind), got, p.want) {
			t.Fatalf("dropped %v, %v, %v", l.dropped(1), l.dropped(2), l.dropped(3))
		}
	}
	for r := topo.RouterID(1); r <= 3; r++ {
		l.wantDropped(t, r)
	}
}

// same holds what came against what was to come.
func same(t *testing.T, what string, got, want [][]byte) bool {
	t.Helper()
	for i := range want {
		if i >= len(got) {
			t.Errorf("%s: %d packets of %d came", what, len(got), len(want))
			return false
		}
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("%s: packet %d of %d, octet %d\n got %d octets %x\nwant %d octets %x", what, i, len(want), differ(got[i], want[i]),
				len(got[i]), got[i][:min(len(got[i]), 120)], len(want[i]), want[i][:min(len(want[i]), 120)])
			return false
		}
	}
	if len(got) > len(want) {
		t.Errorf("%s: %d packets too many", what, len(got)-len(want))
	}
	return len(got) == len(want)
}

// differ is the first octet that is not the same.
func differ(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// regroup is what a network does with runs: it takes them apart and joins what follows each other and is of one
// size, as much of it as it likes.
func regroup(r *rand.Rand, in []underlay.Packet) (out []underlay.Packet) {
	whole := r.IntN(3) == 0
	for _, p := range in {
		for i := range p.Count() {
			d := append([]byte(nil), p.Datagram(i)...)
			if n := len(out) - 1; n >= 0 && (whole || r.IntN(10) > 0) {
				q := &out[n]
				size := q.Seg
				if size == 0 {
					size = len(q.Buf)
				}
				if len(q.Buf)%size == 0 && len(d) <= size && q.TOS == p.TOS && q.Count() < underlay.MaxRun && len(q.Buf)+len(d) <= underlay.MaxRunOctets {
					q.Buf, q.Seg = append(q.Buf, d...), size
					continue
				}
			}
			out = append(out, underlay.Packet{Buf: d, Addr: p.Addr, TOS: p.TOS})
		}
	}
	return out
}
