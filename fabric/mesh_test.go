package fabric

import (
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// verbose prints every event with the bubble's time.
var verbose bool

// chaosSeeds is how many seeds TestChaosEndsInAFullMesh tries.
var chaosSeeds int

func TestMain(m *testing.M) {
	flag.IntVar(&chaosSeeds, "chaos", 2, "how many seeds of chaos")
	flag.BoolVar(&noOffloads, "no-offloads", false, "TUN devices and sockets as an old kernel has them")
	flag.BoolVar(&oldPeers, "old-peers", false, "routers that deliver no partial checksums")
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
			if !r.routes.Verified || len(r.routes.Prefixes) != 8 || len(r.routes.Known) != 12 {
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
		travels(t, r.mesh.Status())
		travels(t, x)
		w.kill(1)
		if s := r.mesh.Status(); s.Ready {
			t.Error("ready after the end")
		}
		if _, err := r.mesh.Explain(2); err == nil {
			t.Error("explained after the end")
		}
	})
}

// A mesh that has just started does not know what it cannot reach, and says so.
func TestRoutesAreVerifiedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.start(1)
		r := w.routers[1]
		told := func() RouteSet {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.routes
		}
		time.Sleep(verifyAfter - time.Second)
		if s := told(); s.Verified || len(s.Known) != 8 || len(s.Prefixes) != 0 {
			t.Errorf("alone and young: %+v", s)
		}
		time.Sleep(2 * time.Second)
		if !told().Verified {
			t.Error("alone, and not certain in time")
		}
	})
}

// travels checks that an answer arrives as JSON as it left.
func travels[T any](t *testing.T, v T) {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var w T
	if err := json.Unmarshal(b, &w); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	if c, err := json.Marshal(w); err != nil || string(b) != string(c) {
		t.Errorf("%s came back as %s, %v", b, c, err)
	}
}
