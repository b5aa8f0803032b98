package health

const million = 1_000_000

const (
	// window is how many probes a loss is measured over: 12.8 s at 50 ms.
	window = 256
	// minWindow is how many must be in it before a loss is worth stating.
	minWindow = 64
	// quickWindow is within how many of the newest ones a loss may show that those before do not explain. It is
	// believed at once: a link that begins to lose one of ten is told of within one or two seconds.
	quickWindow = 64
	// quickChance is how seldom chance may imitate that.
	quickChance = 1e-4
)

// lossOut is the loss of our probes by lanes in use, of a million: as much as is certain.
func (l *Link) lossOut() uint32 {
	all, quick := l.stream()
	switch {
	case quick.lost > 0:
		return max(quick.ppm(), all.ppm())
	case all.n >= minWindow:
		return all.ppm()
	}
	return 0
}

// streamLoss is the loss to expect, against which the loss of large probes is held: of the newest or of all,
// whichever is more. Where little is known much is expected, and no verdict comes soon.
func (l *Link) streamLoss() float64 {
	all, quick := l.stream()
	return max(float64(quick.ppm())/million, all.likely())
}

// stream counts the probes of the stream by lanes that are in use still. quick is the longest stretch of the
// newest in which more were lost than chance explains by what was lost before; empty where there is none.
func (l *Link) stream() (all, quick tally) {
	newest := l.newestLost[:0] // the tally at each loss of the quick window
	var slow tally
	for e := range l.sent.newest(l.since) {
		n := &l.lanes[e.lane]
		if !e.stream || n.state != Used || e.at.Before(n.since) || l.doubtful(e.lane) {
			continue
		}
		all.add(e.fate)
		switch {
		case all.n > quickWindow:
			slow.add(e.fate)
		case e.fate == lost:
			newest = append(newest, all)
		}
		if all.n == window {
			break
		}
	}
	if slow.n < quickWindow {
		return all, quick // nothing to compare with
	}
	for i := len(newest) - 1; i+1 >= leastLost; i-- {
		if t := newest[i]; tail(t.n, t.lost, slow.likely()) < quickChance {
			return all, t
		}
	}
	return all, quick
}
