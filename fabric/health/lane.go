package health

import (
	"fmt"
	"math/bits"
	"time"
)

// LaneState is the verdict on one lane, for our direction of it.
type LaneState uint8

// The states of a lane; only Used carries flows.
const (
	Untried LaneState = iota // the peer has heard nothing of it (since the link was last down)
	Used
	Left
)

func (s LaneState) String() string { return [...]string{"untried", "used", "left", "?"}[s&3] }

const (
	// unlucky is how seldom chance may imitate a bad lane: four lanes are each asked a few thousand times an
	// hour.
	unlucky = 1e-5
	// leastLost is how many of a lane's probes must be lost for any verdict.
	leastLost = 3
	// backAfter is how many arrivals in a row bring a lane back that was left once: 16 s.
	backAfter = 40
	// backCost is how many arrivals one loss undoes meanwhile; a lane that loses one of twenty gets nowhere
	// for long.
	backCost = 20
	// maxLaneFlaps bounds the doubling of backAfter: 4 minutes.
	maxLaneFlaps = 5
	// laneCalm is how long a lane must be used for one time of leaving it to be forgotten.
	laneCalm = 5 * time.Minute
	// doubtProbes is how many probes besides the stream a lost one causes on its lane.
	doubtProbes = 3
	// leftEvery is how many slots pass between two probes of lanes that are not used.
	leftEvery = 8
	// bigEvery is which of those are large.
	bigEvery = 4
	// eagerFor is how long lanes are asked in every slot after the link began or came back.
	eagerFor = 2 * time.Second
)

// lane is one source port of ours.
type lane struct {
	state   LaneState
	why     string
	since   time.Time
	flaps   int
	flapped time.Time
	proof   int  // arrivals while left
	doubt   int  // probes owed
	gone    int  // short probes lost in a row
	bigGone int  // large probes lost in a row
	carried bool // meanwhile another lane carried one
	rtt     rtt
}

// LaneStatus is what is known of one lane.
type LaneStatus struct {
	State LaneState
	Why   string // of the last change; empty when there was none
	Since time.Time
	RTT   time.Duration // out by this lane, back by whichever the peer chose
	Loss  uint32        // of a million, of at most the last 512 probes of the link
	Slots int           // of the 16 groups of flows
	Flaps int           // times it was left lately
}

// Lanes lists the lanes.
func (l *Link) Lanes() []LaneStatus {
	out := make([]LaneStatus, l.cfg.Lanes)
	tallies := l.tallies()
	for i := range out {
		n := &l.lanes[i]
		out[i] = LaneStatus{State: n.state, Why: n.why, Since: n.since, RTT: n.rtt.smooth, Loss: tallies[i].ppm(), Flaps: n.flaps}
	}
	for _, lane := range l.flows {
		out[lane].Slots++
	}
	return out
}

// Slots is how many groups the flows of a link are divided into.
const Slots = 16

// Flows says which lane each group of flows takes. It changes with a lane's state only, and then only for
// the groups that must move or may move back.
func (l *Link) Flows() [Slots]uint8 { return l.flows }

// divide gives each slot the first lane in use of an order that is its own for ever. While no lane is in use
// all stays as it is.
func (l *Link) divide() {
	if l.used() == 0 {
		return
	}
	n := l.cfg.Lanes
	for s := range Slots {
		home := s % n
		at := home
		for j := 0; j < n-1 && l.lanes[at].state != Used; j++ {
			at = (home + 1 + (j+s/n)%(n-1)) % n
		}
		l.flows[s] = uint8(at)
	}
}

// used is the lanes in use, as bits.
func (l *Link) used() (set uint16) {
	for i := range l.cfg.Lanes {
		if l.lanes[i].state == Used {
			set |= 1 << i
		}
	}
	return set
}

// tallies counts the known fates of each lane in its present state.
func (l *Link) tallies() (t [MaxLanes]tally) {
	for e := range l.sent.newest(time.Time{}) {
		if !e.at.Before(l.lanes[e.lane].since) {
			t[e.lane].add(e.fate)
		}
	}
	return t
}

