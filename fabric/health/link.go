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
	// fullMisses is how many full-size probes in a row must be lost for the verdict of a black hole.
	fullMisses = 3
	// maxChance is how likely the loss of small probes may make the loss of as many full-size ones.
	maxChance = 1e-4
	// sentRing is how many of our own probes are remembered, which bounds the round trip that can be
	// measured: 25 s at 50 ms.
	sentRing = 512
)

// Link is the state of one link. It is used by one goroutine. Make a new one for each new session
// with the peer: the numbers of probes start again.
type Link struct {
	cfg    Config
	status Status

	sent [sentRing]stamp // our probes, by number
	last uint64          // the newest of them

	in       inbound
	out      outbound
	echo     Echo
	highest  uint64    // the peer's newest number, never reset
	judged   uint64    // the peer's numbers up to here have been judged for gaps and full size
	fullGone int       // full-size probes lost in a row
	good     int       // proof of a link that is not usable yet
	quiet    time.Time // silence is counted from here
	flapped  time.Time // when Flaps last changed
	ticked   time.Time
}

type stamp struct {
	seq uint64
	at  time.Time
}

// New starts to judge a link of which nothing is known at now.
func New(cfg Config, now time.Time) *Link {
	return &Link{
		cfg:    cfg.withDefaults(),
		status: Status{Since: now, Why: "no probe heard yet"},
		quiet:  now, flapped: now, ticked: now,
	}
}

// FullSize says whether our probe number seq is to be padded to Config.FullSize. Three of the first
// probes are, so that a black hole is known within half a second.
func (l *Link) FullSize(seq uint64) bool {
	return seq%l.cfg.FullEvery == 0 || seq == 2 || seq == 4 || seq == 6
}

// Sent notes that our probe number seq left at now. Numbers count up by one from 1.
func (l *Link) Sent(now time.Time, seq uint64) {
	l.sent[seq%sentRing] = stamp{seq, now}
	l.last = max(l.last, seq)
}

// Echo returns what our next probe tells the peer.
func (l *Link) Echo() Echo { return l.echo }

// Status returns what is known now.
func (l *Link) Status() Status { return l.status }

// Heard judges a probe that arrived at now.
func (l *Link) Heard(now time.Time, s Sample) (events []Event) {
	if s.Seq == 0 || s.EchoSeq > l.last || !l.in.add(s.Seq) {
		return nil // a number that nobody gave out, or a copy
	}
	l.quiet = now
	if !l.FullSize(s.Seq) {
		l.echo.Received++
	}
	if l.FullSize(s.Seq) {
		events = l.full(now, s, events)
	}
	if s.Seq < l.highest {
		return events // overtaken: what it says of us is older than what we know
	}
	l.highest = s.Seq
	l.echo.Seq, l.echo.At = s.Seq, now
	l.measure(now, s)
	missed := l.gaps()
	events = l.swallowed(now, events)
	if l.unheard(now, s.EchoSeq) {
		l.good = 0
		return l.enter(now, Down, fmt.Sprintf("the peer hears none of our probes since %d", s.EchoSeq), events)
	}
	return l.prove(now, s, missed, events)
}

// measure takes round trip and losses from a probe in order.
func (l *Link) measure(now time.Time, s Sample) {
	if s.EchoSeq > 0 {
		l.out.add(mark{s.EchoSeq, s.Received})
		if st := l.sent[s.EchoSeq%sentRing]; st.seq == s.EchoSeq {
			l.smooth(max(now.Sub(st.at)-max(s.Hold, 0), 0))
		}
	}
	l.status.LossIn, _ = l.in.loss(l.FullSize)
	l.status.LossOut, _ = l.out.loss(l.FullSize)
}

// smooth is the estimator of RFC 6298, section 2.
func (l *Link) smooth(rtt time.Duration) {
	st := &l.status
	if st.RTT == 0 {
		st.RTT, st.RTTVar, st.MinRTT = rtt, rtt/2, rtt
		return
	}
	st.RTTVar += (max(st.RTT-rtt, rtt-st.RTT) - st.RTTVar) / 4
	st.RTT += (rtt - st.RTT) / 8
	st.MinRTT = min(st.MinRTT, rtt)
}

