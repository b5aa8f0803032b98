package fabric

import (
	"bytes"
	"maps"
	"testing"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/wire"
)

// harmless is the verdict on a bit that is the next hop's and not under the seal: at the end of the way it changes
// nothing of what is delivered.
const harmless = "harmless"

// verdict says under which reason r2 must drop a datagram in which one bit is flipped; own is whether it was for
// r2 itself, tagged whether a tag ends it, h what it was.
func verdict(h wire.Header, octet int, mask byte, size int, own, tagged bool) string {
	auth := "not-authentic"
	if !own {
		auth = "no-link-tag"
	}
	switch {
	case octet == 0 && mask >= 0x10: // family and version
		return "malformed"
	case octet == 0: // type
		switch t := wire.Type(byte(h.Type) ^ mask); {
		case t == wire.Session && tagged:
			return "no-link-tag"
		case t == 0, t == wire.Session, own:
			return "malformed"
		}
		return auth
	case octet == 1 && mask == 0x40, octet == 2 && mask&0x0c != 0, octet == 3 && mask >= wire.MaxLanes:
		return "malformed" // spare bits
	case octet == 1 && own: // hop limit, tag
		if mask == 0x80 {
			return auth
		}
		return harmless
	case octet == 3 && own, octet/2 == 3 && own: // lane, epoch
		return "no-keys"
	case octet == 11 && byte(h.Source)^mask == 0, octet == 15 && byte(h.Dest)^mask == 0:
		return "malformed"
	case octet == 11 && byte(h.Source)^mask == 3, octet == 11 && byte(h.Source)^mask == 1:
		return auth // another router, whose keys do not fit
	case octet/4 == 2:
		return "unknown-router"
	case octet == 15 && byte(h.Dest)^mask == 2:
		return "not-authentic" // ours now, and not sealed for us
	case octet/4 == 3:
		return "no-link-tag" // another's
	case own && tagged && octet >= size-wire.TagLen:
		return harmless // the tag spoke to the hop
	case own || octet < wire.HeaderLen:
		return auth
	case octet >= size-wire.TagLen-16:
		return "no-link-tag" // the seal's tag, which the link tag covers, and the link tag
	}
	return "" // a relay opens nothing, so that what is sealed is the egress's to judge
}

// Every single bit of a data packet, of one with a link tag and of a probe, at the router that it is for and at the
// relay on its way: dropped, at the one or the other, under the reason that says why.
func TestEveryBitOfADatagram(t *testing.T) {
	pkt := packet("10.1.0.5", "10.2.0.9", 90, "what is inside")
	far := packet("10.1.0.5", "10.3.0.9", 90, "what is inside")
	probe := wire.AppendProbe(nil, wire.ProbeBody{Seq: 1, Sent: 1})
	for _, tt := range []struct {
		name string
		make func(l *lineup) []byte
	}{
		{"data", func(l *lineup) []byte { p, _ := l.out(1, pkt); return p.Buf }},
		{"tagged, at the relay", func(l *lineup) []byte { p, _ := l.out(1, far); return p.Buf }},
		{"tagged, at the egress", func(l *lineup) []byte {
			p, _ := l.out(1, pkt)
			b, _ := l.f[1].view.Load().faces[2].ring.AppendTag(p.Buf)
			return b
		}},
		{"probe", func(l *lineup) []byte {
			s, _ := l.f[1].view.Load().faces[2].ring.SenderFor(0)
			b, err := s.Seal(nil, wire.Header{Type: wire.Probe, HopLimit: 1, Class: topo.ClassControl}, probe)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLineup(t)
			size := len(tt.make(l))
			for bit := range 8 * size {
				good := tt.make(l)
				h, err := wire.Parse(good)
				if err != nil {
					t.Fatal(err)
				}
				octet, mask := bit/8, byte(0x80)>>(bit%8)
				b := append([]byte(nil), good...)
				b[octet] ^= mask
				want := verdict(h, octet, mask, size, h.Dest == 2, h.Tagged)
				out := l.in(2, 1, b)
				probes := len(l.f[2].probes)
				switch {
				case want == "":
					l.wantDropped(t, 2)
					if len(out.toPeer) != 1 {
						t.Fatalf("octet %d, bit %#x: the relay passed on %d", octet, mask, len(out.toPeer))
					}
					out = l.in(3, 2, out.toPeer[0].Buf)
					l.wantDropped(t, 3, "not-authentic")
				case want == harmless && h.Type == wire.Probe:
					l.wantDropped(t, 2)
					if probes != 1 {
						t.Errorf("octet %d, bit %#x: %d probes", octet, mask, probes)
					}
					probes = 0
				case want == harmless:
					l.wantDropped(t, 2)
					if len(out.toTUN) != 1 || !bytes.Equal(out.toTUN[0], pkt) {
						t.Errorf("octet %d, bit %#x: delivered %x", octet, mask, out.toTUN)
					}
					out.toTUN = nil
				default:
					l.wantDropped(t, 2, want)
				}
				if want == harmless {
					l = newLineup(t) // whose window has not seen that counter
				}
				l.forget()
				if t.Failed() || len(out.toTUN)+len(out.toPeer)+probes > 0 {
					t.Fatalf("octet %d, bit %#x: delivered %d, passed on %d, probes %d; want %s", octet, mask, len(out.toTUN), len(out.toPeer), probes, want)
				}
			}
		})
	}
}

// A datagram cut anywhere, or with something behind it, alone and as one of a run.
func TestEveryLengthOfADatagram(t *testing.T) {
	for _, dest := range []string{"10.2.0.9", "10.3.0.9"} {
		l := newLineup(t)
		p, _ := l.out(1, packet("10.1.0.5", dest, 90, "x"))
		for n := 1; n <= len(p.Buf)+9; n++ {
			if n == len(p.Buf) {
				continue
			}
			b := append(append([]byte(nil), p.Buf...), make([]byte, 9)...)[:n]
			if out := l.in(2, 1, b); len(out.toTUN)+len(out.toPeer) > 0 {
				t.Errorf("to %s: %d octets of %d were taken", dest, n, len(p.Buf))
			}
		}
		got := l.dropped(2)
		short := uint64(wire.HeaderLen + wire.SealLen - 1)
		rest := uint64(len(p.Buf)+8) - short
		want := map[string]uint64{"malformed": short, "not-authentic": rest}
		if dest == "10.3.0.9" {
			want = map[string]uint64{"malformed": short + wire.TagLen, "no-link-tag": rest - wire.TagLen}
		}
		if !maps.Equal(got, want) {
			t.Errorf("to %s: dropped %v, want %v", dest, got, want)
		}
	}
}

// What one datagram of a run has does not touch its neighbours, which are joined around it.
func TestAFalseDatagramInARun(t *testing.T) {
	for at := range 20 {
		l := newLineup(t)
		m := newMix(uint64(at), "10.1.0.5", "10.2.0.9", "fd00:1::5", "fd00:2::9", 1400)
		p := m.super()
		for len(p.want) < 20 || len(p.in[0].Buf) > 60000 {
			p = m.super()
		}
		sent := l.outAll(1, p.in...)
		run := &sent[0]
		i := at % run.Count()
		d := run.Datagram(i)
		d[len(d)-1-at%16] ^= 4
		var got [][]byte
		for _, q := range sent {
			q.Addr = addrOf(1)
			got = append(got, l.inAll(2, q).toTUN...)
		}
		same(t, "the others", got, append(append([][]byte(nil), p.want[:i]...), p.want[i+1:]...))
		l.wantDropped(t, 2, "not-authentic")
	}
}
