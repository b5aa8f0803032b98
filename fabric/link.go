package fabric

import (
	"net/netip"
	"time"

	"github.com/galleon-net/galleon/fabric/health"
	"github.com/galleon-net/galleon/fabric/wire"
)

// smallDatagram is what a link is trusted with before it proved more: the datagram of the smallest fabric MTU,
// so that IPv6 can always be carried.
const smallDatagram = wire.MinMTU + wire.Overhead

// usualDatagram is what is asked of a link first: nearly every path carries it.
const usualDatagram = SafeMTU + wire.Overhead

// Octets of IP and UDP header round a datagram.
const (
	headers4 = 20 + 8
	headers6 = 40 + 8
)

// link is the direct path to one peer: where it leads, and what the probes say of it. It is born with the
// first direct session of each life of the peer and outlives the session: it is judged by probes alone.
type link struct {
	life   uint64 // of the peer: its probe numbers start again when it does
	addr   netip.AddrPort
	from   [wire.MaxLanes]netip.AddrPort // where the peer's packets of each lane come from; from[0] is addr
	health *health.Link
	lanes  int   // source ports of ours that are asked
	report bool  // the peer understands reports
	sent   int64 // when the peer sent the probe that we echo, by its clock
	rate   rates
}

// newLink begins the link that session s found. Our numbers go on from what the time since start allows, so
// that they never go back in the life of this process, whatever link they belong to: the peer may hold an
// older one, and would take numbers that it has seen for old probes. A slot has two probes at most.
func newLink(s *pairSession, interval time.Duration, now, start time.Time) *link {
	full, head := s.mtu+wire.Overhead, headers4
	if s.addr.Addr().Is6() {
		head = headers6
	}
	l := &link{life: s.life, addr: s.addr, report: s.shared&wire.FeatureReports != 0}
	l.from[0] = s.addr
	if l.lanes = 1; l.report {
		l.lanes = s.offer.Lanes
	}
	l.health = health.New(health.Config{
		Interval: interval, Reports: l.report, Lanes: l.lanes, First: 2*uint64(now.Sub(start)/interval) + 1,
		Base: min(smallDatagram, full), Usual: min(usualDatagram, full), Max: full, Head: head,
	}, now)
	return l
}

// body is what a probe tells the peer. start is when this process's clock began.
func (l *link) body(p health.Probe, now, start time.Time) wire.ProbeBody {
	echo := l.health.Echo()
	b := wire.ProbeBody{Seq: uint32(p.Seq), Sent: int64(now.Sub(start)), Received: echo.Received}
	if echo.Seq > 0 {
		b.Echo, b.EchoSeq, b.EchoSent, b.Held = true, uint32(echo.Seq), l.sent, now.Sub(echo.At)
	}
	if p.Size > 0 {
		// A probe has no tag; a relayed packet of that size has one.
		b.Size = p.Size - wire.HeaderLen - wire.SealLen
	}
	if r := echo.Report; l.report {
		b.Report = wire.Report{Present: true, Heard: r.Heard, LossPPM: r.LossPPM, MTU: uint16(r.MTU), Lanes: r.Lanes}
	}
	return b
}

// heard takes a probe of the peer.
func (l *link) heard(p heardProbe) []health.Event {
	s := health.Sample{Seq: uint64(p.body.Seq), Size: p.size, Received: p.body.Received}
	if p.body.Echo {
		s.EchoSeq, s.Hold = uint64(p.body.EchoSeq), p.body.Held
	}
	r := p.body.Report
	if l.report && !r.Present {
		return nil // a peer that agreed to send reports sends them
	}
	s.Report = health.Report{Heard: r.Heard, LossPPM: r.LossPPM, MTU: int(r.MTU), Lanes: r.Lanes}
	events := l.health.Heard(p.at, s)
	if l.health.Echo().Seq == s.Seq {
		l.sent = p.body.Sent
	}
	return events
}

const (
	rateEvery  = time.Second
	rateWindow = 10 // minutes that a peak is remembered
)

// rates are what a link carries, by the data path's own counters.
type rates struct {
	at              time.Time
	lastOut, lastIn uint64             // octets at at
	out, in         uint64             // kbit/s in the last second
	peaks           [rateWindow]uint64 // most of out by minute, kbit/s, this minute first
	minute          int64              // of peaks[0]
}

// update is called about once a second with the octets so far.
func (r *rates) update(now time.Time, out, in uint64) {
	d := now.Sub(r.at)
	if d < rateEvery {
		return
	}
	if !r.at.IsZero() {
		ms := uint64(d / time.Millisecond)
		r.out, r.in = (out-r.lastOut)*8/ms, (in-r.lastIn)*8/ms
	}
	r.at, r.lastOut, r.lastIn = now, out, in
	minute := now.Unix() / 60
	for r.minute = max(r.minute, minute-rateWindow); r.minute < minute; r.minute++ {
		copy(r.peaks[1:], r.peaks[:])
		r.peaks[0] = 0
	}
	r.peaks[0] = max(r.peaks[0], r.out)
}

// peak is the most that was sent in one second of the last minutes, kbit/s: a lower bound of what the link
// can carry, measured without load of our own.
func (r *rates) peak() (kbit uint64) {
	for _, p := range r.peaks {
		kbit = max(kbit, p)
	}
	return kbit
}
