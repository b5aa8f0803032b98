package fabric

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/galleon-net/galleon/fabric/fabrictest"
	"github.com/galleon-net/galleon/fabric/health"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/wire"
)

func TestFlowsSpreadOverLanes(t *testing.T) {
	var f face
	var lanes [health.Slots]uint8
	for i := range lanes {
		lanes[i] = uint8(i % 4)
	}
	f.lanes.store(lanes)
	var count [4]int
	for hash := range uint32(4096) {
		count[f.lane(hash)]++
	}
	for lane, n := range count {
		if n < 900 || n > 1150 {
			t.Errorf("%d of 4,096 neighbouring hashes take lane %d", n, lane)
		}
	}
}

// lanesOf says how router a sees its lanes to b, as used, left or untried.
func (w *world) lanesOf(a, b topo.RouterID) (states []string) {
	if l := w.peer(a, b).Link; l != nil {
		for _, n := range l.Lanes {
			states = append(states, n.State)
		}
	}
	return states
}

func (w *world) untilLanes(a, b topo.RouterID, within time.Duration, want string) time.Duration {
	w.t.Helper()
	return w.until(want, within, func() bool { return fmt.Sprint(w.lanesOf(a, b)) == want })
}

// streams sends packets of many flows from a to b, one of each every 10 ms, for as long as d, and says how
// many packets of how many flows were lost.
func (w *world) streams(a, b topo.RouterID, flows int, d time.Duration) (lost, of int) {
	w.t.Helper()
	arrived := 0
	for start := time.Now(); time.Since(start) < d; time.Sleep(10 * time.Millisecond) {
		for i := range flows {
			pkt := packet(host4(a), host4(b), 200, "x")
			pkt[20], pkt[21] = byte(i>>8), byte(i) // source port
			w.send(a, pkt)
			of++
		}
		for {
			_, ok := w.delivered(b, time.Millisecond)
			if !ok {
				break
			}
			arrived++
		}
	}
	for {
		if _, ok := w.delivered(b, time.Second); !ok {
			return of - arrived, of
		}
		arrived++
	}
}

// One of four source ports dies, one way. Its flows move within a second, those of the others lose nothing, and
// the link stays what it is.
func TestALaneDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.latency(1, 2, 40*time.Millisecond)
		w.startAll()
		w.untilMeshed(1, 2)
		w.untilLanes(1, 2, 2*time.Second, "[used used used used]")
		if lost, of := w.streams(1, 2, 64, time.Second); lost > 0 {
			t.Fatalf("%d of %d lost while all is well", lost, of)
		}
		for i, n := range w.peer(1, 2).Link.Lanes {
			if n.Share != 0.25 || n.Out.Packets == 0 {
				t.Errorf("lane %d: %+v", i, n)
			}
		}
		w.net.SetFrom(w.laneOf(1, 2), addrOf(2).Addr(), cutPath)
		took := w.untilLanes(1, 2, time.Second, "[used used left used]")
		t.Logf("left after %v", took)
		if lost, of := w.streams(1, 2, 64, time.Second); lost > 0 {
			t.Errorf("%d of %d lost after the lane was left", lost, of)
		}
		if l := w.peer(1, 2).Link; l.State != "up" || l.LossOut > 0 || l.Lanes[2].Share != 0 || l.Lanes[2].Why == "" {
			t.Errorf("link %s, loss %d, lane %+v", l.State, l.LossOut, l.Lanes[2])
		}
		if l := w.peer(2, 1).Link; l.LanesIn != 3 || fmt.Sprint(w.lanesOf(2, 1)) != "[used used used used]" {
			t.Errorf("the other end: %+v", l)
		}
		w.net.SetFrom(w.laneOf(1, 2), addrOf(2).Addr(), wholeLane)
		took = w.untilLanes(1, 2, 30*time.Second, "[used used used used]")
		t.Logf("back after %v", took)
		for _, r := range w.routers {
			left, back := saw[LaneLeft](r, nil), saw[LaneBack](r, nil)
			if want := map[topo.RouterID]int{1: 1}[r.id]; left != want || back != want {
				t.Errorf("%s told %d times of leaving and %d of coming back", r.id, left, back)
			}
			if n := saw(r, func(e LinkChanged) bool { return e.To != "up" }); n > 0 {
				t.Errorf("%s: the link itself changed %d times", r.id, n)
			}
		}
	})
}

