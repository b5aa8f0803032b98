package consensus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/consensus/transport"
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

// probeWithin bounds one round of probes. It covers a lost packet on a long path.
const probeWithin = 3 * time.Second

// readIndexLocal is the leader's part (Raft §6.4, without a heartbeat that may have been sent before the
// read began): note the commit index and the term, then ask the voters for their term. When a majority
// still has ours, no other leader can have been elected before we asked, so nobody can have committed
// anything that our commit index does not cover.
func (n *Node) readIndexLocal(ctx context.Context) (uint64, error) {
	v := n.voter.Load()
	if v == nil || !v.isLeader() {
		return 0, notLeader(n.leader())
	}
	if n.cfg.test.verifyLeader {
		index := v.raft.CommitIndex()
		if err := v.raft.VerifyLeader().Error(); err != nil {
			return 0, notLeader(0)
		}
		return v.lastCommand(index)
	}
	term := v.raft.CurrentTerm()
	if v.transfer.Load() || v.ready.Load() != term {
		return 0, &failure{Code: failNotLeader, Message: "leadership is changing hands"}
	}
	index := v.raft.CommitIndex()
	if !n.probe(ctx, v, term) {
		return 0, &failure{Code: failNotLeader, Message: "a majority of the voters did not confirm the leader"}
	}
	if v.raft.CurrentTerm() != term || !v.isLeader() {
		return 0, notLeader(n.leader())
	}
	return v.lastCommand(index)
}

// probe asks the voters for their current term and says whether a majority has ours.
func (n *Node) probe(ctx context.Context, v *voter, term uint64) bool {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	votes, voters, asked := 0, 0, 0
	answers := make(chan bool, maxVoterAnswers)
	for _, s := range v.servers() {
		if s.Suffrage != raft.Voter {
			continue
		}
		voters++
		if s.ID == v.id {
			votes++
			continue
		}
		asked++
		if n.start(func(context.Context) {
			var r probeReply
			err := n.ask(ctx, transport.RouterOf(s.Address), msgProbe, nil, &r)
			answers <- err == nil && r.Server == s.ID && r.Term == term
		}) != nil {
			return false
		}
	}
	for ; asked > 0 && 2*votes <= voters; asked-- {
		if <-answers {
			votes++
		}
	}
	return 2*votes > voters
}

// maxVoterAnswers is more than a configuration may have servers.
const maxVoterAnswers = 32

// lastCommand gives the index of the last entry up to one that the state machine gets to see: the others
// (a new leader's empty entry, barriers) never reach it, and to wait for them would be to wait for
// the next command. What is below the log is in a snapshot, and so in the state.
func (v *voter) lastCommand(index uint64) (uint64, error) {
	var l raft.Log
	for ; index > 0; index-- {
		err := v.log.GetLog(index, &l)
		if errors.Is(err, raft.ErrLogNotFound) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		if l.Type == raft.LogCommand && !(len(l.Data) == 2 && l.Data[0] == tierMark) {
			return index, nil
		}
	}
	return 0, nil
}
