package fabric

import (
	"net/netip"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/offload"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/underlay"
)

// sink is a socket, and a device, that takes everything and keeps the last batch, not copied.
type sink struct {
	tun.Device
	sent []underlay.Packet
}

func (s *sink) ReadBatch(int, []underlay.Packet) (int, error) { panic("not read in these tests") }
func (s *sink) WriteBatch(p []underlay.Packet) error          { s.sent = append(s.sent[:0], p...); return nil }
func (s *sink) InjectQUIC([]byte, netip.AddrPort)             {}

type deviceSink struct {
	tun.Device
	n, octets int
	lacks     bool // all offloads
}

func (d *deviceSink) WriteBatch(p []tun.Packet) (int, error) {
	d.n += len(p)
	for _, q := range p {
		d.octets += len(q.Buf)
	}
	return len(p), nil
}
func (d *deviceSink) Offloads() tun.Offloads {
	if d.lacks {
		return tun.Offloads{}
	}
	return kernels[0]
}

// pipe is the data path from r1 to r2 without system calls.
type pipe struct {
	l    *lineup
	wire sink
	tun  deviceSink
	o    *outward
	in   *inward
}

func newPipe(tb testing.TB) *pipe { return newPipeOf(tb, today()) }

func newPipeOf(tb testing.TB, of lineupOf) *pipe {
	p := &pipe{l: of.build(tb)}
	p.tun.lacks = of.devices[2] == tun.Offloads{}
	p.l.f[1].socket, p.l.f[2].socket, p.l.f[1].device, p.l.f[2].device = &p.wire, &p.wire, &p.tun, &p.tun
	p.o, p.in = newOutward(p.l.f[1]), newInward(p.l.f[2])
	return p
}

func (p *pipe) round(pkts []tun.Packet) error {
	p.o.begin()
	for _, q := range pkts {
		p.o.packet(q)
	}
	p.o.flush()
	if err := p.o.deliver(p.o.reply.pkts); err != nil {
		return err
	}
	p.in.begin(time.Unix(1_800_000_000, 0))
	for _, q := range p.wire.sent {
		q.Addr = addrOf(1)
		if err := p.in.run(q); err != nil {
			return err
		}
	}
	return p.in.flush()
}

// loads are what a round may consist of, by name, each of 44 packets on the wire but for the last.
func loads() map[string]func() []tun.Packet {
	super := func(src, dst string) []tun.Packet {
		m := offload.Meta{GSO: offload.TCP4, Seg: 1340, Head: 40, Partial: true, Start: 20, Offset: 16}
		if src[0] == 'f' {
			m = offload.Meta{GSO: offload.TCP6, Seg: 1340, Head: 60, Partial: true, Start: 40, Offset: 16}
		}
		b := packet(src, dst, m.Head+44*m.Seg, "")
		if m.Start == 20 {
			b[9] = protoTCP
			b[10], b[11] = 0, 0
			sum := ^offload.Sum(0, b[:20])
			b[10], b[11] = byte(sum>>8), byte(sum)
		} else {
			b[6] = protoTCP
		}
		b[m.Start+12], b[m.Start+13] = 5<<4, 0x10
		return []tun.Packet{{Buf: b, Meta: m}}
	}
	singles := func(src, dst string, size int) []tun.Packet {
		var out []tun.Packet
		for i := range 44 {
			b := packet(src, dst, size, "x")
			m := offload.Meta{Partial: true, Start: 20, Offset: 6}
			if src[0] == 'f' {
				m.Start = 40
			} else {
				b[5] = byte(i)
				b[10], b[11] = 0, 0
				sum := ^offload.Sum(0, b[:20])
				b[10], b[11] = byte(sum>>8), byte(sum)
			}
			b[m.Start+1] = byte(i / 11) // four flows
			b[m.Start+6] = 1            // there is a checksum
			out = append(out, tun.Packet{Buf: b, Meta: m})
		}
		return out
	}
	return map[string]func() []tun.Packet{
		"TCP super-packet":  func() []tun.Packet { return super("10.1.0.5", "10.2.0.9") },
		"TCP6 super-packet": func() []tun.Packet { return super("fd00:1::5", "fd00:2::9") },
		"TCP relayed":       func() []tun.Packet { return super("10.1.0.5", "10.3.0.9") },
		"TCP6 relayed":      func() []tun.Packet { return super("fd00:1::5", "fd00:3::9") },
		"UDP 1400":          func() []tun.Packet { return singles("10.1.0.5", "10.2.0.9", 1400) },
		"UDP6 1400":         func() []tun.Packet { return singles("fd00:1::5", "fd00:2::9", 1400) },
		"UDP 64":            func() []tun.Packet { return singles("10.1.0.5", "10.2.0.9", 64) },
		"UDP 64 relayed":    func() []tun.Packet { return singles("10.1.0.5", "10.3.0.9", 64) },
		"too big": func() []tun.Packet {
			return append(singles("10.1.0.5", "10.2.0.9", 1401), singles("fd00:1::5", "fd00:2::9", 1401)[:20]...)
		},
	}
}

// What a packet costs in the data path without its system calls, on one core.
func BenchmarkDataPath(b *testing.B) {
	for name, load := range loads() {
		b.Run(name, func(b *testing.B) {
			p, pkts := newPipe(b), load()
			header := append([]byte(nil), pkts[0].Buf[:60]...)
			b.ReportAllocs()
			for b.Loop() {
				copy(pkts[0].Buf, header)
				if err := p.round(pkts); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/44, "ns/packet")
		})
	}
}

// Nothing is allocated for a packet: of a super-packet or alone, opened, relayed or answered, by one lane or four,
// to a peer that takes partial checksums or not, to a kernel that has offloads or none.
func TestNoAllocationPerPacket(t *testing.T) {
	lanes, old, bare := today(), today(), today()
	lanes.lanes, old.old, bare.devices = 4, true, [4]tun.Offloads{}
	for kind, of := range map[string]lineupOf{"today": today(), "four lanes": lanes, "an old peer": old, "no offloads": bare} {
		for name, load := range loads() {
			p, pkts := newPipeOf(t, of), load()
			v := p.l.f[1].view.Load()
			v.icmp[topo.DefaultSegment] = icmpSrc{netip.MustParseAddr("10.1.0.1"), netip.MustParseAddr("fd00:1::1")}
			keep := make([][]byte, len(pkts))
			for i := range pkts {
				keep[i] = append([]byte(nil), pkts[i].Buf...)
			}
			n := testing.AllocsPerRun(50, func() {
				for i := range pkts {
					copy(pkts[i].Buf, keep[i])
				}
				p.o.reply.used = time.Time{} // another second
				if err := p.round(pkts); err != nil {
					t.Fatal(err)
				}
			})
			if n != 0 {
				t.Errorf("%s, %s: %v allocations for %d packets", kind, name, n, len(pkts))
			}
			if name == "too big" {
				if got := p.l.dropped(1)["too-big"]; got != 51*64 || p.tun.n != 51*64 {
					t.Errorf("%s: %d too big, %d answers", kind, got, p.tun.n)
				}
				continue
			}
			if len(p.wire.sent) == 0 || p.tun.n == 0 == (p.in.relays.packets.Load() == 0) {
				t.Errorf("%s, %s: sent %d, delivered %d", kind, name, len(p.wire.sent), p.tun.n)
			}
			for r := topo.RouterID(1); r <= 2; r++ {
				p.l.wantDropped(t, r)
			}
		}
	}
}
