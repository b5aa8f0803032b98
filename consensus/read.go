package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/galleon-net/galleon/consensus/state"
)

// Level is how fresh a read must be.
type Level struct {
	mode   mode
	index  uint64
	maxAge time.Duration
}

type mode int

const (
	modeLinearizable mode = iota
	modeAtLeast
	modeStale
)

// Linearizable is what was agreed on before the read began, at the price of one round trip to a
// majority of the voters.
var Linearizable = Level{mode: modeLinearizable}

// AtLeast is a state that has the command with the index, which Propose gave: one's own writes.
func AtLeast(index uint64) Level { return Level{mode: modeAtLeast, index: index} }

// Stale is what is here, if it was the newest state no longer ago than maxAge.
func Stale(maxAge time.Duration) Level { return Level{mode: modeStale, maxAge: maxAge} }

// Read gives a state as fresh as asked for.
func (n *Node) Read(ctx context.Context, l Level) (*state.State, error) {
	switch l.mode {
	case modeStale:
		age, heard := n.age(n.voter.Load())
		if !heard || age > l.maxAge {
			return nil, fmt.Errorf("read: %w: %v and not %v", ErrTooStale, age.Round(time.Millisecond), l.maxAge)
		}
		return n.View(), nil
	case modeLinearizable:
		index, err := n.readIndex(ctx)
		if err != nil {
			return nil, fmt.Errorf("read: %w", err)
		}
		l.index = index
	}
	s, err := n.hub.wait(ctx, l.index)
	if err != nil {
		return nil, fmt.Errorf("read: wait for the state at %d: %w", l.index, err)
	}
	return s, nil
}

// AtLeast waits for a state that has the command with the index.
func (n *Node) AtLeast(ctx context.Context, index uint64) (*state.State, error) {
	return n.Read(ctx, AtLeast(index))
}

// readIndex finds an index that covers everything acknowledged before the call, asking until ctx ends.
func (n *Node) readIndex(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestWithin)
	defer cancel()
	pause := retryFirst
	for tried := 0; ; tried++ {
		index, err := n.readIndexOnce(ctx, tried)
		if err == nil {
			return index, nil
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, retryMost)
		case <-ctx.Done():
			return 0, fmt.Errorf("%w: %w", ErrNoLeader, errors.Join(ctx.Err(), err))
		}
	}
}

func (n *Node) readIndexOnce(ctx context.Context, tried int) (uint64, error) {
	if v := n.voter.Load(); v != nil && v.isLeader() {
		if n.cfg.test.verifyLeader {
			return n.readIndexLocal(ctx) // each for itself, as one would use it
		}
		return n.reads.wait(ctx, n)
	}
	to := n.whoLeads(tried)
	if to == 0 {
		return 0, notLeader(0)
	}
	var r indexReply
	err := n.ask(ctx, to, msgReadIndex, nil, &r)
	var f *failure
	if errors.As(err, &f) && f.Code == failNotLeader {
		n.learnLeader(to, f.Leader)
	}
	return r.Index, err
}

// readQueue lets the reads that come while a round of probes is out share the next round. They must not
// share the one that is out: its probes may have been answered before they came.
type readQueue struct {
	run func(ctx context.Context) (uint64, error)

	mu      sync.Mutex
	next    *readBatch // those who wait for the next round
	running bool
}

type readBatch struct {
	done  chan struct{}
	index uint64
	err   error
}

func (q *readQueue) wait(ctx context.Context, n *Node) (uint64, error) {
	q.mu.Lock()
	if q.next == nil {
		q.next = &readBatch{done: make(chan struct{})}
	}
	b := q.next
	if !q.running {
		if err := n.start(q.rounds); err != nil {
			q.mu.Unlock()
			return 0, err
		}
		q.running = true
	}
	q.mu.Unlock()
	select {
	case <-b.done:
		return b.index, b.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func (q *readQueue) rounds(ctx context.Context) {
	for {
		q.mu.Lock()
		b := q.next
		q.next = nil
		q.running = b != nil
		q.mu.Unlock()
		if b == nil {
			return
		}
		b.index, b.err = q.run(ctx)
		close(b.done)
	}
}
