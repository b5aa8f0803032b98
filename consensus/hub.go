package consensus

import (
	"context"
	"sync"
	"time"

	"github.com/galleon-net/galleon/consensus/state"
)

const (
	// maxRecent and maxRecentBytes bound the commands kept for watchers. A watcher that is further
	// behind gets the whole state.
	maxRecent      = 4096
	maxRecentBytes = 8 << 20
	// keptStates is how many past states are kept to compare with other routers. They share what did
	// not change.
	keptStates = 64
)

// delta is one command as watchers get it.
type delta struct {
	// Prev is the index of the state that it applies to, Index of the one that it gives.
	Prev    uint64 `json:"prev"`
	Index   uint64 `json:"index"`
	Command []byte `json:"command"`
}

// hub holds the newest state and tells those who wait for it.
type hub struct {
	mu      sync.Mutex
	cur     *state.State
	changed chan struct{} // closed, and replaced, with every new state
	// recent is a chain of commands that ends at cur; recentBytes is their size.
	recent      []delta
	recentBytes int
	past        []*state.State
	// asOf is the latest time at which cur was known to be what the voters had, on this router's clock.
	asOf time.Time
}

func newHub(s *state.State) *hub { return &hub{cur: s, changed: make(chan struct{})} }

func (h *hub) view() *state.State {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.cur
}

func (h *hub) next() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.changed
}

// publish takes a newer state; an older or equal one is ignored, so that two sources may feed the hub.
// Command is what led from prev to it, nil when it came whole.
func (h *hub) publish(s *state.State, prev uint64, command []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.Index <= h.cur.Index {
		return
	}
	if command == nil || prev != h.cur.Index {
		h.recent, h.recentBytes = nil, 0
	}
	if command != nil {
		h.recent = append(h.recent, delta{prev, s.Index, command})
		h.recentBytes += len(command)
		for len(h.recent) > maxRecent || h.recentBytes > maxRecentBytes {
			h.recentBytes -= len(h.recent[0].Command)
			h.recent = h.recent[1:]
		}
	}
	h.cur = s
	h.past = append(h.past, s)
	if len(h.past) > keptStates {
		h.past = append([]*state.State(nil), h.past[1:]...)
	}
	close(h.changed)
	h.changed = make(chan struct{})
}

// heard notes that cur was the voters' state at a time.
func (h *hub) heard(at time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if at.After(h.asOf) {
		h.asOf = at
	}
}

func (h *hub) age(now time.Time) (time.Duration, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return now.Sub(h.asOf), !h.asOf.IsZero()
}

// wait returns the first state at index or later.
func (h *hub) wait(ctx context.Context, index uint64) (*state.State, error) {
	for {
		h.mu.Lock()
		s, changed := h.cur, h.changed
		h.mu.Unlock()
		if s.Index >= index {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// after gives the commands that lead on from a state, at most n; or the whole state when they are not
// there any more. Both are empty when there is nothing newer.
func (h *hub) after(index uint64, n int) ([]delta, *state.State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cur.Index <= index {
		return nil, nil
	}
	for i, d := range h.recent {
		if d.Prev == index {
			rest := h.recent[i:]
			return rest[:min(n, len(rest)):min(n, len(rest))], nil
		}
	}
	return nil, h.cur
}

// at gives a past state by its index, nil when it is not kept.
func (h *hub) at(index uint64) *state.State {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.past {
		if s.Index == index {
			return s
		}
	}
	return nil
}

// reset makes the hub take the next state whatever its index, if it still holds s.
func (h *hub) reset(s *state.State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cur != s {
		return
	}
	again := *s
	again.Index = 0
	h.cur, h.recent, h.recentBytes = &again, nil, 0
}
