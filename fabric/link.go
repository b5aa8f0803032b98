package fabric

import (
	"net/netip"
	"time"

	"github.com/galleon-net/galleon/fabric/health"
	"github.com/galleon-net/galleon/fabric/wire"
)

// fullEvery is how often a probe is as large as the fabric's largest datagram. At 20 probes a second that is
// 2.5 of them, or 30 kbit/s: enough to notice a black hole within a second or two.
const fullEvery = 8

// smallDatagram is what a link is trusted with when full size is swallowed: the datagram of the smallest
// fabric MTU, so that even then IPv6 can be carried.
const smallDatagram = wire.MinMTU + wire.Overhead

// link is the direct path to one peer: where it leads, and what the probes say of it. It is born with the
// first direct session of each life of the peer and outlives the session: it is judged by probes alone.
type link struct {
	life   uint64 // of the peer: its probe numbers start again when it does
	addr   netip.AddrPort
	health *health.Link
	seq    uint32 // of our last probe
	sent   int64  // when the peer sent the probe that we echo, by its clock

	local int // octets that our own interface takes toward addr; 0 is no limit met
	rate  rates
}

// newLink begins a link. Our numbers go on from what the time since start allows, so that they never go
// back in the life of this process, whatever link they belong to: the peer may hold an older one, and
// would take numbers that it has seen for old probes.
func newLink(addr netip.AddrPort, life uint64, interval time.Duration, mtu int, now, start time.Time) *link {
	return &link{
		life: life, addr: addr, seq: uint32(now.Sub(start)/interval) + 1,
		health: health.New(health.Config{
			Interval: interval, FullEvery: fullEvery, FullSize: mtu + wire.Overhead, SmallSize: min(smallDatagram, mtu+wire.Overhead),
		}, now),
	}
}

// probe numbers the next probe and says what it tells the peer. start is when this process's clock began.
func (l *link) probe(now, start time.Time, mtu int) wire.ProbeBody {
	l.seq++
	echo := l.health.Echo()
	b := wire.ProbeBody{Seq: l.seq, Sent: int64(now.Sub(start)), Received: echo.Received}
	if echo.Seq > 0 {
		b.Echo, b.EchoSeq, b.EchoSent, b.Held = true, uint32(echo.Seq), l.sent, now.Sub(echo.At)
	}
	if l.health.FullSize(uint64(l.seq)) {
		// The header and the seal are in every probe; a tag is not, but a relayed packet has one.
		b.Size = mtu + wire.Overhead - wire.HeaderLen - wire.SealLen
	}
	return b
}

// heard takes a probe of the peer.
func (l *link) heard(p heardProbe) []health.Event {
	s := health.Sample{Seq: uint64(p.body.Seq), Size: p.size, Received: p.body.Received}
	if p.body.Echo {
		s.EchoSeq, s.Hold = uint64(p.body.EchoSeq), p.body.Held
	}
	events := l.health.Heard(p.at, s)
	if l.health.Echo().Seq == s.Seq {
		l.sent = p.body.Sent
	}
	return events
}

// mtu is the largest datagram that arrives from the peer, or that we can send; 0 is not judged yet.
func (l *link) mtu() int {
	m := l.health.Status().MTU
	if l.local > 0 && (m == 0 || l.local < m) {
		return l.local
	}
	return m
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
