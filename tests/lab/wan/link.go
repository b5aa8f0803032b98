package wan

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"time"
)

// Instant is a moment on a network's own clock: the time since it began.
type Instant = time.Duration

// Burst is what a site sent in one piece: one packet, or a super-packet of several segments.
type Burst struct {
	Segments int // at least 1
	Size     int // bytes of each segment but the last, IP header included
	Last     int // bytes of the last
}

// Single is the burst of one packet of n bytes.
func Single(n int) Burst { return Burst{Segments: 1, Size: n, Last: n} }

// Run is what became of neighbouring segments of a burst: they arrive together. Segments in no run are lost.
type Run struct {
	First, Count int
	At           Instant
}

// wholeFor is the longest that segments may take to leave and still travel as one: the error in the arrival
// of the first of them. A full super-packet at 1 Gbit/s takes half of it.
const wholeFor = time.Millisecond

// Link is one direction between two sites. It decides and does not act: no clock, no goroutine; its throws
// come from a seeded generator, so that the same packets at the same times meet the same fate.
type Link struct {
	params Params
	rng    *rand.Rand
	count  Counters

	// free is when the last bit that was accepted will have left; rest is what integer division left over,
	// in bits times nanoseconds modulo Rate, so that a rate holds exactly over any time.
	free Instant
	rest uint64
	// What was accepted before the rate was last changed leaves until then, at the rate of before.
	then   Instant
	before Rate

	cuts uint32 // how often the link was cut; what was sent before the last cut never arrives

	loss, duplicate, reorder throw
}

// Counters says what a link did, in packets (segments, not super-packets) and in bytes sent into it.
type Counters struct {
	Sent      uint64 `json:"sent"`
	SentBytes uint64 `json:"sent_bytes"`
	// What became of them. A packet that a cut overtook counts in Cut; a duplicate in nothing but Duplicated.
	Lost       uint64 `json:"lost"`
	QueueFull  uint64 `json:"queue_full"`
	TooLarge   uint64 `json:"too_large"`
	Cut        uint64 `json:"cut"`
	Reordered  uint64 `json:"reordered"`
	Duplicated uint64 `json:"duplicated"`
}

// NewLink gives a link with these properties and its own generator.
func NewLink(seed uint64, p Params) *Link {
	l := &Link{rng: rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))}
	l.Set(p)
	return l
}

// Set changes the link for all packets sent from now on; those in flight keep their time of arrival (as when a
// route changes, a shorter delay lets later packets overtake), unless the link is cut. p must have passed Check.
func (l *Link) Set(p Params) {
	if p.Cut && !l.params.Cut {
		l.cuts++
	}
	if p.Rate != l.params.Rate {
		l.then, l.before, l.rest = l.free, l.params.Rate, 0
	}
	l.params = p
	l.loss.set(float64(p.Loss), l.rng)
	l.duplicate.set(float64(p.Duplicate), l.rng)
	l.reorder.set(float64(p.Reorder), l.rng)
}

// Params gives what the link is set to.
func (l *Link) Params() Params { return l.params }

// Counters gives what the link did so far.
func (l *Link) Counters() Counters { return l.count }

// Cuts counts the cuts so far. Who sends keeps the number with each run and hands it to Arrives.
func (l *Link) Cuts() uint32 { return l.cuts }

// Arrives says whether a run of n segments that was sent when the link had been cut so often still arrives.
func (l *Link) Arrives(cuts uint32, n int) bool {
	if cuts == l.cuts {
		return true
	}
	l.count.Cut += uint64(n)
	return false
}

// Backlog is the bytes that wait for the link at this moment.
func (l *Link) Backlog(now Instant) Size {
	return bytesIn(l.then-now, l.before) + bytesIn(l.free-max(now, l.then), l.params.Rate)
}

// bytesIn is what leaves in so long.
func bytesIn(d time.Duration, rate Rate) Size {
	if d <= 0 {
		return 0
	}
	hi, lo := bits.Mul64(uint64(d), uint64(rate))
	q, _ := bits.Div64(hi, lo, 8*uint64(time.Second)) // Check's bounds keep hi below the divisor
	return Size(q)
}

// Send puts a burst on the link and appends to out what arrives, in the order in which it was sent.
func (l *Link) Send(now Instant, b Burst, out []Run) []Run {
	l.count.Sent += uint64(b.Segments)
	l.count.SentBytes += uint64((b.Segments-1)*b.Size + b.Last)
	if l.params.Cut {
		l.count.Cut += uint64(b.Segments)
		return out
	}
	var run Run // the one that still grows
	var began Instant
	flush := func() {
		if run.Count > 0 {
			out = append(out, run)
		}
		run = Run{}
	}
	for i := range b.Segments {
		size := b.Size
		if i == b.Segments-1 {
			size = b.Last
		}
		left, ok := l.admit(now, size)
		if !ok {
			flush()
			continue
		}
		if l.loss.happens(l.rng) {
			l.count.Lost++
			flush()
			continue
		}
		twice, late := l.duplicate.happens(l.rng), l.reorder.happens(l.rng)
		at := left + l.params.Delay
		if twice || late {
			flush()
			if twice {
				l.count.Duplicated++
				out = append(out, Run{i, 1, at})
			}
			if late {
				l.count.Reordered++
				at += l.params.late()
			}
			out = append(out, Run{i, 1, at})
			continue
		}
		if run.Count > 0 && at-began > wholeFor {
			flush()
		}
		if run.Count == 0 {
			run.First, began = i, at
		}
		run.Count++
		run.At = at
	}
	flush()
	return out
}

// admit lets a packet of so many bytes into the queue and says when its last bit leaves.
func (l *Link) admit(now Instant, size int) (left Instant, ok bool) {
	if l.params.MTU != 0 && Size(size) > l.params.MTU {
		l.count.TooLarge++
		return 0, false
	}
	if l.free <= now {
		l.free, l.rest = now, 0
	}
	rate := uint64(l.params.Rate)
	if rate == 0 {
		return l.free, true // behind what an earlier, slower rate still holds
	}
	if b := l.Backlog(now); b > 0 && b+Size(size) > l.params.QueueLimit() {
		l.count.QueueFull++
		return 0, false
	}
	work := uint64(size)*8*uint64(time.Second) + l.rest
	l.free += Instant(work / rate)
	l.rest = work % rate
	return l.free, true
}

// throw decides for one packet after the other with the same probability. Rather than asking the generator
// each time, it asks how many packets pass until the next hit (a geometric distribution), which is the same
// thing and costs nothing while nothing happens.
type throw struct {
	p     float64
	until uint64 // packets to let pass
}

func (t *throw) set(p float64, rng *rand.Rand) {
	if p == t.p {
		return
	}
	t.p = p
	t.next(rng)
}

func (t *throw) next(rng *rand.Rand) {
	if t.p <= 0 || t.p >= 1 {
		return
	}
	n := math.Floor(math.Log(1-rng.Float64()) / math.Log1p(-t.p))
	t.until = uint64(min(n, math.MaxInt64))
}

func (t *throw) happens(rng *rand.Rand) bool {
	switch {
	case t.p <= 0:
		return false
	case t.p >= 1:
		return true
	case t.until > 0:
		t.until--
		return false
	}
	t.next(rng)
	return true
}
