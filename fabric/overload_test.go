package fabric

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/tun/tuntest"
	"github.com/galleon-net/galleon/fabric/underlay"
	"github.com/galleon-net/galleon/fabric/wire"
)

// flooded is a socket whose reader 1 always has more, as much as is asked for, until it is closed; reader 0 has
// what is put into express.
type flooded struct {
	wires
	flood   []underlay.Packet // with from and TOS
	express chan []byte
	closed  chan struct{}
	read    atomic.Uint64 // datagrams of the flood
}

func (s *flooded) ReadBatch(reader int, p []underlay.Packet) (int, error) {
	if reader == 0 {
		select {
		case b := <-s.express:
			p[0] = underlay.Packet{Buf: append(p[0].Buf[:0], b...), Addr: addrOf(1)}
			return 1, nil
		case <-s.closed:
			return 0, net.ErrClosed
		}
	}
	select {
	case <-s.closed:
		return 0, net.ErrClosed
	default:
	}
	for i := range p {
		f := s.flood[i%len(s.flood)]
		p[i] = underlay.Packet{Buf: append(p[i].Buf[:0], f.Buf...), Seg: f.Seg, Addr: f.Addr}
		s.read.Add(uint64(f.Count()))
	}
	return len(p), nil
}

func (s *flooded) WriteBatch([]underlay.Packet) error { return nil }

// Whatever floods the readers of data, and for whomever it is, what the express reader has goes on: every probe is
// handed to the loop at once, and data of class control is delivered.
func TestAFloodLeavesTheExpressReaderAlone(t *testing.T) {
	for _, g := range garbage {
		t.Run(g.name, func(t *testing.T) {
			p, _ := newFlooded(t)
			f := p.l.f[2]
			s := &flooded{express: make(chan []byte), closed: make(chan struct{})}
			s.flood = grouped(g.make(p, rand.New(rand.NewPCG(1, 2))), true)
			f.socket, f.device = s, p.l.tuns[2]
			f.probes = make(chan heardProbe, inboxSize)
			sender, _ := p.l.f[1].view.Load().faces[2].ring.SenderFor(0)
			var running sync.WaitGroup
			for reader := range 2 {
				running.Go(func() {
					if err := f.receive(context.Background(), reader); err == nil {
						t.Error("ended without an error")
					}
				})
			}
			late := time.After(20 * time.Second)
			for i := range 200 {
				b, err := sender.Seal(nil, wire.Header{Type: wire.Probe, HopLimit: 1}, wire.AppendProbe(nil, wire.ProbeBody{Seq: uint32(i + 1)}))
				if err != nil {
					t.Fatal(err)
				}
				s.express <- b
				select {
				case h := <-f.probes:
					if h.body.Seq != uint32(i+1) {
						t.Errorf("probe %d where %d was sent", h.body.Seq, i+1)
					}
				case <-late:
					t.Fatal("the flood keeps probes from the loop")
				}
			}
			for end := time.Now().Add(5 * time.Second); s.read.Load() < 1000 && time.Now().Before(end); {
				runtime.Gosched()
			}
			if s.read.Load() < 1000 {
				t.Errorf("only %d datagrams of the flood were read", s.read.Load())
			}
			close(s.closed)
			running.Wait()
		})
	}
}

// A router that floods us with what it may not send costs the others nothing but their share of the reader: of one
// batch, everything that is good is delivered.
func TestPeersShareAReader(t *testing.T) {
	for _, g := range garbage {
		if g.want == "" {
			continue
		}
		p, _ := newFlooded(t)
		bad := grouped(g.make(p, rand.New(rand.NewPCG(1, 2))), false)
		p.tun.n, p.wire.sent = 0, nil
		p.in.begin(time.Time{})
		for range row {
			good, _ := p.l.out(3, packet("10.3.0.9", "10.2.0.9", 1400, "x"))
			good.Addr = addrOf(3)
			for _, q := range []underlay.Packet{bad[0], good} {
				if err := p.in.run(q); err != nil {
					t.Fatal(err)
				}
			}
			bad = bad[1:]
		}
		if err := p.in.flush(); err != nil {
			t.Fatal(err)
		}
		if p.tun.n != row || len(p.wire.sent) != 0 || p.l.dropped(2)[g.want] != row {
			t.Errorf("%s: %d of %d delivered, %d passed on, dropped %v", g.name, p.tun.n, row, len(p.wire.sent), p.l.dropped(2))
		}
	}
}

// The memory of the data path is what it was made with, whatever arrives and leaves.
func TestAFloodTakesNoMemory(t *testing.T) {
	for _, g := range garbage {
		p, _ := newFlooded(t)
		q := grouped(g.make(p, rand.New(rand.NewPCG(1, 2))), true)
		strangers := make([]netip.AddrPort, 256)
		for i := range strangers {
			strangers[i] = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), uint16(i))
		}
		rounds := func(n int) {
			for i := range n {
				p.in.begin(time.Time{})
				for _, one := range q {
					if i%2 == 1 {
						one.Addr = strangers[i%256]
					}
					for d := range one.Count() { // each is another stranger's, with other keys
						binary.BigEndian.PutUint16(one.Datagram(d)[6:], uint16(i)+2)
					}
					p.in.run(one)
				}
				p.in.flush()
			}
		}
		rounds(10)
		before := heap()
		rounds(2000)
		if grown := int64(heap()) - int64(before); grown > 64<<10 {
			t.Errorf("%s: %d octets more after %d datagrams", g.name, grown, 2000*row)
		}
	}
}

