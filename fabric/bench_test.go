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
	n    int // packets written to the device
}

func (s *sink) ReadBatch(int, []underlay.Packet) (int, error) { panic("not read in these tests") }
func (s *sink) WriteBatch(p []underlay.Packet) error          { s.sent = append(s.sent[:0], p...); return nil }
func (s *sink) InjectQUIC([]byte, netip.AddrPort)             {}

type deviceSink struct {
	tun.Device
	n, octets int
}

func (d *deviceSink) WriteBatch(p []tun.Packet) (int, error) {
	d.n += len(p)
	for _, q := range p {
		d.octets += len(q.Buf)
	}
	return len(p), nil
}
func (d *deviceSink) Offloads() tun.Offloads {
	return tun.Offloads{Checksum: true, TSO: true, USO: true}
}

// pipe is the data path from r1 to r2 without system calls.
type pipe struct {
	l    *lineup
	wire sink
	tun  deviceSink
	o    *outward
	in   *inward
}

func newPipe(tb testing.TB) *pipe {
	p := &pipe{l: newLineup(tb)}
	p.l.f[1].socket, p.l.f[2].socket, p.l.f[2].device = &p.wire, &p.wire, &p.tun
	p.o, p.in = newOutward(p.l.f[1]), newInward(p.l.f[2])
	return p
}

func (p *pipe) round(pkts []tun.Packet) error {
	p.o.begin()
	for _, q := range pkts {
		p.o.packet(q)
	}
	p.o.flush()
	p.in.begin(time.Unix(1_800_000_000, 0))
	for _, q := range p.wire.sent {
		q.Addr = addrOf(1)
		if err := p.in.run(q); err != nil {
			return err
		}
	}
	return p.in.flush()
}

// loads are what a round may consist of; octets that the data path writes over are made good by reset.
func loads() map[string]func() []tun.Packet {
	super := func(dst string) []tun.Packet {
		b := packet("10.1.0.5", dst, 20+20+44*1348, "")
		b[9], b[20+12], b[20+13] = protoTCP, 5<<4, 0x10
		m := offload.Meta{GSO: offload.TCP4, Seg: 1348, Head: 40, Partial: true, Start: 20, Offset: 16}
		return []tun.Packet{{Buf: b, Meta: m}}
	}
	singles := func(dst string, size int) []tun.Packet {
		var out []tun.Packet
		for i := range 44 {
			b := packet("10.1.0.5", dst, size, "x")
			b[5] = byte(i)
			b[10], b[11] = 0, 0
			sum := ^offload.Sum(0, b[:20])
			b[10], b[11] = byte(sum>>8), byte(sum)
			b[26] = 1 // there is a checksum
			out = append(out, tun.Packet{Buf: b, Meta: offload.Meta{Partial: true, Start: 20, Offset: 6}})
		}
		return out
	}
	return map[string]func() []tun.Packet{
		"TCP super-packet": func() []tun.Packet { return super("10.2.0.9") },
		"TCP relayed":      func() []tun.Packet { return super("10.3.0.9") },
		"UDP 1400":         func() []tun.Packet { return singles("10.2.0.9", 1400) },
		"UDP 64":           func() []tun.Packet { return singles("10.2.0.9", 64) },
	}
}

// What a packet costs in the data path without its system calls, on one core.
func BenchmarkDataPath(b *testing.B) {
	for name, load := range loads() {
		b.Run(name, func(b *testing.B) {
			p, pkts := newPipe(b), load()
			header := append([]byte(nil), pkts[0].Buf[:40]...)
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

func TestNoAllocationPerPacket(t *testing.T) {
	for name, load := range loads() {
		p, pkts := newPipe(t), load()
		header := append([]byte(nil), pkts[0].Buf[:40]...)
		n := testing.AllocsPerRun(50, func() {
			copy(pkts[0].Buf, header)
			if err := p.round(pkts); err != nil {
				t.Fatal(err)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations for 44 packets", name, n)
		}
		for r := topo.RouterID(1); r <= 2; r++ {
			p.l.wantDropped(t, r)
		}
	}
}
