package health

import "time"

// Plan numbers the probes of this slot and notes them as sent. Call it once for each interval and send what it
// returns, which is good until the next call: one probe of the stream, sometimes a second one.
func (l *Link) Plan(now time.Time) []Probe {
	l.slot++
	l.plan = l.plan[:0]
	if !l.cfg.Reports {
		l.planOld(now)
		return l.plan
	}
	used := l.used()
	l.put(now, entry{lane: l.turn(&l.streamTurn, used), stream: true})
	if !l.status.State.Usable() && l.status.State != Unknown {
		return l.plan // what a link that is down needs to know, the stream over all lanes tells
	}
	if size := l.pmtu.Next(now); size > 0 {
		l.put(now, entry{lane: l.bigLane(used), size: size})
		return l.plan
	}
	if lane, size, ok := l.besides(now); ok {
		l.put(now, entry{lane: lane, size: size})
	}
	return l.plan
}

// put numbers a probe.
func (l *Link) put(now time.Time, e entry) {
	e.seq, e.at = max(l.sent.last+1, l.cfg.First), now
	l.sent.add(e)
	l.plan = append(l.plan, Probe{Seq: e.seq, Lane: e.lane, Size: e.size})
}

// turn is the next lane of a set in turn; of an empty set, of all.
func (l *Link) turn(at *uint8, set uint16) uint8 {
	for range l.cfg.Lanes {
		*at = uint8((int(*at) + 1) % l.cfg.Lanes)
		if set == 0 || set>>*at&1 != 0 {
			break
		}
	}
	return *at
}

// bigLane chooses the lane of a large probe. One whose large probes were lost while others carried theirs
// takes every second turn.
func (l *Link) bigLane(used uint16) uint8 {
	if used == 0 {
		return l.streamTurn // nothing is known yet: by the lane that was asked just now
	}
	if l.bigs++; l.bigs%2 == 0 {
		for i := range l.cfg.Lanes {
			if used>>i&1 != 0 && l.lanes[i].bigGone > 0 {
				return uint8(i)
			}
		}
	}
	return l.turn(&l.bigTurn, used)
}

// besides chooses the second probe of a slot: of a lane in doubt, of one that is to be tried, of one that was
// left.
func (l *Link) besides(now time.Time) (lane uint8, size int, ok bool) {
	var doubt, fresh, unused uint16
	for i := range l.cfg.Lanes {
		n := &l.lanes[i]
		switch {
		case n.state == Used && n.doubt > 0:
			doubt |= 1 << i
		case n.state == Untried && now.Sub(n.since) < eagerFor:
			fresh |= 1 << i
		case n.state != Used:
			unused |= 1 << i
		}
	}
	switch {
	case doubt != 0:
		lane = l.turn(&l.asideTurn, doubt)
		l.lanes[lane].doubt--
	case fresh != 0:
		lane = l.turn(&l.asideTurn, fresh)
	case unused != 0 && l.slot%leftEvery == 0:
		lane = l.turn(&l.asideTurn, unused)
		l.asides++
		if l.asides%bigEvery == 0 && l.lanes[lane].state == Left {
			size = l.pmtu.Size()
		}
	default:
		return 0, 0, false
	}
	return lane, size, true
}
