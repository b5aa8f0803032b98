package consensus

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/consensus/transport"
)

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