// laneFate takes what became of a probe to its lane.
func (l *Link) laneFate(now time.Time, e *entry, events []Event) []Event {
	n := &l.lanes[e.lane]
	if e.at.Before(n.since) {
		return events // of a former state
	}
	if e.size == 0 {
		if n.gone++; e.fate == arrived {
			n.gone = 0
		}
	}
	switch {
	case e.fate == arrived && n.state == Used:
		if e.size > 0 && e.size >= l.pmtu.Size() {
			for i := range l.cfg.Lanes {
				l.lanes[i].carried = true
			}
			n.bigGone, n.carried = 0, false
		}
	case e.fate == arrived && (n.state == Untried || l.used() == 0):
		// The peer heard it, and knows the port from now on. If nothing else is left, that is enough.
		l.use(now, e.lane, "")
	case e.fate == arrived:
		n.proof++
		if need := backAfter << max(n.flaps-1, 0); n.proof >= need {
			l.use(now, e.lane, fmt.Sprintf("%d good probes", n.proof))
			events = append(events, Event{At: now, Kind: LaneBack, Lane: e.lane, Why: n.why})
		}
	case n.state == Left:
		n.proof = max(n.proof-backCost, 0)
	case n.state == Used && e.size > l.pmtu.Size():
		// It was asked whether more passes.
	case n.state == Used && e.size > 0:
		if n.bigGone++; n.bigGone == 1 {
			n.carried = false
		}
	case n.state == Used:
		n.doubt = min(n.doubt+doubtProbes, 2*doubtProbes)
	}
	return events
}

func (l *Link) use(now time.Time, i uint8, why string) {
	n := &l.lanes[i]
	n.state, n.why, n.since = Used, why, now
	n.flapped, n.proof, n.doubt, n.gone, n.bigGone = now, 0, 0, 0, 0
	l.divide()
}

// judgeLanes leaves lanes that are worse than the others.
func (l *Link) judgeLanes(now time.Time, events []Event) []Event {
	tallies := l.tallies()
	for i := range l.cfg.Lanes {
		n := &l.lanes[i]
		if n.state != Used || bits.OnesCount16(l.used()) < 2 {
			continue
		}
		why := ""
		if tallies[i].lost >= leastLost {
			why = l.worse(i, l.others(i, tallies))
		}
		if why == "" && n.carried && n.bigGone >= leastLost && tail(n.bigGone, n.bigGone, tallies[i].likely()) < unlucky {
			why = fmt.Sprintf("%d datagrams of %d octets in a row were lost that other lanes carried", n.bigGone, l.pmtu.Size())
		}
		if why == "" {
			continue
		}
		n.state, n.why, n.since = Left, why, now
		n.flaps, n.flapped, n.proof = min(n.flaps+1, maxLaneFlaps), now, 0
		l.divide()
		events = append(events, Event{At: now, Kind: LaneLeft, Lane: uint8(i), Why: why})
	}
	return events
}

// calmLanes forgets that lanes were left.
func (l *Link) calmLanes(now time.Time) {
	for i := range l.cfg.Lanes {
		if n := &l.lanes[i]; n.state == Used && n.flaps > 0 && now.Sub(n.flapped) >= laneCalm {
			n.flaps--
			n.flapped = now
		}
	}
}

// others is the loss to expect of lane i by what the other lanes in use lose.
func (l *Link) others(i int, tallies [MaxLanes]tally) float64 {
	var sum tally
	for j := range l.cfg.Lanes {
		if j != i && l.lanes[j].state == Used && !l.doubtful(uint8(j)) {
			sum.n += tallies[j].n
			sum.lost += tallies[j].lost
		}
	}
	return sum.likely()
}

// doubtful says that a lane may have died just now, while others have not. It is then no witness: when two of
// four break together, neither may excuse the other, nor make the link look lossy that will leave both.
func (l *Link) doubtful(i uint8) bool {
	if l.lanes[i].gone < 2 {
		return false
	}
	for j := range l.cfg.Lanes {
		if l.lanes[j].state == Used && l.lanes[j].gone == 0 {
			return true
		}
	}
	return false
}

// worse says why lane i is bad, or nothing: over each stretch from now back to one of its losses, were so many
// lost that chance does not explain it?
func (l *Link) worse(i int, expect float64) string {
	var t tally
	for e := range l.sent.newest(l.lanes[i].since) {
		if int(e.lane) != i {
			continue
		}
		if t.add(e.fate); e.fate == lost && t.lost >= leastLost && tail(t.n, t.lost, expect) < unlucky {
			return fmt.Sprintf("%d of %d probes lost, of others %.1f %%", t.lost, t.n, expect*100)
		}
	}
	return ""
}
