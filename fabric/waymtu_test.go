package fabric

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/galleon-net/galleon/fabric/fabrictest"
	"github.com/galleon-net/galleon/fabric/route"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/wire"
)

// What is said of a way is never more than it carries, never rises without having been carried for a while,
// and gets there when the way is calm.
func TestWayMTU(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w wayMTU
		now := time.Unix(1_000_000, 0)
		type seen struct {
			at  time.Time
			mtu int
		}
		var all []seen
		look := func(mtu int) {
			before := w.told
			w.see(now, mtu)
			all = append(all, seen{now, mtu})
			if w.told > mtu {
				t.Fatalf("told %d of a way that carries %d", w.told, mtu)
			}
			if len(all) > 1 && w.told > before {
				for _, s := range all {
					if now.Sub(s.at) < riseAfter && s.mtu < w.told {
						t.Fatalf("rose to %d although %d was seen %v ago", w.told, s.mtu, now.Sub(s.at))
					}
				}
			}
			if d := w.due(); !d.IsZero() && !d.After(now) {
				t.Fatalf("due at %v, in the past", now.Sub(d))
			}
		}
		for range rapid.IntRange(1, 40).Draw(t, "n") {
			look(rapid.SampledFrom([]int{1280, 1380, 1400, 8952}).Draw(t, "mtu"))
			now = now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
		}
		last := all[len(all)-1].mtu
		for range 4 {
			look(last)
			if d := w.due(); !d.IsZero() {
				now = d
			}
		}
		if w.told != last {
			t.Fatalf("the way has carried %d for long, told %d", last, w.told)
		}
	})
}

// routeMTU is what router a was told of the way to b; 0 when there is none.
func (w *world) routeMTU(a, b topo.RouterID) (mtu int) {
	r := w.routers[a]
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.routes.Prefixes {
		if p.SegPrefix == w.conf.router(b).Grants[0] {
			mtu = p.MTU
		}
	}
	return mtu
}

// Each route carries what its way and its backup do: less at once, more after a while.
func TestRoutesTellTheirMTU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.latency(1, 2, 10*time.Millisecond)
		w.startAll()
		w.untilMeshed(1, 2)
		w.until("full size", 5*time.Second, func() bool { return w.routeMTU(1, 2) == DefaultMTU && w.routeMTU(2, 1) == DefaultMTU })
		w.net.Both(addrOf(1).Addr(), addrOf(2).Addr(), narrowPath)
		w.until("a smaller MTU", 10*time.Second, func() bool { return w.routeMTU(1, 2) < DefaultMTU && w.routeMTU(2, 1) < DefaultMTU })
		if m := w.routeMTU(1, 2); m < wire.MinMTU || m > 1400-wire.Overhead {
			t.Errorf("datagrams of 1400 octets pass, the kernel was told of packets of %d", m)
		}
		x, err := w.routers[1].mesh.Explain(2)
		if err != nil || x.MTU != w.routeMTU(1, 2) {
			t.Errorf("explained as %d, %v; told %d", x.MTU, err, w.routeMTU(1, 2))
		}
		w.net.Both(addrOf(1).Addr(), addrOf(2).Addr(), wholePath)
		w.until("full size again", 2*time.Minute, func() bool { return w.routeMTU(1, 2) == DefaultMTU && w.routeMTU(2, 1) == DefaultMTU })
	})
}

// What a way carries is the lesser of itself and its backup, within what the configuration and IPv6 allow.
func TestCarries(t *testing.T) {
	const over = wire.Overhead
	for _, c := range []struct {
		fabric int
		hop    route.Hop
		want   int
	}{
		{MaxMTU, route.Hop{Next: 2, MTU: 9000}, 8952},
		{MaxMTU, route.Hop{Next: 2, MTU: 9200}, 8952},
		{MaxMTU, route.Hop{Next: 2}, SafeMTU}, // not measured
		{1380, route.Hop{Next: 2}, 1380},
		{1380, route.Hop{Next: 2, MTU: 9000}, 1380},
		{MaxMTU, route.Hop{Next: 2, MTU: 9000, Backup: 3, BackupMTU: 1390 + over}, 1390},
		{MaxMTU, route.Hop{Next: 2, MTU: 9000, Backup: 3}, SafeMTU},
		{MaxMTU, route.Hop{Next: 2, MTU: 1300 + over, Backup: 3, BackupMTU: 9000}, 1300},
		{MaxMTU, route.Hop{Next: 2, MTU: 1200}, wire.MinMTU},
	} {
		m := &Mesh{conf: Config{FabricMTU: c.fabric}}
		if got := m.carries(c.hop); got != c.want {
			t.Errorf("fabric MTU %d, %+v: carries %d, want %d", c.fabric, c.hop, got, c.want)
		}
	}
}

