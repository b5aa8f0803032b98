// Package pmtu finds the largest datagram that a path carries in one direction, from the fates of probes:
// path MTU discovery for datagrams (RFC 8899, section 5), with no help from ICMP, which is filtered as
// often as it is forged. Whoever sends the probes asks Next for a size, and says of each what became of it.
//
//	           Base at once, Usual first, Max next, then halves
//	         ┌──────────────────────────────────────────────────┐   nothing worthwhile in between
//	start ─► │ Searching: confirmed < what is asked for < refuted│ ─────────────────────► Done
//	         └──────────────────────────────────────────────────┘                         │  │
//	             ▲      ▲                                             every Verify: does  │  │
//	             │      └── RaiseMin, doubled up to RaiseMax: does refuted pass by now? ──┘  │
//	             └── confirmed is lost again and again while small probes arrive: ◄──────────┘
//	                 a black hole. Back to Base, and search below it
//
// Sizes are octets of UDP payload. Three are kept: confirmed has arrived, refuted has not, and what may be
// sent (Size) is confirmed, except that a search under way does not show each of its steps: what goes down
// goes down at once, what goes up is told when the search reached Usual and when it is over.
//
// Loss is not size. A size is given up when so many of its probes in a row were lost that the loss which
// small probes suffer meanwhile would explain it once in a million times: three on a clean path, five
// where one of twenty is lost.
//
// The package is pure: the time is handed in.
package pmtu

import (
	"fmt"
	"time"
)

// Defaults of a Config's zero fields.
const (
	DefaultVerify   = 600 * time.Millisecond
	DefaultHurry    = 100 * time.Millisecond
	DefaultRaiseMin = 5 * time.Second
	DefaultRaiseMax = 10 * time.Minute // PMTU_RAISE_TIMER of RFC 8899, section 5.1.1
)

// Config is what a search knows beforehand.
type Config struct {
	Base  int // trusted without proof
	Usual int // asked for first: what nearly every path carries; between Base and Max
	Max   int // never asked for more
	Head  int // octets of IP and UDP headers, for guessing well-known MTUs; 28 or 48

	Verify   time.Duration // between two probes of the confirmed size
	Hurry    time.Duration // between two probes while something is in doubt
	RaiseMin time.Duration // from the end of a search to the next try to go up; doubled each time
	RaiseMax time.Duration
}

func (c Config) withDefaults() Config {
	def := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	def(&c.Verify, DefaultVerify)
	def(&c.Hurry, DefaultHurry)
	def(&c.RaiseMin, DefaultRaiseMin)
	def(&c.RaiseMax, DefaultRaiseMax)
	if c.Base <= 0 || c.Max < c.Base {
		panic(fmt.Sprintf("pmtu: base %d, max %d", c.Base, c.Max))
	}
	c.Usual = min(max(c.Usual, c.Base), c.Max)
	return c
}

// Change is a new size that may be sent, or the news that not even the smallest passes.
type Change struct {
	Size int
	Why  string
}

// Search is the state of one direction of one path. It is used by one goroutine.
type Search struct {
	cfg       Config
	confirmed int // arrives; at least Base, of which it is only believed
	refuted   int // does not arrive; 0 is nothing known; above confirmed
	size      int // what may be sent: the last that was told

	candidate int // asked for now, above confirmed; 0 when nothing is
	missed    int // probes of candidate lost
	doubt     int // probes of confirmed lost in a row
	narrow    bool

	verifyAt time.Time // next probe of confirmed
	tryAt    time.Time // next probe of candidate
	raiseAt  time.Time // next look whether more passes by now
	raise    time.Duration
	changed  time.Time // probes sent before say nothing of the path as it is
}

// New begins a search.
func New(cfg Config, now time.Time) *Search {
	s := &Search{cfg: cfg.withDefaults()}
	s.confirmed, s.size = s.cfg.Base, s.cfg.Base
	s.Moved(now)
	return s
}

// Size is the largest datagram that may be sent.
func (s *Search) Size() int { return s.size }

// Narrow says that not even Base arrives.
func (s *Search) Narrow() bool { return s.narrow }

// Searching says whether more than Size may be found soon.
func (s *Search) Searching() bool { return s.candidate > 0 }

// Moved says that packets may take another way than before: what was refuted is asked for anew, and what was
// confirmed is verified at once.
func (s *Search) Moved(now time.Time) {
	s.changed, s.raise = now, s.cfg.RaiseMin
	s.verifyAt, s.doubt, s.refuted = now, 0, 0
	if s.confirmed == s.cfg.Base && s.cfg.Max > s.cfg.Base {
		s.verifyAt = now.Add(s.cfg.Verify) // the candidate comes first: it will prove more
	}
	s.proceed(now)
}

