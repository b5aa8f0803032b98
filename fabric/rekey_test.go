package fabric

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/galleon-net/galleon/fabric/offload"
	"github.com/galleon-net/galleon/fabric/seal"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/underlay"
)

// rekeying gives two routers of a lineup new keys in the steps of a handshake, at any time between packets.
type rekeying struct {
	l      *lineup
	a, b   topo.RouterID // a dials
	lanes  int
	now    time.Time
	secret byte
	epoch  uint16
	steps  []func() error
}

// step does the next one: the one who accepts installs, then the one who dialed installs and seals with the new keys,
// then the one who accepted does, then what is too old goes.
func (k *rekeying) step(t *testing.T) {
	t.Helper()
	if len(k.steps) == 0 {
		k.secret++
		k.epoch++
		ringA, ringB := k.l.f[k.a].view.Load().faces[k.b].ring, k.l.f[k.b].view.Load().faces[k.a].ring
		offer := seal.Offer{Epoch: k.epoch, Suite: []seal.Suite{seal.AES128GCM, seal.ChaCha20Poly1305}[k.secret%2], Lanes: k.lanes}
		offer.Secret[0], offer.Secret[1], offer.Secret[2] = k.secret, byte(k.a), byte(k.b)
		k.steps = []func() error{
			func() error { return ringB.Install(offer, k.now) },
			func() error { return ringA.Install(offer, k.now) },
			func() error { return ringA.Confirm(offer.Epoch, k.now) },
			func() error { return ringB.Confirm(offer.Epoch, k.now) },
			func() error { k.now = k.now.Add(seal.OldFor / 3); ringA.Retire(k.now); ringB.Retire(k.now); return nil },
		}
	}
	if err := k.steps[0](); err != nil {
		t.Fatal(err)
	}
	k.steps = k.steps[1:]
}

// New keys every few hundred packets, on every hop and between the ends, while super-packets and singles are under
// way by four lanes, directly and through a relay, and datagrams of the old keys arrive among and behind those of
// the new ones: every packet comes, once, in the order of its flow.
func TestNewKeysLoseNothing(t *testing.T) {
	for seed := range uint64(6) {
		of := today()
		of.lanes = 1 + 3*int(seed%2)
		l := of.build(t)
		r := rand.New(rand.NewPCG(seed, 7))
		start := time.Unix(1_800_000_000, 0)
		hops := []*rekeying{
			{l: l, a: 1, b: 2, epoch: 1, lanes: of.lanes, now: start}, {l: l, a: 3, b: 2, epoch: 1, lanes: of.lanes, now: start},
			{l: l, a: 1, b: 3, epoch: 1, lanes: of.lanes, now: start},
		}
		// What is under way: each lane of each hop keeps its order, the lanes among each other do not.
		type way struct {
			to   topo.RouterID
			lane uint8
		}
		under := map[way][]underlay.Packet{}
		ways := []way{}
		launch := func(from topo.RouterID, sent []underlay.Packet) {
			for _, p := range sent {
				w := way{topo.RouterID(p.Addr.Addr().As4()[3]), p.Lane}
				if under[w] == nil {
					ways = append(ways, w)
				}
				p.Addr = addrOf(from)
				under[w] = append(under[w], p)
			}
		}
		next, seen := map[string]uint32{}, map[string]uint32{}
		sent, got := 0, 0
		take := func(pkts [][]byte) {
			for _, b := range pkts {
				p, _ := parseIP(b)
				flow := fmt.Sprint(p.src, p.dst, p.ports)
				n := binary.BigEndian.Uint32(b[24:])
				if p.proto == protoUDP {
					n = binary.BigEndian.Uint32(b[28:])
				}
				if n != seen[flow] {
					t.Fatalf("seed %d: flow %s: number %d where %d was to come; dropped %v, %v, %v", seed, flow, n, seen[flow], l.dropped(1), l.dropped(2), l.dropped(3))
				}
				seen[flow]++
				if p.proto == protoTCP {
					seen[flow] += 99
				}
				got++
			}
		}
		land := func() {
			w := ways[r.IntN(len(ways))]
			q := under[w]
			if len(q) == 0 {
				return
			}
			n := 1 + r.IntN(len(q))
			under[w] = q[n:]
			p := l.inAll(w.to, q[:n]...)
			take(p.toTUN)
			launch(w.to, p.toPeer)
		}
		for sent < 20000 {
			dst := []string{"10.2.0.9", "10.3.0.9"}[r.IntN(2)]
			port := byte(r.IntN(12))
			if r.IntN(3) > 0 { // a super-packet of 100 octets each, numbered by TCP itself
				n := 2 + r.IntN(60)
				b := packet("10.1.0.5", dst, 40+100*n, "")
				b[9], b[21], b[23], b[32], b[33] = protoTCP, port, 80, 5<<4, 0x10
				flow := flowOf(b)
				binary.BigEndian.PutUint32(b[24:], next[flow])
				next[flow] += uint32(100 * n)
				launch(1, l.outAll(1, tun.Packet{Buf: b, Meta: offload.Meta{GSO: offload.TCP4, Seg: 100, Head: 40, Partial: true, Start: 20, Offset: 16}}))
				sent += n
			} else {
				b := packet("10.1.0.5", dst, 60+r.IntN(1300), "")
				b[21], b[23] = port, 90
				flow := flowOf(b)
				binary.BigEndian.PutUint32(b[28:], next[flow])
				next[flow]++
				launch(1, l.outAll(1, tun.Packet{Buf: b}))
				sent++
			}
			for range r.IntN(3) {
				land()
			}
			if r.IntN(3) == 0 {
				hops[r.IntN(len(hops))].step(t)
			}
		}
		for left := true; left; {
			left = false
			for _, q := range under {
				left = left || len(q) > 0
			}
			land()
		}
		if got != sent {
			t.Errorf("seed %d: %d of %d packets came", seed, got, sent)
		}
		for _, k := range hops {
			if k.secret < 10 {
				t.Errorf("seed %d: only %d new keys between %s and %s", seed, k.secret, k.a, k.b)
			}
		}
		for id := topo.RouterID(1); id <= 3; id++ {
			l.wantDropped(t, id)
		}
	}
}

