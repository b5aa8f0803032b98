package replication

import (
	"context"
	"sync"
)

// gate lets the most urgent flows ask for chunks first: while a flow of higher priority waits for chunks,
// those below it ask for none. What was asked for already still comes, so a flow is never cut off in the
// middle of a batch.
type gate struct {
	mu      sync.Mutex
	busy    map[*follower]int // priority of flows that wait for chunks
	changed chan struct{}
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

// wait returns when no flow of a higher priority waits for chunks.
func (g *gate) wait(ctx context.Context, priority int) error {
	for {
		g.mu.Lock()
		higher := false
		for _, p := range g.busy {
			higher = higher || p > priority
		}
		changed := g.changed
		g.mu.Unlock()
		if !higher {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