// Next gives the size of a probe that is to be sent now, or 0 for none.
func (s *Search) Next(now time.Time) int {
	if s.candidate == 0 && s.confirmed < s.cfg.Max && !now.Before(s.raiseAt) {
		s.seek(now, max(s.refuted, s.confirmed+1))
	}
	switch {
	case !now.Before(s.verifyAt):
		s.verifyAt = now.Add(s.cfg.Verify)
		if s.doubt > 0 && !s.narrow {
			s.verifyAt = now.Add(s.cfg.Hurry)
		}
		return s.confirmed
	case s.candidate > 0 && !now.Before(s.tryAt):
		s.tryAt = now.Add(s.cfg.Hurry)
		return s.candidate
	}
	return 0
}

// Heard says that a probe of size, sent at sent, arrived.
func (s *Search) Heard(now, sent time.Time, size int) (c Change, changed bool) {
	switch {
	case sent.Before(s.changed) || size < s.confirmed:
		return c, false
	case size == s.confirmed:
		s.doubt, s.narrow = 0, false
		return c, false
	}
	s.confirmed, s.doubt, s.narrow = min(size, s.cfg.Max), 0, false
	if s.refuted <= s.confirmed {
		s.refuted, s.raise = 0, s.cfg.RaiseMin // the path became larger: by how much?
	}
	s.verifyAt = now.Add(s.cfg.Verify)
	s.proceed(now)
	if s.candidate == 0 || s.confirmed >= s.cfg.Usual && s.size < s.cfg.Usual {
		return s.tell("a probe of this size arrived")
	}
	return c, false
}

// Lost says that a probe of size, sent at sent, did not arrive. loss is the share of small probes that were
// lost lately, 0 to 1.
func (s *Search) Lost(now, sent time.Time, size int, loss float64) (c Change, changed bool) {
	switch {
	case sent.Before(s.changed):
	case size == s.confirmed:
		s.doubt++
		if s.doubt == 1 {
			s.verifyAt = now
		}
		if byChance(loss, s.doubt) {
			break
		}
		if s.confirmed == s.cfg.Base {
			told := s.narrow
			s.narrow = true
			return Change{s.size, fmt.Sprintf("not even %d octets pass, and there is nothing smaller to offer", s.size)}, !told
		}
		return s.shrink(now, fmt.Sprintf("%d probes of %d octets in a row were lost while small ones arrived", s.doubt, s.confirmed))
	case size == s.candidate:
		s.missed++
		if byChance(loss, s.missed) {
			break
		}
		s.refuted = s.candidate
		s.proceed(now)
		if s.candidate == 0 {
			return s.tell(fmt.Sprintf("%d octets do not pass", s.refuted))
		}
	}
	return c, false
}

// Refused says that our own interface did not take a datagram of size.
func (s *Search) Refused(now time.Time, size int) (c Change, changed bool) {
	if size <= s.cfg.Base || size > s.cfg.Max {
		return c, false // there is nothing smaller to send; or it was no datagram
	}
	if size <= s.confirmed {
		c, changed = s.shrink(now, fmt.Sprintf("the interface toward it refuses %d octets", size))
		s.refuted = size
		s.proceed(now)
		return c, changed
	}
	if s.refuted > 0 && size >= s.refuted {
		return c, false
	}
	s.refuted = size
	if s.candidate >= size {
		s.proceed(now)
		if s.candidate == 0 {
			return s.tell(fmt.Sprintf("the interface toward it refuses %d octets", size))
		}
	}
	return c, false
}

// shrink goes back to Base: what was confirmed does not pass any more.
func (s *Search) shrink(now time.Time, why string) (Change, bool) {
	s.refuted, s.confirmed = s.confirmed, s.cfg.Base
	s.doubt, s.changed, s.raise = 0, now, s.cfg.RaiseMin
	s.verifyAt = now.Add(s.cfg.Verify)
	s.proceed(now)
	return s.tell(why)
}

// tell makes the confirmed size the one that may be sent.
func (s *Search) tell(why string) (Change, bool) {
	if s.size == s.confirmed {
		return Change{}, false
	}
	s.size = s.confirmed
	return Change{s.size, why}, true
}

// proceed chooses what to ask for next, or ends the search.
func (s *Search) proceed(now time.Time) {
	if next := s.next(); next > 0 {
		s.seek(now, next)
		return
	}
	s.candidate, s.missed = 0, 0
	s.raiseAt = now.Add(s.raise)
	s.raise = min(2*s.raise, s.cfg.RaiseMax)
}

func (s *Search) seek(now time.Time, size int) {
	s.candidate, s.missed, s.tryAt = size, 0, now
}
