package tuntest

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/galleon-net/galleon/fabric/offload"
	"github.com/galleon-net/galleon/fabric/tun"
)

// The clauses about offloads. What goes in is known packet by packet, made without cutting; what comes out
// is lowered to packets and compared, octet by octet, checksums included. So they say the same of a device
// that has all offloads and of one that has none.

// traffic is what goes through a device in one direction.
type traffic struct {
	name string
	p    tun.Packet
	want [][]byte
}

// trafficOf has super-packets of every kind, with short last segments and without, and single packets with
// partial and whole checksums.
func trafficOf(mtu int, from4, to4, from6, to6 netip.AddrPort) (all []traffic) {
	rng := rand.New(rand.NewPCG(1, 2))
	fill := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	for _, way := range []struct {
		name     string
		from, to netip.AddrPort
	}{{"4", from4, to4}, {"6", from6, to6}} {
		for _, tcp := range []bool{true, false} {
			name, head := "UDP"+way.name, 48
			if tcp {
				name, head = "TCP"+way.name, 72
			}
			full := mtu - head
			for _, c := range []struct {
				name         string
				payload, seg int
			}{
				{"full segments", 10 * full, full},
				{"last of one octet", 3*full + 1, full},
				{"odd segments", 7*333 + 100, 333},
				{"as long as can be", 65000, full},
				{"two", full + 500, full},
			} {
				if p, want := Super(way.from, way.to, tcp, fill(c.payload), c.seg); true {
					all = append(all, traffic{name + " " + c.name, p, want})
				}
			}
			for _, n := range []int{0, 1, 99, full} {
				pkt := UDPPacket(way.from, way.to, fill(n))
				if tcp {
					pkt = TCPPacket(way.from, way.to, 1000, 16, fill(n))
				}
				all = append(all,
					traffic{name + " alone", tun.Packet{Buf: pkt}, [][]byte{pkt}},
					traffic{name + " alone, partial", Partial(pkt), [][]byte{pkt}})
			}
		}
	}
	return all
}

// SuperClauses runs them alone, on a device that was taken over.
func SuperClauses(t *testing.T, r Rig) {
	checkOffloads(t, r)
	checkSuperRead(t, r)
	checkSuperWrite(t, r)
}

func checkOffloads(t *testing.T, r Rig) {
	if got := r.Device.Offloads(); got != r.Offloads {
		t.Errorf("offloads %+v, want %+v", got, r.Offloads)
	}
	s, err := r.Device.Stats()
	if err != nil || s.Offloads != r.Offloads || s.QueueLen < 1 {
		t.Errorf("stats %+v, %v", s, err)
	}
}

func checkSuperRead(t *testing.T, r Rig) {
	arena, pkts := room(8)
	before, _ := r.Device.Stats()
	reads := uint64(0)
	for _, c := range trafficOf(r.MTU, r.Host4, r.Peer4, r.Host6, r.Peer6) {
		if err := r.SendPacket(c.p); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		whole := 0
		for want := c.want; len(want) > 0; {
			n, err := r.Device.ReadBatch(arena, pkts)
			if err != nil {
				t.Fatal(err)
			}
			reads += uint64(n)
			for _, p := range pkts[:n] {
				if !similar(p.Buf, c.p.Buf) {
					continue
				}
				if asks(p, r.Offloads) {
					t.Errorf("%s: read %+v, which the device has no offload for", c.name, p.Meta)
				}
				want = compare(t, c.name, p, want)
				whole++
			}
		}
		if !asks(c.p, r.Offloads) && whole != 1 {
			t.Errorf("%s: read in %d pieces, though the device has an offload for it", c.name, whole)
		}
	}
	if after, err := r.Device.Stats(); err != nil || after.Read-before.Read < reads {
		t.Errorf("read %d packets, the device counts %d (%v)", reads, after.Read-before.Read, err)
	}
}

