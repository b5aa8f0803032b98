package replication

import (
	"context"
	"sync"
	"time"
)

// maxHold is how long a flow is held back for more urgent ones at a time. After it, it asks for heldPart all
// the same: a rule that is never idle slows those below it down and does not stop them.
const maxHold = time.Second

// gate lets the most urgent flows ask for chunks first: while a flow of higher priority waits for chunks,
// those below it ask for none. What was asked for already still comes, so a flow is never cut off in the
// middle, and how much that can be is a second's worth (intake.go).
type gate struct {
	mu      sync.Mutex
	busy    map[*follower]int // priority of flows that wait for chunks
	changed chan struct{}     // closed and made anew when one no longer does
}

func newGate() *gate { return &gate{busy: map[*follower]int{}, changed: make(chan struct{})} }

// set says whether a flow waits for chunks.
func (g *gate) set(f *follower, priority int, waits bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, was := g.busy[f]; was == waits {
		return
	}
	if waits {
		g.busy[f] = priority
		return
	}
	delete(g.busy, f)
	close(g.changed)
	g.changed = make(chan struct{})
}

// wait returns when no flow of a higher priority waits for chunks, or, with held, after maxHold.
func (g *gate) wait(ctx context.Context, priority int) (held bool, err error) {
	var patience <-chan time.Time
	for {
		g.mu.Lock()
		higher := false
		for _, p := range g.busy {
			higher = higher || p > priority
		}
		changed := g.changed
		g.mu.Unlock()
		if !higher {
			return false, ctx.Err()
		}
		if patience == nil {
			t := time.NewTimer(maxHold)
			defer t.Stop()
			patience = t.C
		}
		select {
		case <-changed:
		case <-patience:
			return true, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}
