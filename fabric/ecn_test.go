package fabric

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/underlay"
)

// dropped is what RFC 6040 wants of a packet that was marked though its ends do not know the mark.
const dropped = 0xff

// decapsulated is RFC 6040 figure 4: what leaves the tunnel, by what is inside and what arrived outside, each in
// the order of the code points 00, 01, 10, 11.
var decapsulated = [4][4]byte{
	notECT: {notECT, notECT, notECT, dropped},
	ect1:   {ect1, ect1, ect1, ce},
	ect0:   {ect0, ect1, ect0, ce},
	ce:     {ce, ce, ce, ce},
}

// withTOS sets the octet of DSCP and ECN of a packet, and the IPv4 checksum slowly.
func withTOS(pkt []byte, tos byte) []byte {
	pkt = append([]byte(nil), pkt...)
	if pkt[0]>>4 == 6 {
		pkt[0], pkt[1] = 0x60|tos>>4, pkt[1]&0xf|tos<<4
		return pkt
	}
	pkt[1], pkt[10], pkt[11] = tos, 0, 0
	binary.BigEndian.PutUint16(pkt[10:], ^slowSum(pkt[:int(pkt[0]&15)*4]))
	return pkt
}

// Every ECN field inside with every one that may arrive outside, after one hop and after two that both mark; the
// outer header leaves as the inner one is, and whatever the network makes of its DSCP, the inner one stays.
func TestECNOutOfTheTunnel(t *testing.T) {
	options := append(packet("10.1.0.5", "10.3.0.9", 200, "x"), 0, 0, 0, 0)
	copy(options[24:], options[20:200])
	copy(options[20:], []byte{1, 1, 1, 0})
	options[0], options[3] = 0x46, 204
	for name, pkt := range map[string][]byte{
		"IPv4": packet("10.1.0.5", "10.3.0.9", 200, "x"), "IPv6": packet("fd00:1::5", "fd00:3::9", 200, "x"), "IPv4 with options": options,
	} {
		l := newLineup(t)
		for dscp := range byte(64) {
			for inner := range byte(4) {
				for outer := range byte(4) {
					for second := range byte(4) {
						l.forget()
						sent := withTOS(pkt, dscp<<2|inner)
						p, ok := l.out(1, sent)
						if !ok || p.TOS != dscp<<2|inner {
							t.Fatalf("%s: left with %#x outside, %#x inside", name, p.TOS, dscp<<2|inner)
						}
						onward := l.inAll(2, underlay.Packet{Buf: p.Buf, Addr: addrOf(1), TOS: 13<<2 | outer}).toPeer
						if len(onward) != 1 || onward[0].TOS != 13<<2|outer {
							t.Fatalf("%s: the relay sent %d with %#x outside, got %#x", name, len(onward), onward[0].TOS, 13<<2|outer)
						}
						if second < outer && outer == ce {
							continue // no hop takes a mark away
						}
						got := l.inAll(3, underlay.Packet{Buf: onward[0].Buf, Addr: addrOf(2), TOS: second}).toTUN
						want := decapsulated[inner][second]
						switch {
						case want == dropped:
							l.wantDropped(t, 3, "congestion-mark")
							if len(got) != 0 {
								t.Errorf("%s: %d inside, %d outside: delivered", name, inner, second)
							}
						case len(got) != 1 || !bytes.Equal(got[0], withTOS(sent, dscp<<2|want)):
							t.Errorf("%s: %d inside, %d outside: got %x, want %d", name, inner, second, got, want)
						default:
							l.wantDropped(t, 3)
						}
					}
				}
			}
		}
	}
}

// A hop marks some datagrams of a run: those packets of the super-packet have the mark, and no others, though all
// were sealed as one and may be joined again.
func TestECNInsideARun(t *testing.T) {
	for _, inner := range []byte{notECT, ect0} {
		l := newLineup(t)
		var want [][]byte
		tr := train{h: &head{bytes: withTOS(packet("10.1.0.5", "10.2.0.9", 28, ""), inner)[:20]}, tcp: true, seg: 100}
		m := newMix(1, "10.1.0.5", "10.2.0.9", "fd00:1::5", "fd00:2::9", 1400)
		tr.template, tr.payload = m.tcp(0x10, 0, 0), m.octets(20*100)
		var in []tun.Packet
		for i := range 20 {
			pkt, _, _ := tr.packet(i, nil)
			in = append(in, tun.Packet{Buf: pkt})
			marked := i%5 == 2 || i > 15
			switch {
			case marked && inner == notECT:
			case marked:
				want = append(want, withTOS(pkt, ce))
			default:
				want = append(want, pkt)
			}
		}
		var arrive []underlay.Packet
		n := 0
		for _, p := range l.outAll(1, in...) {
			for i := range p.Count() {
				q := underlay.Packet{Buf: p.Datagram(i), Addr: addrOf(1), TOS: inner}
				if n%5 == 2 || n > 15 {
					q.TOS = ce
				}
				arrive = append(arrive, q)
				n++
			}
		}
		got := l.inAll(2, arrive...)
		same(t, fmt.Sprintf("ECN %d inside", inner), got.toTUN, want)
		if l.dropped(2)["congestion-mark"] != uint64(20-len(want)) || !noOffloads && !oldPeers && len(got.super) > 10 {
			t.Errorf("ECN %d inside: dropped %v, %d writes", inner, l.dropped(2), len(got.super))
		}
		l.wantDropped(t, topo.RouterID(1))
	}
}

// A header whose checksum was wrong before the tunnel is as wrong behind it, marked or not.
func TestAMarkDoesNotMendAChecksum(t *testing.T) {
	for outer := range byte(4) {
		for inner := ect1; inner <= ce; inner++ {
			l := newLineup(t)
			pkt := withTOS(packet("10.1.0.5", "10.2.0.9", 60, "x"), byte(inner))
			pkt[11] += 3
			p, _ := l.out(1, pkt)
			got := l.inAll(2, underlay.Packet{Buf: p.Buf, Addr: addrOf(1), TOS: outer}).toTUN
			if len(got) != 1 {
				t.Fatalf("%d delivered", len(got))
			}
			off := func(b []byte) uint16 { // how far from right
				sum := binary.BigEndian.Uint16(b[10:])
				right := binary.BigEndian.Uint16(withTOS(b, b[1])[10:])
				return (sum + ^right%0xffff) % 0xffff
			}
			if a, b := off(pkt), off(got[0]); a != b {
				t.Errorf("%d inside, %d outside: wrong by %d before and %d behind", inner, outer, a, b)
			}
		}
	}
}
