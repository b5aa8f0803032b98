package tunnel

import (
	"net/netip"
	"sync"
	"time"
)

// How many handshakes a source may begin. A source is a /24 or a /56, what one customer of a provider commonly has. A
// hundred routers that redial five protocols each, all at once, come from many sources.
const (
	sourceRate  = 32  // per second
	sourceBurst = 128 //
	maxSources  = 4096
)

// sources is a token bucket for every source address that was seen lately. At maxSources it forgets those that have
// recovered; when none has, new sources are turned away until one does.
type sources struct {
	mu      sync.Mutex
	buckets map[netip.Prefix]*bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

func newSources() *sources { return &sources{buckets: make(map[netip.Prefix]*bucket)} }

// allow takes a token of a's bucket, when there is one.
func (s *sources) allow(a netip.Addr, now time.Time) bool {
	key := sourceOf(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.buckets[key]
	if b == nil {
		if len(s.buckets) >= maxSources && s.forget(now) == 0 {
			return false
		}
		b = &bucket{tokens: sourceBurst, at: now}
		s.buckets[key] = b
	}
	b.tokens, b.at = b.level(now), now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

func (b *bucket) level(now time.Time) float64 {
	return min(sourceBurst, b.tokens+now.Sub(b.at).Seconds()*sourceRate)
}

// forget drops full buckets, which are as good as none, and returns how many.
func (s *sources) forget(now time.Time) (n int) {
	for k, b := range s.buckets {
		if b.level(now) >= sourceBurst {
			delete(s.buckets, k)
			n++
		}
	}
	return n
}

func sourceOf(a netip.Addr) netip.Prefix {
	a = a.Unmap()
	bits := 24
	if a.Is6() {
		bits = 56
	}
	p, err := a.WithZone("").Prefix(bits)
	if err != nil {
		return netip.Prefix{} // no address at all: one bucket for all of those
	}
	return p
}
