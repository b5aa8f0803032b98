package underlay

import (
	"log/slog"
	"sync"
)

// What a Shortfall is about.
const (
	ShortGSO     = "gso"     // runs are sent datagram by datagram
	ShortGRO     = "gro"     // what arrives comes up datagram by datagram
	ShortTOS     = "tos"     // TOS is not read
	ShortReaders = "readers" // there are fewer than asked for
	ShortLanes   = "lanes"   // there are fewer than asked for
)

// Shortfall is something that the kernel does not do for a socket, which goes on without it.
type Shortfall struct {
	What string // one of the above
	Err  error  // why, and what follows
}

// Name and LogValue make it an event.
func (s Shortfall) Name() string { return "underlay." + s.What + ".refused" }

// LogValue gives the reason.
func (s Shortfall) LogValue() slog.Value { return slog.GroupValue(slog.String("err", s.Err.Error())) }

// shortfalls says each thing once, to whoever comes to hear it.
type shortfalls struct {
	mu   sync.Mutex
	said []Shortfall // at most one of each kind
	hear func(Shortfall)
}

func (s *shortfalls) say(what string, err error) {
	s.mu.Lock()
	for _, old := range s.said {
		if old.What == what {
			s.mu.Unlock()
			return
		}
	}
	f := Shortfall{what, err}
	s.said = append(s.said, f)
	hear := s.hear
	s.mu.Unlock()
	if hear != nil {
		hear(f)
	}
}

func (s *shortfalls) tell(f func(Shortfall)) {
	s.mu.Lock()
	s.hear = f
	said := s.said
	s.mu.Unlock()
	for _, old := range said {
		f(old)
	}
}

// OnShortfall has f called with what the kernel does not do: now with what is known, later with what is
// learned, each kind once. f is called by whoever reads or writes and must not block.
func (s *Socket) OnShortfall(f func(Shortfall)) { s.short.tell(f) }

// Offloads are what the kernel does for runs at this moment.
type Offloads struct {
	Segment  bool // it cuts those that are sent (GSO); goes off for good when a network interface cannot
	Coalesce bool // it joins those that arrive (GRO)
}

// Offloads says what the kernel does. On a simulated network it is nothing.
func (s *Socket) Offloads() Offloads { return s.net.offloads() }
