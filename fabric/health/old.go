package health

import (
	"fmt"
	"time"
)

// A peer that sends no reports judges by the numbers of our probes: it takes some of the first and every
// eighth for full-size ones, counts them apart, and tells everybody whether they arrive. We do the same
// for it.

const (
	// oldFullEvery is part of that format.
	oldFullEvery = 8
	// fullMisses is how many full-size probes in a row must be lost for the verdict of a black hole.
	fullMisses = 3
	// maxChance is how likely the loss of small probes may make the loss of as many full-size ones.
	maxChance = 1e-4
)

// oldFull says whether probe number seq is of full size.
func oldFull(seq uint64) bool {
	return seq%oldFullEvery == 0 || seq == 2 || seq == 4 || seq == 6
}

// old is what only old peers need.
type old struct {
	out      outbound
	judged   uint64 // the peer's numbers up to here have been judged for gaps and full size
	fullGone int    // full-size probes lost in a row
	local    int    // what our interface takes; 0 is no limit met
}

func (l *Link) planOld(now time.Time) {
	e := entry{stream: true}
	if oldFull(max(l.sent.last+1, l.cfg.First)) {
		e = entry{size: l.cfg.Max}
	}
	l.put(now, e)
}

// measureOld takes losses from a probe in order, and judges what went missing.
func (l *Link) measureOld(now time.Time, s Sample, events []Event) []Event {
	if s.EchoSeq > 0 {
		l.old.out.add(mark{s.EchoSeq, s.Received})
	}
	l.status.LossIn, _ = l.in.loss(oldFull)
	l.status.LossOut, _ = l.old.out.loss(oldFull)
	if l.lanes[0].state != Used && s.EchoSeq > 0 {
		l.use(now, 0, "")
	}
	l.gaps()
	return l.swallowed(now, events)
}

// oldLoss is the losses in and out, or none where too little was seen.
func (l *Link) oldLoss() (in, out uint32, enough bool) {
	in, inOK := l.in.loss(oldFull)
	out, outOK := l.old.out.loss(oldFull)
	if !inOK {
		in = 0
	}
	if !outOK {
		out = 0
	}
	return in, out, inOK && outOK
}

// gaps counts the probes that are now known to be lost.
func (l *Link) gaps() {
	if l.highest <= reorder {
		return
	}
	to := l.highest - reorder
	from := max(l.old.judged+1, l.in.first)
	if to >= window {
		from = max(from, to-window+1)
	}
	for s := from; s <= to; s++ {
		switch {
		case !oldFull(s) && !l.in.has(s):
			l.missed++
		case oldFull(s) && !l.in.has(s):
			l.old.fullGone++
		}
	}
	l.old.judged = max(l.old.judged, to)
}

// oldFullSize notes a full-size probe that arrived.
func (l *Link) oldFullSize(now time.Time, s Sample, events []Event) []Event {
	l.old.fullGone = 0
	size := s.Size
	if size == 0 {
		size = l.cfg.Max
	}
	return l.oldSize(now, size, "a full-size probe arrived", events)
}

// swallowed gives the verdict of a black hole: full-size probes go missing while small ones arrive.
func (l *Link) swallowed(now time.Time, events []Event) []Event {
	if l.old.fullGone < fullMisses {
		return events
	}
	// On a lossy link full-size probes go missing by chance, too.
	chance := 1.0
	for range l.old.fullGone {
		chance *= float64(l.status.LossIn) / million
	}
	if chance > maxChance {
		return events
	}
	return l.oldSize(now, l.cfg.Base,
		fmt.Sprintf("%d full-size probes in a row were lost while small ones arrived", l.old.fullGone), events)
}

func (l *Link) oldRefused(now time.Time, size int) []Event {
	if size <= l.cfg.Base || l.old.local > 0 {
		return nil
	}
	l.old.local = l.cfg.Base
	return l.oldSize(now, l.cfg.Base, fmt.Sprintf("the interface toward it refuses %d octets", size), nil)
}

func (l *Link) oldSize(now time.Time, size int, why string, events []Event) []Event {
	if l.old.local > 0 {
		size = min(size, l.old.local)
	}
	if l.status.MTU == size {
		return events
	}
	l.status.MTU = size
	return append(events, Event{At: now, Kind: MTUChanged, MTU: size, Why: why})
}

func (l *Link) restartOld(seq uint64) {
	l.in, l.old.out = inbound{}, outbound{}
	l.in.add(seq)
	l.old.judged = seq
}
