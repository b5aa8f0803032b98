package health

import (
	"time"

	"github.com/galleon-net/galleon/fabric/pmtu"
)

// weighEvery is how often a loss that only falls is computed.
const weighEvery = 200 * time.Millisecond

// reported takes the peer's word on what became of our probes.
func (l *Link) reported(now time.Time, s Sample, events []Event) []Event {
	l.status.LossIn, l.status.MTUIn, l.status.LanesIn = min(s.Report.LossPPM, million), s.Report.MTU, s.Report.Lanes
	worse := false
	l.settle(now, s.EchoSeq, s.Report.Heard, func(e *entry) {
		if e.at.Before(l.since) {
			return
		}
		if e.fate == lost {
			worse = true
			if e.stream && l.lanes[e.lane].state == Used {
				l.missed++
			}
		}
		if e.size > 0 {
			events = l.sized(now, e, events)
		}
		events = l.laneFate(now, e, events)
	})
	if worse {
		events = l.judgeLanes(now, events)
	}
	if worse || now.Sub(l.weighed) >= weighEvery {
		l.weighed, l.status.LossOut = now, l.lossOut()
	}
	return events
}

// sized takes what became of a large probe to the search for the largest.
func (l *Link) sized(now time.Time, e *entry, events []Event) []Event {
	if l.status.State == Down || l.lanes[e.lane].state != Used && l.used() != 0 {
		return events // a lane that was left speaks for itself only
	}
	if e.fate == arrived {
		c, changed := l.pmtu.Heard(now, e.at, e.size)
		return l.resized(now, c, changed, events)
	}
	c, changed := l.pmtu.Lost(now, e.at, e.size, l.streamLoss())
	return l.resized(now, c, changed, events)
}

func (l *Link) resized(now time.Time, c pmtu.Change, changed bool, events []Event) []Event {
	if !changed {
		return events
	}
	l.status.MTU = c.Size
	for i := range l.lanes {
		l.lanes[i].bigGone = 0 // what was lost was of another size
	}
	return append(events, Event{At: now, Kind: MTUChanged, MTU: c.Size, Why: c.Why})
}

// Refused says that our own interface did not take a datagram of size.
func (l *Link) Refused(now time.Time, size int) []Event {
	if l.pmtu == nil {
		return l.oldRefused(now, size)
	}
	c, changed := l.pmtu.Refused(now, size)
	return l.resized(now, c, changed, nil)
}

// Moved says that the peer has another address now: the path is another.
func (l *Link) Moved(now time.Time) {
	if l.pmtu != nil {
		l.pmtu.Moved(now)
	}
}
