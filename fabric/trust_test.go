package fabric

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

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