// The session's own port dies both ways: QUIC cannot live there, and packets go on by the others.
func TestTheFirstLaneDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.latency(1, 2, 20*time.Millisecond)
		w.startAll()
		w.untilMeshed(1, 2)
		w.untilLanes(1, 2, 2*time.Second, "[used used used used]")
		w.net.SetFrom(w.laneOf(1, 0), addrOf(2).Addr(), cutPath)
		w.net.SetFrom(w.laneOf(2, 0), addrOf(1).Addr(), cutPath)
		w.untilLanes(1, 2, time.Second, "[left used used used]")
		w.untilLanes(2, 1, time.Second, "[left used used used]")
		for range 6 {
			if lost, of := w.streams(1, 2, 16, 5*time.Second); lost > 0 {
				t.Errorf("%d of %d lost", lost, of)
			}
		}
		if n := saw(w.routers[1], func(e LinkChanged) bool { return e.To == "down" }); n > 0 {
			t.Errorf("down %d times", n)
		}
		w.net.SetFrom(w.laneOf(1, 0), addrOf(2).Addr(), wholeLane)
		w.net.SetFrom(w.laneOf(2, 0), addrOf(1).Addr(), wholeLane)
		w.until("a session again", time.Minute, func() bool { return len(w.peer(1, 2).Sessions) > 0 })
		w.untilLanes(1, 2, 5*time.Minute, "[used used used used]")
	})
}

// A router with one port and one with four agree on one.
func TestUnequalLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.fewer = map[topo.RouterID]int{2: worldLanes - 1}
		w.startAll()
		w.untilMeshed(1, 2)
		time.Sleep(time.Second)
		for a, b := topo.RouterID(1), topo.RouterID(2); a <= 2; a, b = a+1, b-1 {
			if got := fmt.Sprint(w.lanesOf(a, b)); got != "[used]" {
				t.Errorf("%s: lanes %s", a, got)
			}
		}
		if !w.passes(1, 2) || !w.passes(2, 1) {
			t.Error("nothing passes")
		}
	})
}

// A router of the release before knows no reports: with it there is one lane and its own way to judge sizes,
// whoever of the two is the lower. A cut is noticed as ever, and between two new ones nothing changes.
func TestAnOlderPeer(t *testing.T) {
	for old := topo.RouterID(1); old <= 2; old++ {
		t.Run(old.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 3)
				w.lacks = map[topo.RouterID]uint64{old: wire.FeatureReports}
				w.latency(1, 2, 20*time.Millisecond)
				w.latency(1, 3, 20*time.Millisecond)
				w.latency(2, 3, 20*time.Millisecond)
				w.startAll()
				w.untilMeshed(1, 2, 3)
				full := w.conf.withDefaults().FabricMTU + wire.Overhead
				w.until("full size", 5*time.Second, func() bool {
					return w.peer(1, 2).Link.MTU == full && w.peer(2, 1).Link.MTU == full
				})
				if got := fmt.Sprint(w.lanesOf(1, 2), w.lanesOf(2, 1)); got != "[used] [used]" {
					t.Errorf("lanes with an old peer: %s", got)
				}
				w.untilLanes(3-old, 3, 2*time.Second, "[used used used used]")
				w.net.Both(addrOf(1).Addr(), addrOf(2).Addr(), narrowPath)
				w.until("the black hole is found", 3*time.Second, func() bool {
					return w.peer(1, 2).Link.MTU == smallDatagram && w.peer(2, 1).Link.MTU == smallDatagram
				})
				w.net.Both(addrOf(1).Addr(), addrOf(2).Addr(), wholePath)
				w.until("full size again", 5*time.Second, func() bool {
					return w.peer(1, 2).Link.MTU == full && w.peer(2, 1).Link.MTU == full
				})
				w.cut(1, 2)
				took := w.until("relayed", time.Second, func() bool { return w.reaches(1, 2) == "relayed" && w.reaches(2, 1) == "relayed" })
				if took > 250*time.Millisecond {
					t.Errorf("noticed after %v", took)
				}
				w.heal(1, 2)
				w.until("direct again", 30*time.Second, func() bool { return w.reaches(1, 2) == "direct" && w.reaches(2, 1) == "direct" })
			})
		})
	}
}

