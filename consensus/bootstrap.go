package consensus

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/consensus/transport"
)

// Bootstrap makes this router the first voter of a new cluster. The command is the Init that creates it.
// It is called once, before Run.
func (n *Node) Bootstrap(init state.Command) error {
	if init.Init == nil {
		return errors.New("bootstrap consensus: the first command of a cluster is its Init")
	}
	init.Time = time.Now().UTC()
	s, r, entry := state.New().Apply(1, init)
	if r.Err != nil {
		return fmt.Errorf("bootstrap consensus: %w", r.Err)
	}
	if r.Router != n.cfg.Self {
		return fmt.Errorf("bootstrap consensus: the first router is %s, this is %s", r.Router, n.cfg.Self)
	}
	return n.begin(s, entry)
}

// Restore makes this router the first voter of a cluster that goes on from a state that Restored gave.
// It is called once, before Run, on a router without a raft log.
func (n *Node) Restore(s *state.State) error {
	next := *s
	next.Index++ // whatever the lost voters did with the next index, it was not this
	return n.begin(&next, nil)
}

// begin writes a log that begins with a state, as if a snapshot had been taken, and us as the voter.
func (n *Node) begin(first *state.State, entry *state.AuditEntry) error {
	fail := func(err error) error { return fmt.Errorf("bootstrap consensus: %w", err) }
	has, err := n.hasLog()
	if err != nil {
		return fail(err)
	}
	if has {
		return fail(errors.New("this router has a raft log already; it is part of a cluster"))
	}
	img, err := image{Cluster: n.cfg.Cluster, State: first}.encode()
	if err != nil {
		return fail(err)
	}
	s, err := n.openStores()
	if err != nil {
		return fail(err)
	}
	defer s.close()
	if entry != nil {
		err = errors.Join(s.audit.add(*entry), s.audit.sync())
	}
	err = errors.Join(err, s.log.SetUint64([]byte("CurrentTerm"), 1), s.log.SetUint64(keyTier, 0))
	if err != nil {
		return fail(err)
	}
	err = s.snaps.write(raft.SnapshotMeta{
		Version: raft.SnapshotVersionMax, ID: snapshotID(first.Index, 1), Index: first.Index, Term: 1, ConfigurationIndex: first.Index,
		Configuration: raft.Configuration{Servers: []raft.Server{{
			Suffrage: raft.Voter, ID: transport.ServerID(n.cfg.Self, s.disk), Address: transport.Address(n.cfg.Self),
		}}},
	}, img)
	if err != nil {
		return fail(err)
	}
	n.hub.publish(first, 0, nil)
	return n.saveLastGood(first)
}
