package consensus

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// rolesEvery is how often a node looks whether it still is what it should be.
	rolesEvery = time.Second
	// restartAfter is how long the cluster's timeouts must differ from those that Raft runs with, and
	// restartApart how far the voters' restarts lie apart, so that there is a majority all the time.
	restartAfter = 10 * time.Second
	restartApart = 10 * time.Second
)

// roles makes this router a voter when the catalog lists it, a watcher when it is listed no more and
// Raft has let it go, and keeps Raft's timeouts those of the cluster.
func (n *Node) roles(ctx context.Context) {
	tick := time.NewTicker(rolesEvery)
	defer tick.Stop()
	defer n.stopVoter()
	var differs time.Time // since when the timeouts differ
	for {
		v := n.voter.Load()
		listed := slices.Contains(n.View().Members, n.cfg.Self)
		switch {
		case v == nil && listed:
			if err := n.startVoter(); err != nil {
				n.cfg.Emit(MembershipChanged{"become a voter", err})
			}
		case v != nil && !listed && n.released(v):
			n.stopVoter()
			if err := n.forgetLog(); err != nil {
				n.cfg.Emit(MembershipChanged{"remove the raft log of a former voter", err})
			}
			n.cfg.Emit(RoleChanged{RoleWatcher})
		case v != nil:
			differs = n.adjust(v, differs)
		}
		select {
		case <-tick.C:
		case <-n.Changed():
		case <-ctx.Done():
			return
		}
	}
}

// released says that Raft's configuration does not have us any more: by our own log, or, since nobody
// sends a removed server the entry that removed it, by that of the voter we follow.
func (n *Node) released(v *voter) bool {
	gone := func(ids []raft.ServerID) bool { return len(ids) > 0 && !slices.Contains(ids, v.id) }
	if gone(serverIDs(v.servers())) && v.raft.State() == raft.Follower {
		return true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.heard.ConfIndex > v.configured() && gone(n.heard.Servers)
}

// forgetLog removes what a voter kept. The name of the disk goes first: without it the rest is rubbish
// that the next start as a voter clears away, and can never vote again under the old name.
func (n *Node) forgetLog() error {
	fs := n.cfg.FS
	if err := fs.Remove(n.path(raftDir, diskFile)); err != nil {
		return fmt.Errorf("forget raft log: %w", err)
	}
	if err := syncDir(fs, n.path(raftDir)); err != nil {
		return fmt.Errorf("forget raft log: %w", err)
	}
	return fs.RemoveAll(n.path(raftDir))
}

// adjust brings Raft's timeouts in line. A follower's patience can be changed as it runs; lease and
// commit interval cannot, so Raft is started again, one voter after the other and never as the leader.
func (n *Node) adjust(v *voter, differs time.Time) time.Time {
	want := v.machine.timeouts()
	if want < 0 || want == v.tier {
		return time.Time{}
	}
	now := time.Now()
	if differs.IsZero() {
		differs = now
	}
	if now.Sub(differs) < restartAfter {
		return differs
	}
	if !v.isLeader() && v.reloaded.Load() != int64(want) && tiers[want].Heartbeat >= tiers[v.tier].Lease {
		t := tiers[want]
		if err := v.raft.ReloadConfig(raft.ReloadableConfig{
			TrailingLogs: trailingLogs, SnapshotInterval: snapshotInterval, SnapshotThreshold: snapshotThreshold,
			HeartbeatTimeout: t.Heartbeat, ElectionTimeout: t.Election,
		}); err == nil {
			v.reloaded.Store(int64(want))
		}
	}
	// Only voters take turns: with nobody else to lead, the leader of a cluster that grows starts again itself.
	voters := voterIDs(v.servers())
	slices.Sort(voters)
	turn := time.Duration(max(0, slices.Index(voters, v.id)))
	if now.Sub(differs) < restartAfter+turn*restartApart {
		return differs
	}
	if v.isLeader() && len(voters) > 1 {
		// The followers had their turn when ours has come round once more.
		if now.Sub(differs) < restartAfter+time.Duration(len(voters))*restartApart || v.transfer.Load() {
			return differs
		}
		_ = n.start(func(ctx context.Context) {
			ctx, cancel := context.WithTimeout(ctx, transferLimit)
			defer cancel()
			_ = n.transferLocal(ctx, v, 0)
		})
		return now // try again later when it does not work out
	}
	if err := v.log.SetUint64(keyTier, uint64(want)); err != nil {
		return differs
	}
	n.stopVoter()
	if err := n.startVoter(); err != nil {
		n.cfg.Fatal(fmt.Errorf("start raft again with other timeouts: %w", err))
		return differs
	}
	n.cfg.Emit(TimeoutsChanged{tiers[want]})
	return time.Time{}
}

// voterIDs lists who votes in a configuration.
func voterIDs(servers []raft.Server) []raft.ServerID {
	out := make([]raft.ServerID, 0, len(servers))
	for _, s := range servers {
		if s.Suffrage == raft.Voter {
			out = append(out, s.ID)
		}
	}
	return out
}

// serverIDs lists a configuration, with those who do not vote yet.
func serverIDs(servers []raft.Server) []raft.ServerID {
	out := make([]raft.ServerID, 0, len(servers))
	for _, s := range servers {
		out = append(out, s.ID)
	}
	return out
}