func flowOf(b []byte) string {
	p, _ := parseIP(b)
	return fmt.Sprint(p.src, p.dst, p.ports)
}

// The same with whole routers, real handshakes and four lanes: keys are used up every thousand packets, both ends
// send super-packets and singles all the time.
func TestNewKeysUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.conf.RekeyPackets = minRekeyPacket
		w.latency(1, 2, 15*time.Millisecond)
		w.startAll()
		w.untilMeshed(1, 2)
		w.untilLanes(1, 2, 2*time.Second, "[used used used used]")
		w.untilLanes(2, 1, 2*time.Second, "[used used used used]")
		var sent, got [3]int
		var seen [3]map[string]bool
		take := func(id topo.RouterID) {
			for {
				select {
				case b := <-w.routers[id].dev.Delivered():
					if key := string(b[:min(len(b), 48)]); seen[id] == nil || !seen[id][key] {
						if seen[id] == nil {
							seen[id] = map[string]bool{}
						}
						seen[id][key] = true
						got[id]++
						continue
					}
					t.Fatalf("%s: delivered twice: %x", id, b[:40])
				default:
					return
				}
			}
		}
		number := uint32(0)
		for start := time.Now(); time.Since(start) < 40*time.Second; time.Sleep(10 * time.Millisecond) {
			for a, b := topo.RouterID(1), topo.RouterID(2); a <= 2; a, b = a+1, b-1 {
				number++
				s := packet(host4(a), host4(b), 40+1000*8, "")
				s[9], s[20], s[21], s[32], s[33] = protoTCP, byte(number>>3), byte(number), 5<<4, 0x10
				binary.BigEndian.PutUint32(s[24:], number*8000)
				if !w.routers[a].dev.InjectPacket(tun.Packet{Buf: s, Meta: offload.Meta{GSO: offload.TCP4, Seg: 1000, Head: 40, Partial: true, Start: 20, Offset: 16}}) {
					t.Fatal("not taken")
				}
				u := packet(host4(a), host4(b), 200, "")
				u[21] = byte(number)
				binary.BigEndian.PutUint32(u[28:], number)
				w.send(a, u)
				sent[b] += 9
				take(a)
			}
		}
		time.Sleep(time.Second)
		take(1)
		take(2)
		if got[1] != sent[1] || got[2] != sent[2] {
			t.Errorf("%d of %d and %d of %d came", got[1], sent[1], got[2], sent[2])
		}
		n := w.peer(1, 2).Epochs[0].Epoch
		t.Logf("%d packets, epoch %d", sent[1]+sent[2], n)
		if n < 15 {
			t.Errorf("epoch %d after %d packets", n, sent[1]+sent[2])
		}
		for id, r := range w.routers {
			if s := r.mesh.Status(); len(s.Drops) > 0 {
				t.Errorf("%s dropped %v", id, s.Drops)
			}
		}
	})
}
