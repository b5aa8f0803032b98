package consensus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/topo"
)

const (
	// retryUnknown is for how long a command whose outcome is not known is asked for again. The state
	// remembers outcomes by their number and not by their age; within this time none is forgotten.
	retryUnknown = 15 * time.Second
	// proposeWithin bounds a proposal whose caller sets no earlier end.
	proposeWithin = time.Minute
	retryFirst    = 50 * time.Millisecond
	retryMost     = time.Second
	keyBytes      = 16
)

// Propose has a command carried out, whoever leads, and gives what it came to. A refusal by the state
// is a Result with Err, not an error.
//
// It asks again while there is no leader, and when an answer was lost it asks with the same key, which
// gives the first outcome if there was one. When time runs out in between the error is
// ErrUnknownOutcome, and the caller may go on with the same key; any other error means that nothing
// was changed.
func (n *Node) Propose(ctx context.Context, c state.Command) (state.Result, error) {
	if c.Key == "" {
		var err error
		if c.Key, err = n.randomHex(keyBytes); err != nil {
			return state.Result{}, err
		}
	}
	if _, err := n.running(); err != nil {
		return state.Result{}, fmt.Errorf("propose: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, proposeWithin)
	defer cancel()
	var unknownSince time.Time
	var last error
	pause := retryFirst
	for tried := 0; ; tried++ {
		r, err := n.proposeOnce(ctx, c, tried)
		var f *failure
		switch {
		case err == nil:
			return r, nil
		case errors.As(err, &f) && f.Code == failRefused:
			return state.Result{}, fmt.Errorf("propose: %w", err)
		case errors.Is(err, ErrUnknownOutcome):
			if unknownSince.IsZero() {
				unknownSince = time.Now()
			}
		}
		last = err
		if ctx.Err() == nil && (unknownSince.IsZero() || time.Since(unknownSince) < retryUnknown) {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
			}
			pause = min(2*pause, retryMost)
			if ctx.Err() == nil {
				continue
			}
		}
		if !unknownSince.IsZero() {
			return state.Result{}, fmt.Errorf("propose with key %s: %w; ask again with the same key: %w", c.Key, ErrUnknownOutcome, last)
		}
		return state.Result{}, fmt.Errorf("propose: %w: %w", ErrNoLeader, errors.Join(ctx.Err(), last))
	}
}

// proposeOnce makes one attempt. The error is ErrUnknownOutcome when it may have had an effect.
func (n *Node) proposeOnce(ctx context.Context, c state.Command, tried int) (state.Result, error) {
	if v := n.voter.Load(); v != nil && v.isLeader() {
		return n.proposeLocal(ctx, c)
	}
	to := n.whoLeads(tried)
	if to == 0 {
		return state.Result{}, notLeader(0)
	}
	b, err := state.EncodeCommand(c)
	if err != nil {
		return state.Result{}, &failure{Code: failRefused, Message: err.Error()}
	}
	deadline, _ := ctx.Deadline()
	var r state.Result
	err = n.ask(ctx, to, msgPropose, proposeRequest{b, max(1, min(time.Until(deadline), requestWithin).Milliseconds())}, &r)
	var f *failure
	if err == nil {
		return r, nil
	}
	if errors.As(err, &f) && f.Code != failUnknown && f.Code != failInternal {
		n.learnLeader(to, f.Leader)
		return r, err
	}
	return r, fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
}

// proposeLocal puts a command into our own log. Only a leader can.
func (n *Node) proposeLocal(ctx context.Context, c state.Command) (state.Result, error) {
	v := n.voter.Load()
	if v == nil || !v.isLeader() {
		return state.Result{}, notLeader(n.leader())
	}
	c.Time = time.Now().UTC()
	b, err := state.EncodeCommand(c)
	if err != nil {
		return state.Result{}, &failure{Code: failRefused, Message: err.Error()}
	}
	answer, err := n.apply(ctx, v, b)
	if err != nil {
		return state.Result{}, err
	}
	switch a := answer.(type) {
	case state.Result:
		return a, nil
	case error:
		return state.Result{}, fmt.Errorf("%w: %w", ErrUnknownOutcome, a)
	}
	return state.Result{}, fmt.Errorf("%w: an answer of type %T", ErrUnknownOutcome, answer)
}

// applyWithin is how long a command may wait to be taken by Raft's loop.
const applyWithin = 5 * time.Second

// apply waits for an entry to be carried out, or for ctx, whichever is first.
func (n *Node) apply(ctx context.Context, v *voter, entry []byte) (any, error) {
	type outcome struct {
		answer any
		err    error
	}
	done := make(chan outcome, 1)
	if err := n.start(func(context.Context) {
		f := v.raft.Apply(entry, applyWithin)
		err := f.Error()
		var answer any
		if err == nil {
			answer = f.Response()
		}
		done <- outcome{answer, err}
	}); err != nil {
		return nil, notLeader(0)
	}
	select {
	case o := <-done:
		switch {
		case o.err == nil:
			return o.answer, nil
		case errors.Is(o.err, raft.ErrNotLeader), errors.Is(o.err, raft.ErrLeadershipTransferInProgress), errors.Is(o.err, raft.ErrEnqueueTimeout):
			return nil, notLeader(n.leader())
		}
		return nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, o.err)
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, ctx.Err())
	}
}

// leader gives the router that leads as far as we know, 0 for none.
func (n *Node) leader() topo.RouterID {
	if v := n.voter.Load(); v != nil {
		if l := v.leader(); l != 0 {
			return l
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.heard.Leader == n.cfg.Self {
		return 0 // that was an earlier term of ours: who leads knows it from Raft, not from others
	}
	return n.heard.Leader
}

// learnLeader notes what a router that does not lead says: it is right more often than what we had.
func (n *Node) learnLeader(asked, leader topo.RouterID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if leader != asked {
		n.heard.Leader = leader
	}
}

// whoLeads gives whom to ask next: the leader as far as we know, and when that did not help, one voter
// after the other.
func (n *Node) whoLeads(tried int) topo.RouterID {
	if l := n.leader(); l != 0 && l != n.cfg.Self && tried%3 != 2 {
		return l
	}
	others := n.others()
	if len(others) == 0 {
		return 0
	}
	return others[tried%len(others)]
}

// others gives the voters to ask, the nearest first: the catalog's, or the seeds while it names none.
func (n *Node) others() []topo.RouterID {
	s := n.View()
	ids := slices.Clone(s.Members)
	if len(ids) == 0 {
		ids = slices.Clone(n.cfg.Seeds())
	}
	ids = slices.DeleteFunc(ids, func(r topo.RouterID) bool { return r == n.cfg.Self })
	slices.SortStableFunc(ids, func(a, b topo.RouterID) int { return int(known(n.cfg.RTT(a)) - known(n.cfg.RTT(b))) })
	return ids
}