func checkSuperWrite(t *testing.T, r Rig) {
	for _, c := range trafficOf(r.MTU, r.Peer4, r.Host4, r.Peer6, r.Host6) {
		p := c.p
		p.Buf = append([]byte(nil), p.Buf...)
		if n, err := r.Device.WriteBatch([]tun.Packet{p}); n != 1 || err != nil {
			t.Fatalf("%s: wrote %d, %v", c.name, n, err)
		}
		whole := 0
		for want := c.want; len(want) > 0; {
			got, err := r.ReceivePacket(wait)
			if err != nil {
				t.Fatalf("%s: %d packets left: %v", c.name, len(want), err)
			}
			if similar(got.Buf, c.p.Buf) {
				want = compare(t, c.name, got, want)
				whole++
			}
		}
		if !asks(c.p, r.Offloads) && whole != 1 {
			t.Errorf("%s: reached the host in %d pieces, though the device has an offload for it", c.name, whole)
		}
	}
}

// checkNonsense writes packets that do not fit what is said of them.
func checkNonsense(t *testing.T, r Rig) {
	rng := rand.New(rand.NewPCG(3, 4))
	some := trafficOf(r.MTU, r.Peer4, r.Host4, r.Peer6, r.Host6)
	number := func() int { return []int{-1, 0, 1, 8, 20, 40, 48, 60, 1400, 65535, 1 << 20}[rng.IntN(11)] }
	for range 2000 {
		p := some[rng.IntN(len(some))].p
		p.Buf = append([]byte(nil), p.Buf[:rng.IntN(len(p.Buf)+1)]...)
		if rng.IntN(2) == 0 {
			p.GSO, p.Partial = offload.GSO(rng.IntN(6)), rng.IntN(2) == 0
		}
		for _, f := range []*int{&p.Seg, &p.Head, &p.Start, &p.Offset} {
			if rng.IntN(3) == 0 {
				*f = number()
			}
		}
		r.Device.WriteBatch([]tun.Packet{p}) // what it says does not matter, that it returns does
	}
	for { // the host has some of it in its queue, which may be full
		n, err := r.Device.WriteBatch(Plain(UDPPacket(r.Peer4, r.Host4, []byte("still here"))))
		if n != 1 || err != nil {
			t.Fatalf("then wrote %d, %v", n, err)
		}
		_, got, err := r.Receive(wait)
		if err != nil {
			t.Fatalf("then received: %v", err)
		}
		if string(got) == "still here" {
			return
		}
	}
}

// asks says whether a packet needs more than some offloads.
func asks(p tun.Packet, has tun.Offloads) bool {
	return p.Partial && !has.Checksum || p.GSO == offload.UDP && !has.USO ||
		(p.GSO == offload.TCP4 || p.GSO == offload.TCP6) && !has.TSO
}

// similar packets have the same addresses and ports: a kernel also speaks for itself.
func similar(a, b []byte) bool {
	key := func(p []byte) []byte {
		if len(p) >= 44 && p[0]>>4 == 6 {
			return append([]byte{p[6]}, p[8:44]...)
		}
		if len(p) >= 24 {
			return append([]byte{p[9]}, p[12:24]...)
		}
		return nil
	}
	return bytes.Equal(key(a), key(b))
}

// compare lowers a packet and takes what comes of it off want.
func compare(t *testing.T, name string, p tun.Packet, want [][]byte) [][]byte {
	t.Helper()
	var l tun.Lowering
	if err := l.Init(p, tun.Offloads{}); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for one, ok := l.Next(); ok; one, ok = l.Next() {
		if len(want) == 0 {
			t.Fatalf("%s: a packet too many, of %d octets", name, len(one.Buf))
		}
		if !bytes.Equal(one.Buf, want[0]) {
			t.Fatalf("%s: with %d packets left\n got %d octets %x\nwant %d octets %x", name, len(want),
				len(one.Buf), one.Buf[:min(len(one.Buf), 80)], len(want[0]), want[0][:min(len(want[0]), 80)])
		}
		want = want[1:]
	}
	return want
}