// A way whose backup is narrower is used for what both carry, so that a switch loses nothing.
func TestTheBackupCountsToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := triangle(t)
		w.until("full size", 10*time.Second, func() bool { return w.routeMTU(1, 2) == DefaultMTU && w.routeMTU(1, 3) == DefaultMTU })
		w.net.Both(addrOf(2).Addr(), addrOf(3).Addr(), func(p *fabrictest.Path) { p.MTU = 1440 })
		w.until("a smaller MTU", 10*time.Second, func() bool { return w.routeMTU(1, 2) < DefaultMTU && w.routeMTU(1, 3) < DefaultMTU })
		w.until("what passes", 10*time.Second, func() bool { return w.routeMTU(1, 2) >= shortMTU && w.routeMTU(1, 3) >= shortMTU })
		if x, err := w.routers[1].mesh.Explain(2); err != nil || len(x.Path) != 2 || len(x.Backup) != 3 {
			t.Errorf("the way itself is %v with backup %v, %v; want the direct link", x.Path, x.Backup, err)
		}
	})
}

// What both ends say in their hellos counts for the pair, and what their network carries for the way.
func TestMTUsDiffer(t *testing.T) {
	const v4 = 20 + 8 // octets of header round a datagram
	for _, c := range []struct {
		name       string
		one, two   int // fabric MTU of each router
		path       int // octets of IP packets that the path carries; 0 is all
		from, upTo int // what the routes may say in the end
	}{
		{"an older and a newer router", DefaultMTU, MaxMTU, 0, DefaultMTU, DefaultMTU},
		{"the smaller the other way round", MaxMTU, 1300, 0, 1300, 1300},
		{"both large on a usual path", MaxMTU, MaxMTU, 1500, 1500 - v4 - wire.Overhead - 22, 1500 - v4 - wire.Overhead},
		{"both large on a jumbo path", MaxMTU, MaxMTU, 9000, 9000 - v4 - wire.Overhead - 9000/64, 9000 - v4 - wire.Overhead},
		{"both large on a narrow path", MaxMTU, MaxMTU, 1400, wire.MinMTU, 1400 - v4 - wire.Overhead},
		{"nothing in the way", MaxMTU, MaxMTU, 0, MaxMTU, MaxMTU},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 2)
				w.mtu = map[topo.RouterID]int{1: c.one, 2: c.two}
				w.latency(1, 2, 10*time.Millisecond)
				if c.path > 0 {
					w.net.Both(addrOf(1).Addr(), addrOf(2).Addr(), func(p *fabrictest.Path) { p.MTU = c.path - v4 })
				}
				w.startAll()
				w.untilMeshed(1, 2)
				within := func(mtu int) bool { return mtu >= c.from && mtu <= c.upTo }
				took := w.until("what passes", 20*time.Second, func() bool { return within(w.routeMTU(1, 2)) && within(w.routeMTU(2, 1)) })
				t.Logf("%d and %d after %v", w.routeMTU(1, 2), w.routeMTU(2, 1), took)
				time.Sleep(time.Minute)
				if !within(w.routeMTU(1, 2)) || !within(w.routeMTU(2, 1)) {
					t.Errorf("then %d and %d", w.routeMTU(1, 2), w.routeMTU(2, 1))
				}
				big := packet(host4(2), host4(1), w.routeMTU(2, 1), "x")
				w.send(2, big)
				if got, ok := w.delivered(1, time.Second); !ok || string(got) != string(big) {
					t.Error("a packet as large as the route says did not pass")
				}
			})
		})
	}
}
