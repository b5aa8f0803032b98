package fabric

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/underlay"
	"github.com/galleon-net/galleon/fabric/wire"
)

// row is how many datagrams the loads of these tests have: those of a super-packet.
const row = 45

// arrivals is a load of datagrams at r2.
type arrivals struct {
	name string
	want string // the reason under which all are dropped; empty for good ones
	make func(p *pipe, r *rand.Rand) [][]byte
}

// change makes a load of garbage: good datagrams to dst, each changed by f.
func change(dst string, f func(d []byte, r *rand.Rand) []byte) func(*pipe, *rand.Rand) [][]byte {
	return func(p *pipe, r *rand.Rand) (all [][]byte) {
		for range row {
			d, _ := p.l.out(1, packet("10.1.0.5", dst, 1400, "x"))
			all = append(all, f(append([]byte(nil), d.Buf...), r))
		}
		return all
	}
}

func as(d []byte, _ *rand.Rand) []byte { return d }

// garbage is what anybody who can reach the port may send, and beside it what it is measured against.
var garbage = []arrivals{
	{"good", "", change("10.2.0.9", as)},
	{"good, to be relayed", "", change("10.3.0.9", as)},
	{"random behind the first octet", "malformed", change("10.2.0.9", func(d []byte, r *rand.Rand) []byte {
		for i := range d[1:] {
			d[1+i] = byte(r.Uint32())
		}
		d[1] |= 0x40 // which is spare
		return d
	})},
	{"another protocol version", "malformed", change("10.2.0.9", func(d []byte, _ *rand.Rand) []byte { d[0] |= 0x20; return d })},
	{"cut short", "malformed", change("10.2.0.9", func(d []byte, _ *rand.Rand) []byte { return d[:30] })},
	{"unknown source", "unknown-router", change("10.2.0.9", func(d []byte, r *rand.Rand) []byte { d[8] = 1 + byte(r.IntN(255)); return d })},
	{"unknown epoch", "no-keys", change("10.2.0.9", func(d []byte, r *rand.Rand) []byte { d[6] = 1 + byte(r.IntN(255)); return d })},
	{"wrong seal", "not-authentic", change("10.2.0.9", func(d []byte, r *rand.Rand) []byte { d[len(d)-1] ^= 1 + byte(r.IntN(255)); return d })},
	{"wrong counter", "not-authentic", change("10.2.0.9", func(d []byte, r *rand.Rand) []byte { d[21]++; return d })},
	{"absurd counter", "not-authentic", change("10.2.0.9", func(d []byte, r *rand.Rand) []byte { d[16] = 0xff; return d })},
	{"cut in the middle", "not-authentic", change("10.2.0.9", func(d []byte, _ *rand.Rand) []byte { return d[:700] })},
	{"replayed", "replayed", func(p *pipe, r *rand.Rand) [][]byte {
		all := change("10.2.0.9", as)(p, r)
		p.arrive(all, true)
		p.l.forget()
		return all
	}},
	{"to be relayed, wrong tag", "no-link-tag", change("10.3.0.9", func(d []byte, r *rand.Rand) []byte { d[len(d)-1] ^= 1 + byte(r.IntN(255)); return d })},
	{"to be relayed, no tag", "no-link-tag", change("10.3.0.9", func(d []byte, _ *rand.Rand) []byte {
		wire.SetTagged(d, false)
		return d[:len(d)-wire.TagLen]
	})},
	{"to nobody, right tag", "no-usable-link", change("10.3.0.9", func(d []byte, _ *rand.Rand) []byte {
		d = d[:len(d)-wire.TagLen]
		d[12] = 7
		return mustTag(d)
	})},
}

// mustTag is the link tag that r1 gives a datagram for r2.
var mustTag func([]byte) []byte