// A relay knows a neighbour by each of its lanes.
func TestRelayedByEveryLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := triangle(t)
		w.untilLanes(1, 2, 2*time.Second, "[used used used used]")
		w.untilLanes(2, 3, 2*time.Second, "[used used used used]")
		w.cut(1, 3)
		w.until("relayed", time.Second, func() bool { return w.reaches(1, 3) == "relayed" && w.reaches(3, 1) == "relayed" })
		if lost, of := w.streams(1, 3, 64, time.Second); lost > 0 {
			t.Errorf("%d of %d lost", lost, of)
		}
		if d := w.routers[2].mesh.Status().Drops["no-link-tag"]; d > 0 {
			t.Errorf("the relay did not know the sender of %d", d)
		}
		for i, n := range w.peer(1, 2).Link.Lanes {
			if n.Out.Packets < 500 {
				t.Errorf("%d packets by lane %d", n.Out.Packets, i)
			}
		}
	})
}

// A policer takes one of ten on one lane.
func TestALossyLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.latency(1, 2, 40*time.Millisecond)
		w.startAll()
		w.untilMeshed(1, 2)
		time.Sleep(20 * time.Second)
		w.net.SetFrom(w.laneOf(1, 1), addrOf(2).Addr(), losePath)
		took := w.untilLanes(1, 2, 20*time.Second, "[used left used used]")
		t.Logf("left after %v", took)
		time.Sleep(10 * time.Second)
		if lost, of := w.streams(1, 2, 64, time.Second); lost > 0 {
			t.Errorf("%d of %d lost after the lane was left", lost, of)
		}
		if l := w.peer(1, 2).Link; l.State != "up" || l.LossOut > 0 {
			t.Errorf("the link: %s, loss %d", l.State, l.LossOut)
		}
	})
}

func wholeLane(p *fabrictest.Path) { *p = fabrictest.Path{} }

// Each direction finds what it carries: jumbo frames one way, Ethernet the other, and a black hole that comes
// and goes.
func TestEachDirectionFindsItsMTU(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2)
		w.mtu = map[topo.RouterID]int{1: MaxMTU, 2: MaxMTU}
		w.latency(1, 2, 40*time.Millisecond)
		w.net.Set(addrOf(2).Addr(), addrOf(1).Addr(), func(p *fabrictest.Path) { p.MTU = 1472 })
		w.startAll()
		w.untilMeshed(1, 2)
		sized := func(a, b topo.RouterID, octets int) func() bool {
			return func() bool { l := w.peer(a, b).Link; return l.MTU == octets && w.peer(b, a).Link.MTUIn == octets }
		}
		w.until("jumbo frames one way", 10*time.Second, sized(1, 2, MaxMTU+wire.Overhead))
		w.until("Ethernet's size the other", 10*time.Second, sized(2, 1, 1472))

		w.net.Set(addrOf(2).Addr(), addrOf(1).Addr(), func(p *fabrictest.Path) { p.MTU = 0 })
		w.until("jumbo frames both ways", time.Minute, sized(2, 1, MaxMTU+wire.Overhead))
		w.until("routes that know", 10*time.Second, func() bool { return w.routeMTU(1, 2) == MaxMTU && w.routeMTU(2, 1) == MaxMTU })
		big := packet(host4(1), host4(2), MaxMTU, "x")
		w.send(1, big)
		if got, ok := w.delivered(2, time.Second); !ok || string(got) != string(big) {
			t.Error("a packet of the largest MTU did not pass")
		}

		w.net.Set(addrOf(1).Addr(), addrOf(2).Addr(), func(p *fabrictest.Path) { p.MTU = 1472 })
		took := w.until("the black hole is found", 2*time.Second, func() bool { return w.peer(1, 2).Link.MTU <= 1472 })
		t.Logf("black hole found after %v", took)
		w.until("the size that passes", 5*time.Second, sized(1, 2, 1472))
		if l := w.peer(2, 1).Link; l.MTU != MaxMTU+wire.Overhead {
			t.Errorf("the other direction has %d", l.MTU)
		}
	})
}
