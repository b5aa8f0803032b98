package health

import (
	"fmt"
	"time"

	"github.com/galleon-net/galleon/fabric/pmtu"
)

// Link is the state of one link. It is used by one goroutine. Make a new one for each life of the peer: the
// numbers of its probes start again.
type Link struct {
	cfg    Config
	status Status

	sent  ledger // our probes
	plan  []Probe
	slot  uint64
	lanes [MaxLanes]lane // Config.Lanes of them
	flows [Slots]uint8
	pmtu  *pmtu.Search // nil for an old peer
	old   old          // only for an old peer

	streamTurn, bigTurn, asideTurn uint8 // the lanes last asked
	bigs, asides                   uint64

	in      inbound
	echo    Echo
	highest uint64    // the peer's newest number, never reset
	since   time.Time // our probes sent before say nothing of the link as it is
	missed  int       // of the stream, since the last proof

	newestLost [quickWindow]tally // scratch of stream

	good    int       // proof of a link that is not usable yet
	quiet   time.Time // silence is counted from here
	flapped time.Time // when Flaps last changed
	ticked  time.Time
	weighed time.Time // when LossOut was last computed
}

// New starts to judge a link of which nothing is known at now.
func New(cfg Config, now time.Time) *Link {
	cfg = cfg.withDefaults()
	l := &Link{
		cfg:    cfg,
		status: Status{Since: now, Why: "no probe heard yet"},
		quiet:  now, flapped: now, ticked: now, since: now,
		plan: make([]Probe, 0, 2),
	}
	for i := range l.lanes {
		l.lanes[i].since = now
	}
	if cfg.Reports {
		l.pmtu = pmtu.New(pmtu.Config{Base: cfg.Base, Usual: cfg.Usual, Max: cfg.Max, Head: cfg.Head}, now)
		l.status.MTU = l.pmtu.Size()
		l.streamTurn = uint8(cfg.Lanes - 1) // begin with lane 0, which the handshake has crossed
	}
	return l
}

// Echo returns what our next probe tells the peer.
func (l *Link) Echo() Echo {
	e := l.echo
	if l.cfg.Reports {
		e.Report = Report{Heard: l.in.bits(e.Seq), LossPPM: l.status.LossOut, MTU: l.status.MTU, Lanes: l.used()}
	}
	return e
}

// Status returns what is known now.
func (l *Link) Status() Status { return l.status }

// Heard judges a probe that arrived at now.
func (l *Link) Heard(now time.Time, s Sample) (events []Event) {
	if s.Seq == 0 || s.EchoSeq > l.sent.last || !l.in.add(s.Seq) {
		return nil // a number that nobody gave out, or a copy
	}
	l.quiet = now
	if l.cfg.Reports || !oldFull(s.Seq) {
		l.echo.Received++
	}
	if !l.cfg.Reports && oldFull(s.Seq) {
		events = l.oldFullSize(now, s, events)
	}
	if s.Seq < l.highest {
		return events // overtaken: what it says of us is older than what we know
	}
	l.highest = s.Seq
	l.echo.Seq, l.echo.At = s.Seq, now
	l.roundTrip(now, s)
	if l.cfg.Reports {
		events = l.reported(now, s, events)
	} else {
		events = l.measureOld(now, s, events)
	}
	if l.unheard(now, s.EchoSeq) {
		l.good = 0
		return l.enter(now, Down, fmt.Sprintf("the peer hears none of our probes since %d", s.EchoSeq), events)
	}
	return l.prove(now, s, events)
}

// roundTrip measures by the probe that is echoed.
func (l *Link) roundTrip(now time.Time, s Sample) {
	e := l.sent.get(s.EchoSeq)
	if e == nil {
		return
	}
	v := max(now.Sub(e.at)-max(s.Hold, 0), 0)
	n := &l.lanes[e.lane]
	n.rtt.add(v)
	if n.state == Used || l.used() == 0 {
		st := &l.status
		r := rtt{st.RTT, st.RTTVar, st.MinRTT}
		r.add(v)
		st.RTT, st.RTTVar, st.MinRTT = r.smooth, r.dev, r.least
	}
}
