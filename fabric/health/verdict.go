package health

import (
	"fmt"
	"time"
)

const (
	// firstAnswer is how long the first probe may take before an unknown link is Down.
	firstAnswer = 2 * time.Second
	// firstGood is how many good probes take an unknown link Up: a handshake has just crossed it.
	firstGood = 3
	// badCost is how many good probes one lost probe undoes while a Down link proves itself; a link that
	// loses a quarter never does.
	badCost = 3
	// maxFlaps bounds the doubling of UpAfter.
	maxFlaps = 5
	// calm is how long a link must stay usable for one flap to be forgotten.
	calm = time.Minute
)

// unheard says whether Miss probes of the stream after echo should have been heard by the peer and were not.
func (l *Link) unheard(now time.Time, echo uint64) bool {
	n := 0
	for seq := max(echo+1, l.cfg.First); seq <= l.sent.last; seq++ {
		e := l.sent.get(seq)
		if e == nil {
			return true // sent so long ago that it is forgotten
		}
		if !e.stream {
			continue
		}
		if n++; n < l.cfg.Miss {
			continue
		}
		rtt := l.status.RTT
		if rtt == 0 {
			rtt = firstAnswer
		}
		return now.Sub(e.at) > rtt+max(4*l.status.RTTVar, l.cfg.Interval/2)
	}
	return false
}

// prove moves a link that is heard in both directions toward Up or Lossy.
func (l *Link) prove(now time.Time, s Sample, events []Event) []Event {
	missed := l.missed
	l.missed = 0
	if s.EchoSeq == 0 {
		return events // heard, but the peer has not heard us yet
	}
	if l.status.State.Usable() {
		return l.weigh(now, events)
	}
	l.good = max(0, l.good-badCost*missed) + 1
	need := firstGood
	if l.status.State == Down {
		need = l.cfg.UpAfter << max(0, l.status.Flaps-1)
	}
	if l.good < need {
		return events
	}
	why := fmt.Sprintf("%d good probes", l.good)
	if l.status.State == Down {
		l.restart(now, s.Seq)
	}
	return l.enter(now, Up, why, events)
}

// weigh moves a usable link between Up and Lossy, and forgets flaps.
func (l *Link) weigh(now time.Time, events []Event) []Event {
	if l.status.Flaps > 0 && now.Sub(l.flapped) >= calm {
		l.status.Flaps--
		l.flapped = now
	}
	l.calmLanes(now)
	in, out := l.status.LossIn, l.status.LossOut
	enough := true
	if !l.cfg.Reports {
		in, out, enough = l.oldLoss()
	}
	switch worst := max(in, out); {
	case l.status.State == Up && worst >= l.cfg.EnterLossPPM:
		return l.enter(now, Lossy, lossText(in, out), events)
	case l.status.State == Lossy && enough && worst < l.cfg.LeaveLossPPM:
		return l.enter(now, Up, lossText(in, out), events)
	}
	return events
}

func lossText(in, out uint32) string {
	return fmt.Sprintf("loss %.1f %% in, %.1f %% out", float64(in)/1e4, float64(out)/1e4)
}

// restart begins to measure anew at the peer's probe seq, so that an outage that is over is not counted as
// loss, and the path that came back is searched for its size.
func (l *Link) restart(now time.Time, seq uint64) {
	l.since = now
	l.status.LossIn, l.status.LossOut = 0, 0
	if !l.cfg.Reports {
		l.restartOld(seq)
		return
	}
	l.pmtu.Moved(now)
	for i := range l.cfg.Lanes {
		if n := &l.lanes[i]; n.state == Untried {
			n.since = now // to be asked eagerly
		}
	}
}

// Tick judges silence. Call it when Due says, and at least once per interval.
func (l *Link) Tick(now time.Time) []Event {
	// A caller that was itself asleep must not blame the link: what arrived meanwhile may still wait in
	// the socket. It gets one interval to be read.
	// Two intervals without a Tick are enough to say so: of three that may be missed, most are then our own.
	late := now.Sub(l.ticked) >= 2*l.cfg.Interval
	l.ticked = now
	if l.status.State == Down || now.Before(l.Due()) {
		return nil
	}
	if late {
		l.quiet = l.quiet.Add(now.Sub(l.Due()) + l.cfg.Interval)
		return nil
	}
	if l.status.State == Unknown {
		return l.enter(now, Down, fmt.Sprintf("no answer in %s", firstAnswer), nil)
	}
	return l.enter(now, Down, fmt.Sprintf("nothing heard for %s", now.Sub(l.quiet)), nil)
}

// Due says when Tick next has something to decide. While the link is Down that is never sooner than a
// probe is heard, and Due is the zero time.
func (l *Link) Due() time.Time {
	switch l.status.State {
	case Down:
		return time.Time{}
	case Unknown:
		return l.quiet.Add(firstAnswer)
	}
	return l.quiet.Add(time.Duration(l.cfg.Miss) * l.cfg.Interval)
}

// enter changes the state, with its bookkeeping.
func (l *Link) enter(now time.Time, to State, why string, events []Event) []Event {
	from := l.status.State
	if from == to {
		return events
	}
	if to == Down {
		if from.Usable() {
			l.status.Flaps = min(l.status.Flaps+1, maxFlaps)
		}
		l.good = 0
		l.down(now)
	}
	if to == Up && from == Down || to == Down {
		l.flapped = now
	}
	if to == Up {
		l.good = 0
	}
	l.status.State, l.status.Since, l.status.Why = to, now, why
	return append(events, Event{At: now, Kind: StateChanged, From: from, To: to, Why: why})
}

// down makes every lane that was in use prove itself anew: the path that comes back may be another. Flows
// stay where they are until it does.
func (l *Link) down(now time.Time) {
	if !l.cfg.Reports {
		l.old.out, l.in = outbound{}, inbound{}
		return
	}
	for i := range l.cfg.Lanes {
		if n := &l.lanes[i]; n.state == Used {
			n.state, n.since, n.why = Untried, now, "the link was down"
			n.doubt, n.gone, n.bigGone = 0, 0, 0
		}
	}
}