// heap is how many octets are in use after everything that is not was collected.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// A whole router under a flood of everything, from strangers and in the name of neighbours: its links stay up, its
// goroutines and memory stay bounded, what it drops it counts, and packets of others pass.
func TestARouterUnderAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := triangle(t)
		r := rand.New(rand.NewPCG(5, 6))
		var captured []byte
		w.net.Tap(capture(&captured, 1, 2, 2))
		w.passes(1, 2)
		w.net.Tap(nil)
		stranger := netip.MustParseAddrPort("203.0.113.7:4000")
		kinds := []func() []byte{
			func() []byte { b := octets(r, 100+r.IntN(1300)); b[0] = 0x81; return b },            // ours by its first octet
			func() []byte { b := octets(r, 100+r.IntN(1100)); b[0] = 0xc3 | b[0]&0xf; return b }, // QUIC, long header
			func() []byte { b := octets(r, 60+r.IntN(1100)); b[0] = 0x40 | b[0]&0x3f; return b }, // QUIC, short header
			func() []byte { return append([]byte(nil), captured...) },                            // replayed
			func() []byte { // a neighbour's, altered anywhere
				b := append([]byte(nil), captured...)
				b[r.IntN(len(b))] ^= byte(1 + r.IntN(255))
				return b
			},
			func() []byte { // a session packet, from nobody
				h := wire.Header{Type: wire.Session, HopLimit: 5, Tagged: true, Source: topo.RouterID(1 + r.IntN(5)), Dest: 2, Epoch: uint16(r.Uint32())}
				return append(h.Append(nil), octets(r, 200)...)
			},
			func() []byte { return nil },
		}
		flood := func(n int) {
			for i := range n {
				b := kinds[r.IntN(len(kinds))]()
				from := stranger
				switch r.IntN(3) {
				case 0:
					from = addrOf(topo.RouterID(1 + 2*r.IntN(2)))
				case 1:
					from = netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(r.Uint32())}), uint16(1+r.IntN(65535)))
				}
				if err := w.net.Inject(from, addrOf(2), b); err != nil {
					t.Fatal(err)
				}
				if i%100 == 99 {
					time.Sleep(5 * time.Millisecond) // the bubble's: 20,000 datagrams a second
				}
			}
		}
		flood(4000)
		time.Sleep(time.Minute)
		before, goroutines := heap(), runtime.NumGoroutine()
		flows := w.flow(1, 2)
		flood(40000)
		if sent, lost, _ := flows.result(); lost > 0 {
			t.Errorf("%d of %d packets lost beside the flood", lost, sent)
		}
		during := runtime.NumGoroutine()
		time.Sleep(time.Minute)
		after := heap()
		t.Logf("heap %d KiB before and %d after, goroutines %d before, %d during and %d after", before>>10, after>>10, goroutines, during, runtime.NumGoroutine())
		if after > before+4<<20 || runtime.NumGoroutine() > goroutines+20 || during > goroutines+2000 {
			t.Error("the flood left something behind")
		}
		for _, other := range []topo.RouterID{1, 3} {
			if n := saw(w.routers[2], func(e LinkChanged) bool { return e.Peer == other && e.To == "down" }); n > 0 {
				t.Errorf("the link with %s went down %d times", other, n)
			}
		}
		drops := w.routers[2].mesh.Status().Drops
		for _, why := range []string{"malformed", "replayed", "not-authentic", "unknown-router", "no-keys", "no-link-tag"} {
			if drops[why] == 0 {
				t.Errorf("nothing counted as %s: %v", why, drops)
			}
		}
	})
}

func octets(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// A host that gives its device more than leaves is served from a queue of fixed length; what does not fit is
// dropped and counted by the device, and nothing waits anywhere else.
func TestTheDeviceQueueIsAllThatWaits(t *testing.T) {
	l := newLineup(t)
	dev := tuntest.NewWith("galleon0", 1400, tun.Offloads{})
	sent, refused := 0, 0
	for range 5000 {
		if dev.Inject(packet("10.1.0.5", "10.2.0.9", 1400, "x")) {
			sent++
		} else {
			refused++
		}
	}
	if s, err := dev.Stats(); err != nil || int(s.Dropped) != refused || sent > s.QueueLen {
		t.Errorf("%d waiting, %d refused, the device says %+v", sent, refused, s)
	}
	f := l.f[1]
	f.device = dev
	var wg sync.WaitGroup
	wg.Go(func() { f.ingress(t.Context()) })
	for end := time.Now().Add(10 * time.Second); dev.Waiting() > 0 && time.Now().Before(end); {
		runtime.Gosched()
	}
	dev.Close()
	wg.Wait()
	if n := len(datagrams(l.wires[1].sent)); n != sent {
		t.Errorf("%d of %d were sent", n, sent)
	}
}

// datagrams are those of runs, one by one.
func datagrams(in []underlay.Packet) (out [][]byte) {
	for _, p := range in {
		for i := range p.Count() {
			out = append(out, p.Datagram(i))
		}
	}
	return out
}