// newFlooded is r2 with what its loop is told counted, and whose device and socket do nothing.
func newFlooded(tb testing.TB) (p *pipe, told *int) {
	p, told = newPipe(tb), new(int)
	ring := p.l.f[1].view.Load().faces[2].ring
	mustTag = func(d []byte) []byte { d, _ = ring.AppendTag(d); return d }
	f := p.l.f[2]
	f.stranded = func(topo.RouterID) { *told++ }
	f.spoofed = func(topo.RouterID, netip.Addr, uint64) { *told++ }
	f.tooBig = func(netip.AddrPort, int) { *told++ }
	p.l.f[1].socket = p.l.wires[1]
	return p, told
}

// arrive gives r2 datagrams as one run, or each alone.
func (p *pipe) arrive(all [][]byte, asRun bool) {
	p.in.begin(time.Unix(1_800_000_000, 0))
	for _, q := range grouped(all, asRun) {
		if err := p.in.run(q); err != nil {
			panic(err)
		}
	}
	if err := p.in.flush(); err != nil {
		panic(err)
	}
}

// grouped makes packets of the underlay of datagrams of one size, which are copied.
func grouped(all [][]byte, asRun bool) (out []underlay.Packet) {
	if !asRun {
		for _, d := range all {
			out = append(out, underlay.Packet{Buf: append([]byte(nil), d...), Addr: addrOf(1)})
		}
		return out
	}
	q := underlay.Packet{Seg: len(all[0]), Addr: addrOf(1)}
	for _, d := range all {
		if len(q.Buf)+len(d) > underlay.MaxRunOctets {
			out = append(out, q)
			q.Buf = nil
		}
		q.Buf = append(q.Buf, d...)
	}
	return append(out, q)
}

// Garbage ends before anything is done that a good packet costs behind the cipher: it is not copied, not allocated
// for, gives the device and the network nothing to do, and the loop at most one word for all of it.
func TestGarbageCausesNoWork(t *testing.T) {
	for _, g := range garbage {
		if g.want == "" {
			continue
		}
		for _, asRun := range []bool{true, false} {
			p, told := newFlooded(t)
			all := g.make(p, rand.New(rand.NewPCG(1, 2)))
			p.wire.sent, p.tun.n = nil, 0
			in := p.in
			q := grouped(all, asRun)
			keep := grouped(all, asRun)
			n := testing.AllocsPerRun(100, func() {
				in.begin(time.Time{})
				for i := range q {
					copy(q[i].Buf, keep[i].Buf)
					if err := in.run(q[i]); err != nil {
						t.Fatal(err)
					}
				}
				if err := in.flush(); err != nil {
					t.Fatal(err)
				}
			})
			if n != 0 || *told > 1 || len(p.wire.sent) != 0 || p.tun.n != 0 {
				t.Errorf("%s, run %v: %v allocations, told the loop %d times, sent %d, wrote %d", g.name, asRun, n, *told, len(p.wire.sent), p.tun.n)
			}
			for why, n := range p.l.dropped(2) {
				if why != g.want || n != 101*row {
					t.Errorf("%s, run %v: dropped %d as %s; want all as %s", g.name, asRun, n, why, g.want)
				}
			}
		}
	}
}

// What a datagram costs that arrives, without the system call that brought it and those that good ones go on with.
func BenchmarkArrivals(b *testing.B) {
	const rounds = 64 // what is prepared at once
	for _, g := range garbage {
		for _, shape := range []string{"run", "alone"} {
			b.Run(g.name+"/"+shape, func(b *testing.B) {
				p, _ := newFlooded(b)
				r := rand.New(rand.NewPCG(1, 2))
				var ready [][]underlay.Packet
				b.ReportAllocs()
				for b.Loop() {
					if len(ready) == 0 {
						b.StopTimer()
						for range rounds {
							ready = append(ready, grouped(g.make(p, r), shape == "run"))
						}
						b.StartTimer()
					}
					p.in.begin(time.Time{})
					for _, q := range ready[0] {
						if err := p.in.run(q); err != nil {
							b.Fatal(err)
						}
					}
					if err := p.in.flush(); err != nil {
						b.Fatal(err)
					}
					ready = ready[1:]
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/row, "ns/datagram")
			})
		}
	}
}
