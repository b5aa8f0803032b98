package fabric

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// verbose prints every event with the bubble's time.
var verbose bool

// chaosSeeds is how many seeds TestChaosEndsInAFullMesh tries.
var chaosSeeds int

func TestMain(m *testing.M) {
	flag.IntVar(&chaosSeeds, "chaos", 2, "how many seeds of chaos")
	flag.BoolVar(&verbose, "events", false, "print the events of the worlds")
	flag.Parse()
	os.Exit(m.Run())
}

// triangle is three routers with different distances, meshed.
func triangle(t *testing.T) *world {
	w := newWorld(t, 3)
	w.latency(1, 2, 20*time.Millisecond)
	w.latency(1, 3, 40*time.Millisecond)
	w.latency(2, 3, 30*time.Millisecond)
	w.startAll()
	w.untilMeshed(1, 2, 3)
	return w
}

func TestThreeRoutersMeshAndCarry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := triangle(t)
		if !w.passes(1, 3) || !w.passes(3, 1) || !w.passes(2, 3) {
			t.Error("a packet did not arrive")
		}
		six := packet(host6(1), host6(2), 900, "ping")
		w.send(1, six)
		if got, ok := w.delivered(2, time.Second); !ok || string(got) != string(six) {
			t.Error("IPv6 did not arrive")
		}
		loop := packet("100.64.0.1", "100.64.0.3", 100, "ping")
		w.send(1, loop)
		if got, ok := w.delivered(3, time.Second); !ok || string(got) != string(loop) {
			t.Error("loopback to loopback did not arrive")
		}
		for id, r := range w.routers {
			if s := r.mesh.Status(); len(s.Drops) > 0 {
				t.Errorf("%s dropped %v", id, s.Drops)
			}
			r.mu.Lock()
			if len(r.routes.Prefixes) != 8 || len(r.routes.Known) != 12 {
				t.Errorf("%s was told of %d prefixes and %d known ones: %v", id, len(r.routes.Prefixes), len(r.routes.Known), r.routes)
			}
			r.mu.Unlock()
			if n := saw[SessionUp](r, nil); n != 2 {
				t.Errorf("%s had %d sessions, want one with each of two", id, n)
			}
		}
		if p := w.peer(1, 3); p.Link == nil || p.Link.RTT != 80*time.Millisecond || p.Link.MTU != DefaultMTU+48 {
			t.Errorf("link %+v, want a round trip of 80ms and full size", p.Link)
		}
	})
}

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

func TestNewKeysWithoutLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.conf.RekeyAfter = 5 * time.Second
		w.latency(1, 2, 30*time.Millisecond)
		w.startAll()
		w.untilMeshed(1, 2)
		f := w.flow(1, 2)
		time.Sleep(62 * time.Second)
		n := saw(w.routers[1], func(e SessionUp) bool { return e.Dialed })
		if n < 11 || n > 14 {
			t.Errorf("%d sessions in a minute of keys that last 5s", n)
		}
		if n := len(w.peer(1, 2).Sessions); n != 1 {
			t.Errorf("%d sessions at the end", n)
		}
		sent, lost, gap := f.result()
		if lost > 0 || gap > 2*flowEvery {
			t.Errorf("%d of %d lost, longest silence %v", lost, sent, gap)
		}
		for id, r := range w.routers {
			if s := r.mesh.Status(); len(s.Drops) > 0 {
				t.Errorf("%s dropped %v", id, s.Drops)
			}
		}
	})
}

func TestARevokedRouterIsDroppedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := triangle(t)
		if !w.passes(3, 1) {
			t.Fatal("nothing arrives before")
		}
		w.conf.Routers = slices.Clone(w.conf.Routers)
		w.conf.router(3).Revoked = true
		w.set(1, 2)
		synctest.Wait()
		// r3 does not know, and still sends.
		w.send(3, packet(host4(3), host4(1), 100, "x"))
		if _, ok := w.delivered(1, time.Second); ok {
			t.Error("a packet of a revoked router was delivered")
		}
		if got := w.reaches(1, 3); got != "unknown" {
			t.Errorf("r1 still has r3: %s", got)
		}
		time.Sleep(time.Minute)
		if n := saw(w.routers[1], func(e SessionUp) bool { return e.Peer == 3 }); n != 1 {
			t.Errorf("r3 got %d sessions, want the one from before", n)
		}
		if n := saw(w.routers[1], func(e RouterGone) bool { return e.Router == 3 && e.Revoked }); n != 1 {
			t.Errorf("told %d times that r3 is gone", n)
		}
		if got := w.reaches(3, 1); got != "no" {
			t.Errorf("r3 reaches r1: %s", got)
		}
		for _, r := range w.routers[2].mesh.Status().Records {
			if r.Origin == 3 {
				t.Error("r2 still has r3's word")
			}
		}
		if !w.passes(1, 2) {
			t.Error("the others lost each other")
		}
	})
}

