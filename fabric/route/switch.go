package route

import (
	"fmt"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// maxSwitches is how many of the last switches are remembered for each router and plane.
const maxSwitches = 4

// Switch is a change of the next hop to a router.
type Switch struct {
	At      time.Time
	Plane   topo.Plane
	To      topo.RouterID
	Was, Is topo.RouterID // next hops; 0 is no way
	WasCost uint64        // microseconds, before the change
	IsCost  uint64
	Cause   Cause
}

// Cause is the link that made a switch: of those that changed, the first on the way that was left, or, when
// all of that way is as it was, on the way that was taken instead.
type Cause struct {
	Left    bool // it was on the way that was left
	Was, Is Link // as both ends see it; an empty one does not count
}

// String tells the cause to people.
func (c Cause) String() string {
	was, is := c.Was, c.Is
	// Which figure moved the cost: a packet of a million lost is worth a microsecond, as for CostFor.
	lossy := max(was.LossPPM, is.LossPPM) - min(was.LossPPM, is.LossPPM)
	slower := uint32(max(was.RTT-is.RTT, is.RTT-was.RTT, was.RTT95-is.RTT95, is.RTT95-was.RTT95) / 2 / time.Microsecond)
	switch {
	case was == is && was != Link{}:
		return fmt.Sprintf("%s began or ended draining", was.From)
	case was == Link{} && is == Link{}:
		return "routers came or went"
	case was == Link{}:
		return fmt.Sprintf("the link from %s to %s came up", is.From, is.To)
	case is == Link{}:
		return fmt.Sprintf("the link from %s to %s went down", was.From, was.To)
	case lossy > slower:
		return fmt.Sprintf("the loss from %s to %s went from %d to %d in a million", was.From, was.To, was.LossPPM, is.LossPPM)
	case slower > 0:
		return fmt.Sprintf("the round trip between %s and %s went from %v to %v", was.From, was.To, max(was.RTT, was.RTT95), max(is.RTT, is.RTT95))
	case was.MTU != is.MTU:
		return fmt.Sprintf("the MTU from %s to %s went from %d to %d", was.From, was.To, was.MTU, is.MTU)
	}
	return fmt.Sprintf("rate or price of the link from %s to %s changed", was.From, was.To)
}

type logKey struct {
	plane int
	to    topo.RouterID
}

// note remembers the routers that a plane's update gave another next hop.
func (e *Engine) note(now time.Time, p *plane) {
	if len(p.last) != len(p.own.spots) {
		return // the first time, or routers came or went
	}
	var changed map[[2]int32]*step
	for v := range p.last {
		was, is := &p.last[v], &p.own.spots[v]
		if was.first == is.first {
			continue
		}
		if changed == nil {
			changed = make(map[[2]int32]*step, len(e.steps))
			for i := range e.steps {
				changed[[2]int32{e.steps[i].from, e.steps[i].to}] = &e.steps[i]
			}
		}
		s := Switch{At: now, Plane: p.id, To: e.graph.ids[v]}
		if was.first >= 0 {
			s.Was, s.WasCost = e.graph.ids[was.first], was.dist
		}
		if is.first >= 0 {
			s.Is, s.IsCost = e.graph.ids[is.first], is.dist
		}
		if c := culprit(changed, p.last, int32(v)); c != nil {
			s.Cause = Cause{true, c.was, c.is}
		} else if c := culprit(changed, p.own.spots, int32(v)); c != nil {
			s.Cause = Cause{false, c.was, c.is}
		}
		k := logKey{p.id.Index(), s.To}
		l := e.log[k]
		if len(l) == maxSwitches {
			copy(l, l[1:])
			l = l[:maxSwitches-1]
		}
		e.log[k] = append(l, s)
	}
}

// culprit is the change on the way to v that is nearest to its beginning.
func culprit(changed map[[2]int32]*step, spots []spot, v int32) (found *step) {
	for spots[v].prev >= 0 {
		if s := changed[[2]int32{spots[v].prev, v}]; s != nil {
			found = s
		}
		v = spots[v].prev
	}
	return found
}

// Switches lists the last changes of the next hop to a router, oldest first, at most four.
func (e *Engine) Switches(plane topo.Plane, to topo.RouterID) []Switch {
	return e.log[logKey{plane.Index(), to}]
}
