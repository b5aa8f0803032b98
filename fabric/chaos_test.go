package fabric

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/galleon-net/galleon/fabric/fabrictest"
	"github.com/galleon-net/galleon/fabric/topo"
)

// Five routers, two minutes of cuts, losses and deaths, new keys every few seconds. Whatever happened, half a
// minute after it stops every pair is direct and a packet passes in every direction; and at no time was
// anything delivered that should not have been, or refused that is honest.
func TestChaosEndsInAFullMesh(t *testing.T) {
	for seed := range uint64(chaosSeeds) {
		synctest.Test(t, func(t *testing.T) {
			const n = 5
			w := newWorld(t, n)
			w.conf.RekeyAfter = 7 * time.Second
			rng := rand.New(rand.NewPCG(seed, 99))
			for a := topo.RouterID(1); a <= n; a++ {
				for b := a + 1; b <= n; b++ {
					w.latency(a, b, time.Duration(5+rng.IntN(140))*time.Millisecond)
				}
			}
			w.startAll()
			any := func() (a, b topo.RouterID) {
				a = topo.RouterID(rng.IntN(n) + 1)
				b = topo.RouterID(rng.IntN(n-1) + 1)
				if b >= a {
					b++
				}
				return a, b
			}
			for start := time.Now(); time.Since(start) < 2*time.Minute; {
				a, b := any()
				switch rng.IntN(8) {
				case 0, 1:
					w.cut(a, b)
				case 2:
					w.net.Set(addrOf(a).Addr(), addrOf(b).Addr(), cutPath)
				case 3, 4, 5:
					w.heal(a, b)
				case 6:
					w.net.Set(addrOf(a).Addr(), addrOf(b).Addr(), func(p *fabrictest.Path) { p.LossPPM = rng.Uint32N(300_000) })
				case 7:
					w.kill(a)
					time.Sleep(time.Duration(rng.IntN(3000)) * time.Millisecond)
					w.revive(a)
				}
				time.Sleep(time.Duration(rng.IntN(4000)) * time.Millisecond)
				a, b = any()
				w.routers[a].dev.Inject(packet(host4(a), host4(b), 300, "x"))
			}
			for a := topo.RouterID(1); a <= n; a++ {
				for b := a + 1; b <= n; b++ {
					w.heal(a, b)
					w.net.Both(addrOf(a).Addr(), addrOf(b).Addr(), func(p *fabrictest.Path) { p.LossPPM = 0 })
				}
			}
			// The longest backoff, the handshake, and the first words.
			took := w.until("full mesh after all is healed", 40*time.Second, func() bool {
				for a := topo.RouterID(1); a <= n; a++ {
					for b := topo.RouterID(1); b <= n; b++ {
						if a == b {
							continue
						}
						p := w.peer(a, b)
						if p.Link == nil || p.Link.State != "up" || len(p.Epochs) == 0 || p.Reached == "no" || len(p.Sessions) == 0 {
							return false
						}
					}
				}
				return true
			})
			t.Logf("seed %d: whole again after %v", seed, took)
			time.Sleep(2 * time.Second)
			w.drain()
			for a := topo.RouterID(1); a <= n; a++ {
				for b := topo.RouterID(1); b <= n; b++ {
					if a != b && !w.passes(a, b) {
						t.Errorf("seed %d: %s to %s: nothing arrives: %+v", seed, a, b, w.peer(a, b))
					}
				}
				// Not among these is hop-limit: while words travel, three routers may send a packet in a circle.
				for _, never := range []string{"source-refused", "malformed", "destination-not-ours"} {
					if n := w.routers[a].mesh.Status().Drops[never]; n > 0 {
						t.Errorf("seed %d: %s dropped %d as %s", seed, a, n, never)
					}
				}
			}
		})
	}
}

// drain takes what earlier traffic left in the devices.
func (w *world) drain() {
	for _, r := range w.routers {
		for more := true; more; {
			select {
			case <-r.dev.Delivered():
			default:
				more = false
			}
		}
	}
}

// A higher router that restarts need not wait for the lower one to notice.
func TestARestartedHigherRouterHurries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.latency(1, 2, 10*time.Millisecond)
		w.startAll()
		w.untilMeshed(1, 2)
		time.Sleep(15 * time.Second)
		w.kill(2)
		time.Sleep(500 * time.Millisecond)
		w.revive(2)
		took := w.until("meshed again", 10*time.Second, func() bool { return w.reaches(1, 2) == "direct" && w.reaches(2, 1) == "direct" })
		t.Logf("after %v", took)
		if took > 1500*time.Millisecond {
			t.Errorf("took %v", took)
		}
	})
}
