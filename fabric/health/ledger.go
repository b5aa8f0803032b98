package health

import "time"

// sentRing is how many of our own probes are remembered, which bounds the round trip that can be
// measured: 20 s where one in four slots has two.
const sentRing = 512

// fate is what became of one of our probes.
type fate uint8

const (
	flying fate = iota
	arrived
	lost
)

// entry is one of our probes.
type entry struct {
	seq    uint64
	at     time.Time
	size   int
	lane   uint8
	stream bool // short and by a lane in use: its loss counts against the link
	fate   fate
}

// ledger holds the newest of our probes, by number.
type ledger struct {
	ring [sentRing]entry
	last uint64 // newest number
}

func (l *ledger) add(e entry) {
	l.ring[e.seq%sentRing] = e
	l.last = max(l.last, e.seq)
}

// get finds a probe, or nil when it was not sent or is forgotten.
func (l *ledger) get(seq uint64) *entry {
	e := &l.ring[seq%sentRing]
	if seq == 0 || e.seq != seq {
		return nil
	}
	return e
}

// newest yields the short probes whose fate is known, sent at since or later, the newest first.
func (l *ledger) newest(since time.Time) func(yield func(*entry) bool) {
	return func(yield func(*entry) bool) {
		for seq := l.last; seq > 0 && seq+sentRing > l.last; seq-- {
			e := l.get(seq)
			if e == nil || e.fate == flying || e.size > 0 {
				continue
			}
			if e.at.Before(since) || !yield(e) {
				return
			}
		}
	}
}

// heardBits is how many fates one report tells.
const heardBits = 64

// lateFor is by how much a probe may be overtaken before it counts as lost, in intervals.
const lateFor = 2

// settle reads fates out of a report. told is called for each probe of which there is news; one that was
// called lost may have arrived after all.
func (l *Link) settle(now time.Time, echo uint64, heard uint64, told func(*entry)) {
	newest := l.sent.get(echo)
	if newest == nil {
		return
	}
	for i := min(uint64(heardBits), echo) - 1; i < heardBits; i-- { // the oldest first; ends below zero
		e := l.sent.get(echo - i)
		switch {
		case e == nil || e.fate == arrived:
		case heard>>i&1 != 0:
			e.fate = arrived
			told(e)
		case e.fate == flying && newest.at.Sub(e.at) >= l.overtaking(e.lane, newest.lane):
			e.fate = lost
			told(e)
		}
	}
}

// overtaking is how long a probe of lane a may be behind one of lane b without being lost: some jitter, and
// what the one way is longer than the other.
func (l *Link) overtaking(a, b uint8) time.Duration {
	return lateFor*l.cfg.Interval - l.cfg.Interval/4 + max(l.lanes[a].rtt.smooth-l.lanes[b].rtt.smooth, 0)
}