// gaps counts the small probes that are now known to be lost.
func (l *Link) gaps() (missed int) {
	if l.highest <= reorder {
		return 0
	}
	to := l.highest - reorder
	from := max(l.judged+1, l.in.first)
	if to >= window {
		from = max(from, to-window+1)
	}
	for s := from; s <= to; s++ {
		switch {
		case !l.FullSize(s) && !l.in.has(s):
			missed++
		case l.FullSize(s) && !l.in.has(s):
			l.fullGone++
		}
	}
	l.judged = max(l.judged, to)
	return missed
}

// full notes a full-size probe that arrived.
func (l *Link) full(now time.Time, s Sample, events []Event) []Event {
	l.fullGone = 0
	size := s.Size
	if size == 0 {
		size = l.cfg.FullSize
	}
	if l.status.MTU == size {
		return events
	}
	l.status.MTU = size
	return append(events, Event{At: now, Kind: MTUChanged, MTU: size, Why: "a full-size probe arrived"})
}

// swallowed gives the verdict of a black hole: full-size probes go missing while small ones arrive.
func (l *Link) swallowed(now time.Time, events []Event) []Event {
	if l.status.MTU == l.cfg.SmallSize || l.fullGone < fullMisses {
		return events
	}
	// On a lossy link full-size probes go missing by chance, too.
	chance := 1.0
	for range l.fullGone {
		chance *= float64(l.status.LossIn) / 1e6
	}
	if chance > maxChance {
		return events
	}
	l.status.MTU = l.cfg.SmallSize
	return append(events, Event{At: now, Kind: MTUChanged, MTU: l.cfg.SmallSize,
		Why: fmt.Sprintf("%d full-size probes in a row were lost while small ones arrived", l.fullGone)})
}

// unheard says whether Miss of our probes after echo should have been heard by the peer and were not.
func (l *Link) unheard(now time.Time, echo uint64) bool {
	first := echo + 1
	for n := 0; ; first++ {
		if !l.FullSize(first) {
			n++
		}
		if n == l.cfg.Miss {
			break
		}
	}
	st := l.sent[first%sentRing]
	if st.seq != first {
		return first+sentRing <= l.last // not sent yet, or sent so long ago that it is forgotten
	}
	rtt := l.status.RTT
	if rtt == 0 {
		rtt = firstAnswer
	}
	return now.Sub(st.at) > rtt+max(4*l.status.RTTVar, l.cfg.Interval/2)
}

// prove moves a link that is heard in both directions toward Up or Lossy.
func (l *Link) prove(now time.Time, s Sample, missed int, events []Event) []Event {
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
		l.restart(s.Seq)
	}
	return l.enter(now, Up, why, events)
}

// weigh moves a usable link between Up and Lossy, and forgets flaps.
func (l *Link) weigh(now time.Time, events []Event) []Event {
	if l.status.Flaps > 0 && now.Sub(l.flapped) >= calm {
		l.status.Flaps--
		l.flapped = now
	}
	in, inOK := l.in.loss(l.FullSize)
	out, outOK := l.out.loss(l.FullSize)
	worst := max(in, out)
	switch {
	case l.status.State == Up && (inOK && in >= l.cfg.EnterLossPPM || outOK && out >= l.cfg.EnterLossPPM):
		return l.enter(now, Lossy, lossText(in, out), events)
	case l.status.State == Lossy && inOK && outOK && worst < l.cfg.LeaveLossPPM:
		return l.enter(now, Up, lossText(in, out), events)
	}
	return events
}

func lossText(in, out uint32) string {
	return fmt.Sprintf("loss %.1f %% in, %.1f %% out", float64(in)/1e4, float64(out)/1e4)
}

// restart begins the measurement of loss at the peer's probe seq, so that an outage that is over is
// not counted as loss.
func (l *Link) restart(seq uint64) {
	l.in, l.out = inbound{}, outbound{}
	l.in.add(seq)
	l.good, l.judged = 0, seq
	l.status.LossIn, l.status.LossOut = 0, 0
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
		l.in, l.out = inbound{}, outbound{}
	}
	if to == Up && from == Down || to == Down {
		l.flapped = now
	}
	l.status.State, l.status.Since, l.status.Why = to, now, why
	return append(events, Event{At: now, Kind: StateChanged, From: from, To: to, Why: why})
}
