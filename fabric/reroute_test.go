package fabric

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

func TestACutIsPassedByARelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := triangle(t)
		f := w.flow(1, 3)
		time.Sleep(time.Second)
		w.cut(1, 3)
		took := w.until("relayed", time.Second, func() bool { return w.reaches(1, 3) == "relayed" })
		time.Sleep(2 * time.Second)
		x, err := w.routers[1].mesh.Explain(3)
		if err != nil || !slices.Equal(x.Path, []topo.RouterID{1, 2, 3}) || !strings.Contains(x.Why, "the direct link is down") || len(x.Steps) != 2 {
			t.Errorf("explained as %+v, %v", x, err)
		}
		sent, lost, gap := f.result()
		t.Logf("verdict after %v; %d of %d packets lost; longest silence %v", took, lost, sent, gap)
		if gap > 300*time.Millisecond {
			t.Errorf("nothing arrived for %v, want at most 300ms", gap)
		}
		if lost > 30 {
			t.Errorf("%d packets lost, want those of 300ms at most", lost)
		}

		f = w.flow(1, 3)
		time.Sleep(time.Second)
		w.heal(1, 3)
		back := w.until("direct again", 10*time.Second, func() bool { return w.reaches(1, 3) == "direct" && w.reaches(3, 1) == "direct" })
		time.Sleep(time.Second)
		_, lost, gap = f.result()
		t.Logf("direct again after %v; %d lost; longest silence %v", back, lost, gap)
		if lost > 0 {
			t.Errorf("%d packets lost while healing, want none", lost)
		}
	})
}

// In one direction only: the sender learns it from the echoes that stop, half a round trip later.
func TestAOneWayCutIsPassedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := triangle(t)
		f := w.flow(1, 3)
		time.Sleep(time.Second)
		w.net.Set(addrOf(1).Addr(), addrOf(3).Addr(), cutPath)
		time.Sleep(2 * time.Second)
		_, lost, gap := f.result()
		t.Logf("%d lost, longest silence %v", lost, gap)
		if gap > 350*time.Millisecond {
			t.Errorf("nothing arrived for %v", gap)
		}
	})
}

// The direct session dies in a long cut. The pair's keys live on, and are renewed through the relay.
func TestALongCutOutlivesTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.conf.RekeyAfter = 30 * time.Second
		w.startAll()
		w.untilMeshed(1, 2, 3)
		w.cut(1, 3)
		w.until("relayed", time.Second, func() bool { return w.reaches(1, 3) == "relayed" && w.reaches(3, 1) == "relayed" })
		f := w.flow(1, 3)
		before := w.peer(1, 3).Epochs[0].Epoch
		time.Sleep(100 * time.Second)
		p := w.peer(1, 3)
		if len(p.Sessions) != 1 || p.Sessions[0].Kind != "carried" {
			t.Errorf("sessions %+v, want a carried one", p.Sessions)
		}
		if len(p.Epochs) == 0 || p.Epochs[0].Epoch <= before+1 {
			t.Errorf("epochs %+v after 100s, the last direct one was %d", p.Epochs, before)
		}
		w.heal(1, 3)
		w.until("direct again", 30*time.Second, func() bool { return w.reaches(1, 3) == "direct" && w.reaches(3, 1) == "direct" })
		w.until("the carried session has gone", 30*time.Second, func() bool {
			p := w.peer(1, 3)
			return len(p.Sessions) == 1 && p.Sessions[0].Kind == "direct"
		})
		sent, lost, gap := f.result()
		if lost > 0 {
			t.Errorf("%d of %d packets lost, longest silence %v", lost, sent, gap)
		}
	})
}

func TestCarriedWhenDirectNeverWorked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.latency(1, 2, 20*time.Millisecond)
		w.latency(2, 3, 30*time.Millisecond)
		w.cut(1, 3)
		w.startAll()
		took := w.until("carried session", 10*time.Second, func() bool {
			p, q := w.peer(1, 3), w.peer(3, 1)
			return p.Reached == "relayed" && len(p.Sessions) == 1 && q.Reached == "relayed" && len(q.Epochs) > 0
		})
		t.Logf("after %v", took)
		if s := w.peer(1, 3).Sessions[0]; s.Kind != "carried" || !s.Dialed {
			t.Errorf("session %+v, want one carried, dialed by the lower router", s)
		}
		if !w.passes(1, 3) || !w.passes(3, 1) {
			t.Error("a packet did not arrive")
		}
		if s := w.routers[2].mesh.Status(); s.Relayed.Packets == 0 || len(s.Drops) != 0 {
			t.Errorf("relay: %d packets relayed, dropped %v", s.Relayed.Packets, s.Drops)
		}
		w.heal(1, 3)
		w.until("direct", 30*time.Second, func() bool { return w.reaches(1, 3) == "direct" && w.reaches(3, 1) == "direct" })
		if !w.passes(1, 3) || !w.passes(3, 1) {
			t.Error("a packet did not arrive")
		}
	})
}

func TestARouterDiesAndReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		w.cut(1, 4) // 1 and 4 need a relay: 2 or 3
		w.latency(1, 2, 10*time.Millisecond)
		w.latency(2, 4, 10*time.Millisecond)
		w.latency(1, 3, 30*time.Millisecond)
		w.latency(3, 4, 30*time.Millisecond)
		w.startAll()
		w.until("reached through r2", 15*time.Second, func() bool {
			p, q := w.peer(1, 4), w.peer(4, 1)
			return p.Reached == "relayed" && p.Next == 2 && p.Backup == 3 && len(p.Epochs) > 0 && q.Next == 2 && len(q.Epochs) > 0
		})
		f := w.flow(1, 4)
		time.Sleep(time.Second)
		w.kill(2)
		time.Sleep(3 * time.Second)
		sent, lost, gap := f.result()
		t.Logf("%d of %d lost, longest silence %v", lost, sent, gap)
		if gap > 350*time.Millisecond {
			t.Errorf("nothing arrived for %v", gap)
		}
		if got := w.peer(1, 4).Next; got != 3 {
			t.Errorf("r1 reaches r4 through %s", got)
		}

		w.revive(2)
		took := w.until("r2 is back", 20*time.Second, func() bool {
			return w.peer(1, 4).Next == 2 && w.reaches(2, 1) == "direct" && w.reaches(2, 4) == "direct" && w.reaches(4, 2) == "direct"
		})
		t.Logf("back after %v", took)
		if !w.passes(1, 4) || !w.passes(4, 1) || !w.passes(2, 4) || !w.passes(1, 2) {
			t.Error("a packet did not arrive")
		}
	})
}

func TestDrainingIsPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4)
		w.cut(1, 4)
		w.latency(1, 2, 10*time.Millisecond)
		w.latency(2, 4, 10*time.Millisecond)
		w.latency(1, 3, 30*time.Millisecond)
		w.latency(3, 4, 30*time.Millisecond)
		w.startAll()
		w.until("reached through r2", 15*time.Second, func() bool { return w.peer(1, 4).Next == 2 && len(w.peer(1, 4).Epochs) > 0 })
		c := w.config(2)
		c.Drain = true
		if err := w.routers[2].mesh.Set(c, w.routers[2].cred); err != nil {
			t.Fatal(err)
		}
		w.until("reached through r3", time.Second, func() bool { return w.peer(1, 4).Next == 3 })
	})
}

// Two routers serve one prefix. When the one in use dies, the other is the egress.
func TestAPrefixWithTwoEgresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		w.latency(1, 2, 10*time.Millisecond)
		w.latency(1, 3, 40*time.Millisecond)
		shared := prefix("10.50.0.0/16")
		for _, id := range []topo.RouterID{2, 3} {
			r := w.conf.router(id)
			r.Grants = append(r.Grants, shared)
		}
		w.startAll()
		egress := func(id topo.RouterID) func() bool {
			return func() bool {
				return slices.ContainsFunc(w.routers[1].mesh.Status().Prefixes, func(p PrefixStatus) bool { return p.Prefix == shared && p.Egress == id })
			}
		}
		w.until("the nearer egress", 10*time.Second, egress(2))
		w.kill(2)
		took := w.until("the other egress", 2*time.Second, egress(3))
		t.Logf("after %v", took)
		pkt := packet(host4(1), "10.50.0.1", 100, "x")
		w.send(1, pkt)
		if got, ok := w.delivered(3, time.Second); !ok || string(got) != string(pkt) {
			t.Error("nothing arrives")
		}
	})
}

// Loss is measured for each direction, seen from both ends, and told to all.
func TestLossByDirection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := triangle(t)
		w.net.Set(addrOf(1).Addr(), addrOf(2).Addr(), losePath)
		time.Sleep(20 * time.Second)
		there, back := w.peer(1, 2).Link, w.peer(2, 1).Link
		near := func(ppm uint32) bool { return ppm > 50_000 && ppm < 150_000 }
		if !near(there.LossOut) || !near(back.LossIn) || there.LossIn > 5000 || back.LossOut > 5000 {
			t.Errorf("r1 sees %d out, %d in; r2 sees %d out, %d in; want 100,000 from r1 to r2", there.LossOut, there.LossIn, back.LossOut, back.LossIn)
		}
		if there.State != "lossy" {
			t.Errorf("the link is %s", there.State)
		}
		x, err := w.routers[3].mesh.Explain(1)
		if err != nil || len(x.Alternatives) != 2 {
			t.Errorf("%+v, %v", x, err)
		}
	})
}