func TestARouterThatLies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := triangle(t)
		// r3's own configuration says that it may do more than the catalog of the others does.
		c := w.config(3)
		c.Routers = slices.Clone(c.Routers)
		stolen := []topo.SegPrefix{prefix("10.1.0.0/24"), prefix("10.99.0.0/16")}
		c.router(3).Grants = append(slices.Clone(c.router(3).Grants), stolen...)
		c.Announce = append(c.Announce, stolen...)
		if err := w.routers[3].mesh.Set(c, w.routers[3].cred); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		for _, id := range []topo.RouterID{1, 2} {
			for _, p := range w.routers[id].mesh.Status().Prefixes {
				if slices.Contains(stolen, p.Prefix) {
					t.Errorf("%s took %v from r3", id, p)
				}
			}
			if n := saw(w.routers[id], func(e AnnouncementRefused) bool { return e.Router == 3 }); n != len(stolen) {
				t.Errorf("%s told of %d refusals, want %d", id, n, len(stolen))
			}
		}
		if !w.passes(2, 1) || !w.passes(2, 3) {
			t.Error("honest prefixes suffer")
		}
		w.send(3, packet("10.1.0.9", host4(2), 100, "I am r1's host"))
		if _, ok := w.delivered(2, time.Second); ok {
			t.Error("delivered a packet with another router's source")
		}
		if n := saw(w.routers[2], func(e SourceRefused) bool { return e.Router == 3 }); n != 1 {
			t.Errorf("told %d times", n)
		}
		if p := w.peer(2, 3); p.Refused != 1 {
			t.Errorf("%d counted", p.Refused)
		}
		// A grant that comes later makes the announcement good without another word from r3.
		w.conf.Routers = slices.Clone(w.conf.Routers)
		g := w.conf.router(3)
		g.Grants = append(slices.Clone(g.Grants), prefix("10.99.0.0/16"))
		w.set(2)
		time.Sleep(100 * time.Millisecond)
		if !slices.ContainsFunc(w.routers[2].mesh.Status().Prefixes, func(p PrefixStatus) bool { return p.Prefix == prefix("10.99.0.0/16") && p.Egress == 3 }) {
			t.Error("the granted announcement is not there")
		}
	})
}

func TestABlackHoleIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.latency(1, 2, 10*time.Millisecond)
		w.startAll()
		w.untilMeshed(1, 2)
		w.net.Both(addrOf(1).Addr(), addrOf(2).Addr(), narrowPath)
		took := w.until("a smaller MTU", 10*time.Second, func() bool { return w.peer(1, 2).Link.MTU == smallDatagram && w.peer(2, 1).Link.MTU == smallDatagram })
		t.Logf("noticed after %v", took)
		time.Sleep(time.Second)
		if w.peer(1, 2).Link.State != "up" {
			t.Errorf("the link is %s", w.peer(1, 2).Link.State)
		}
		w.send(1, packet(host4(1), host4(2), 1400, "x"))
		got, ok := w.delivered(1, time.Second)
		if p, parsed := parseIP(got); !ok || !parsed || p.src.String() != "100.64.0.1" || p.dst.String() != host4(1) || got[20] != 3 || got[21] != 4 {
			t.Errorf("no ICMP message came back: %x", got)
		}
		w.send(1, packet(host6(1), host6(2), 1400, "x"))
		if got, ok := w.delivered(1, time.Second); !ok || got[6] != icmpProto6 || got[40] != 2 {
			t.Errorf("no ICMPv6 message came back: %x", got)
		}
		small := packet(host6(1), host6(2), 1280, "x")
		w.send(1, small)
		if got, ok := w.delivered(2, time.Second); !ok || string(got) != string(small) {
			t.Error("a packet of the smallest MTU did not pass")
		}
		w.net.Both(addrOf(1).Addr(), addrOf(2).Addr(), wholePath)
		w.until("full size again", time.Minute, func() bool { return w.peer(1, 2).Link.MTU == DefaultMTU+48 })
	})
}

// A relay passes on nothing for who has no link to it, whatever the packet looks like.
func TestStrangersAreNotRelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := triangle(t)
		w.cut(1, 3)
		w.until("relayed", time.Second, func() bool { return w.reaches(1, 3) == "relayed" })
		var captured []byte
		w.net.Tap(capture(&captured, 1, 2, 3))
		w.passes(1, 3)
		w.net.Tap(nil)
		if captured == nil {
			t.Fatal("nothing captured")
		}
		before := w.routers[2].mesh.Status()
		stranger := addrOf(77)
		if err := w.net.Inject(stranger, addrOf(2), captured); err != nil {
			t.Fatal(err)
		}
		broken := slices.Clone(captured)
		broken[len(broken)-1] ^= 1
		if err := w.net.Inject(addrOf(1), addrOf(2), broken); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		after := w.routers[2].mesh.Status()
		if after.Drops["no-link-tag"] != before.Drops["no-link-tag"]+2 || after.Relayed != before.Relayed {
			t.Errorf("dropped %v, relayed %+v and %+v", after.Drops, before.Relayed, after.Relayed)
		}
	})
}

func TestARouterWithoutEndpointDialsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.conf.router(2).Endpoints = nil // behind a NAT; the lower router cannot dial it
		w.startAll()
		took := w.until("meshed", 10*time.Second, func() bool { return w.reaches(1, 2) == "direct" && w.reaches(2, 1) == "direct" })
		t.Logf("after %v", took)
		if !w.passes(1, 2) {
			t.Error("nothing arrives")
		}
	})
}

func TestARouterJoinsARunningMesh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := triangle(t)
		w.conf.Routers = append(slices.Clone(w.conf.Routers), w.newRouter(4))
		w.start(4) // before the others have heard of it
		time.Sleep(time.Second)
		w.set(1, 2, 3)
		w.until("meshed", 30*time.Second, func() bool {
			return w.reaches(4, 1) == "direct" && w.reaches(4, 2) == "direct" && w.reaches(4, 3) == "direct" && w.reaches(1, 4) == "direct"
		})
		if !w.passes(1, 4) || !w.passes(4, 3) {
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

func TestTheDeviceGoesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.startAll()
		w.untilMeshed(1, 2)
		r := w.routers[2]
		r.dev.Remove()
		if err := <-r.done; err == nil || !strings.Contains(err.Error(), "galleon0") {
			t.Errorf("ended with %v", err)
		}
		r.done = nil
		w.until("r1 sees it", 15*time.Second, func() bool { return w.reaches(1, 2) == "no" })
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

func TestAnswersBeforeAndAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.start(1)
		r := w.routers[1]
		synctest.Wait()
		if s := r.mesh.Status(); !s.Ready || len(s.Peers) != 1 || s.Peers[0].Reached != "no" {
			t.Errorf("alone: %+v", s)
		}
		x, err := r.mesh.Explain(2)
		if err != nil || x.Reachable || !strings.Contains(x.Why, "no session yet") {
			t.Errorf("alone: %+v, %v", x, err)
		}
		if x, err := r.mesh.Explain(1); err != nil || !x.Reachable {
			t.Errorf("self: %+v, %v", x, err)
		}
		if _, err := r.mesh.Explain(9); err == nil {
			t.Error("explained a router that does not exist")
		}
		c := w.config(1)
		c.FabricMTU = 1300
		if err := r.mesh.Set(c, r.cred); err == nil || !strings.Contains(err.Error(), "restart") {
			t.Errorf("another MTU: %v", err)
		}
		if err := r.mesh.Set(w.config(1), w.routers[2].cred); err == nil || !strings.Contains(err.Error(), "key") {
			t.Errorf("another's credential: %v", err)
		}
		if err := r.mesh.Set(w.config(1), nil); err == nil {
			t.Error("no credential was taken")
		}
		w.start(2)
		w.untilMeshed(1, 2)
		x, err = r.mesh.Explain(2)
		if err != nil || !x.Reachable || len(x.Steps) != 1 || !strings.Contains(x.Why, "direct") || x.MTU != DefaultMTU {
			t.Errorf("meshed: %+v, %v", x, err)
		}
		w.kill(1)
		if s := r.mesh.Status(); s.Ready {
			t.Error("ready after the end")
		}
		if _, err := r.mesh.Explain(2); err == nil {
			t.Error("explained after the end")
		}
	})
}

// A revoked router that hears of it itself falls silent.
func TestARevokedSelf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.startAll()
		w.untilMeshed(1, 2)
		w.conf.Routers = slices.Clone(w.conf.Routers)
		w.conf.router(2).Revoked = true
		w.set(2)
		time.Sleep(time.Second)
		if s := w.routers[2].mesh.Status(); len(s.Peers) != 0 {
			t.Errorf("still has %d peers", len(s.Peers))
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

func TestNewKeysWhenTheOldAreUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.conf.RekeyPackets = 1 << 10
		w.latency(1, 2, 10*time.Millisecond)
		w.startAll()
		w.untilMeshed(1, 2)
		// Only r2 sends, and only r1 dialed: the one who knows is not the one whose session it is.
		pkt := packet(host4(2), host4(1), 1400, "x")
		for range 1 << 11 {
			w.send(2, pkt)
			if _, ok := w.delivered(1, time.Second); !ok {
				t.Fatal("a packet was lost")
			}
		}
		w.until("new keys", rekeyWaits+5*time.Second, func() bool { return w.peer(2, 1).Epochs[0].Epoch > 1 && w.peer(2, 1).Epochs[0].Stage == "current" })
		if n := w.peer(2, 1).Epochs[0].Epoch; n != 2 {
			t.Errorf("epoch %d, want 2: the first that the higher router makes", n)
		}
		if !w.passes(1, 2) || !w.passes(2, 1) {
			t.Error("nothing arrives under the new keys")
		}
	})
}
