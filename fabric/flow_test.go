package fabric

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/wire"
)

// host addresses behind a router.
func host4(r topo.RouterID) string { return fmt.Sprintf("10.%d.0.5", r) }

func host6(r topo.RouterID) string { return fmt.Sprintf("fd00:%d::5", r) }

// send puts one packet into a's device.
func (w *world) send(a topo.RouterID, pkt []byte) {
	w.t.Helper()
	if !w.routers[a].dev.Inject(pkt) {
		w.t.Fatalf("%s's device took no packet", a)
	}
}

// delivered takes what came out of b's device within d.
func (w *world) delivered(b topo.RouterID, d time.Duration) ([]byte, bool) {
	timeout := time.NewTimer(d)
	defer timeout.Stop()
	select {
	case p := <-w.routers[b].dev.Delivered():
		return p, true
	case <-timeout.C:
		return nil, false
	}
}

// passes sends a packet from a's host to b's and says whether it arrived.
func (w *world) passes(a, b topo.RouterID) bool {
	w.t.Helper()
	pkt := packet(host4(a), host4(b), 500, "ping")
	w.send(a, pkt)
	got, ok := w.delivered(b, time.Second)
	if ok && string(got) != string(pkt) {
		w.t.Fatalf("%s to %s: another packet arrived", a, b)
	}
	return ok
}

// stream sends a numbered packet from a to b every 10 ms until its result is asked for.
type stream struct {
	from, to chan struct{} // closed to stop the sender, then the receiver
	wg       sync.WaitGroup

	mu   sync.Mutex
	sent uint32
	got  map[uint32]bool
	last time.Time
	gap  time.Duration // longest time between two arrivals
}

const flowEvery = 10 * time.Millisecond

func (w *world) flow(a, b topo.RouterID) *stream {
	f := &stream{from: make(chan struct{}), to: make(chan struct{}), got: map[uint32]bool{}}
	from, to := w.routers[a].dev, w.routers[b].dev
	f.wg.Go(func() {
		tick := time.NewTicker(flowEvery)
		defer tick.Stop()
		for {
			select {
			case <-f.from:
				return
			case <-tick.C:
				pkt := packet(host4(a), host4(b), 200, "")
				f.mu.Lock()
				binary.BigEndian.PutUint32(pkt[28:], f.sent)
				f.sent++
				f.mu.Unlock()
				from.Inject(pkt)
			}
		}
	})
	f.wg.Go(func() {
		for {
			select {
			case <-f.to:
				return
			case p := <-to.Delivered():
				f.mu.Lock()
				now := time.Now()
				if !f.last.IsZero() {
					f.gap = max(f.gap, now.Sub(f.last))
				}
				f.last = now
				f.got[binary.BigEndian.Uint32(p[28:])] = true
				f.mu.Unlock()
			}
		}
	})
	return f
}

// result ends the flow and says how many packets are missing, when all that were under way had time to
// arrive, and how long the longest silence was.
func (f *stream) result() (sent, lost int, gap time.Duration) {
	close(f.from)
	time.Sleep(time.Second)
	close(f.to)
	f.wg.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return int(f.sent), int(f.sent) - len(f.got), f.gap
}

// capture keeps the last sealed datagram that goes from a to b and is for dest.
func capture(into *[]byte, a, b, dest topo.RouterID) func(from, to netip.AddrPort, data []byte) {
	return func(from, to netip.AddrPort, data []byte) {
		if h, err := wire.Parse(data); err == nil && from.Addr() == addrOf(a).Addr() && to == addrOf(b) && h.Dest == dest && h.Type == wire.Data {
			*into = append([]byte(nil), data...)
		}
	}
}
