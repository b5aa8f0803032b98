package consensus

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/consensus/transport"
	"github.com/galleon-net/galleon/fabric/topo"
)

// Info is what a router says of itself to the leader.
type Info struct {
	Router topo.RouterID `json:"router"`
	Role   Role          `json:"role"`
	// Disk names the log's disk, empty on a watcher.
	Disk   string        `json:"disk,omitempty"`
	Leader topo.RouterID `json:"leader,omitempty"`
	Term   uint64        `json:"term,omitempty"`
	// Index is the state's, LastLog the log's.
	Index   uint64 `json:"index"`
	LastLog uint64 `json:"last_log,omitempty"`
	Feature int    `json:"feature"`
	Tier    int    `json:"tier"`
	// RTT is to the others as it measures them, in microseconds.
	RTT      map[topo.RouterID]int64 `json:"rtt_us,omitempty"`
	Watchers []WatcherStatus         `json:"watchers,omitempty"`
	// DiskBytes is the size of the raft log on disk.
	DiskBytes uint64 `json:"disk_bytes,omitempty"`
	// Hash is of the state at HashIndex, when that was asked for and is still there.
	HashIndex uint64 `json:"hash_index,omitempty"`
	Hash      string `json:"hash,omitempty"`
}

// Status is what `galleon cluster status` shows.
type Status struct {
	Self   topo.RouterID `json:"self"`
	Role   Role          `json:"role"`
	Leader topo.RouterID `json:"leader,omitempty"`
	Term   uint64        `json:"term"`
	// Index is the state's here, Commit and LastLog the log's.
	Index   uint64 `json:"index"`
	Commit  uint64 `json:"commit,omitempty"`
	LastLog uint64 `json:"last_log,omitempty"`
	// Age bounds how long ago the state here was the newest of all; negative when nobody was heard yet.
	Age          time.Duration `json:"age"`
	FeatureLevel int           `json:"feature_level"`
	Feature      int           `json:"feature"`
	// Timeouts are those that Raft runs with here, Wanted those that the cluster agreed on.
	Timeouts Timeouts        `json:"timeouts"`
	Wanted   Timeouts        `json:"wanted_timeouts"`
	Members  []topo.RouterID `json:"members"`
	Voters   []VoterStatus   `json:"voters,omitempty"`
	Watchers []WatcherStatus `json:"watchers,omitempty"`
	Audit    state.AuditHead `json:"audit"`
	// Hash is the state's at Index, in hex.
	Hash         string `json:"hash"`
	Disk         string `json:"disk,omitempty"`
	DiskBytes    uint64 `json:"disk_bytes,omitempty"`
	Transferring bool   `json:"transferring,omitempty"`
}

// VoterStatus is one server of Raft's configuration. What comes from its answers is there on the leader
// only.
type VoterStatus struct {
	Router topo.RouterID `json:"router"`
	Server raft.ServerID `json:"server"`
	Voter  bool          `json:"voter"`
	Leader bool          `json:"leader,omitempty"`
	RTT    time.Duration `json:"rtt"`
	// LastContact is how long ago it answered; negative when it has not.
	LastContact time.Duration `json:"last_contact"`
	Index       uint64        `json:"index"`
	Lag         uint64        `json:"lag"`
	Feature     int           `json:"feature"`
	Tier        int           `json:"tier"`
	DiskBytes   uint64        `json:"disk_bytes"`
}

// WatcherStatus is a router that follows a voter.
type WatcherStatus struct {
	Router topo.RouterID `json:"router"`
	From   topo.RouterID `json:"from"`
	Index  uint64        `json:"index"`
	Lag    uint64        `json:"lag"`
}

// info answers the leader.
func (n *Node) info(r infoRequest) Info {
	s := n.View()
	i := Info{Router: n.cfg.Self, Role: RoleWatcher, Leader: n.leader(), Index: s.Index, Feature: state.FeatureLevel, RTT: map[topo.RouterID]int64{}}
	for _, l := range s.Live() {
		if d := n.cfg.RTT(l.ID); d > 0 && l.ID != n.cfg.Self {
			i.RTT[l.ID] = d.Microseconds()
		}
	}
	if v := n.voter.Load(); v != nil {
		i.Role, i.Disk, i.Term, i.LastLog, i.Tier = RoleVoter, v.disk, v.raft.CurrentTerm(), v.raft.LastIndex(), v.tier
		i.Watchers, i.DiskBytes = n.watching(s.Index), v.log.DiskUsage()
	}
	if past := n.hub.at(r.HashAt); r.HashAt != 0 && past != nil {
		if sum, err := past.Hash(); err == nil {
			i.HashIndex, i.Hash = r.HashAt, hex.EncodeToString(sum[:])
		}
	}
	return i
}

// watching lists who follows us.
func (n *Node) watching(index uint64) []WatcherStatus {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []WatcherStatus
	for w := range n.watchers {
		out = append(out, WatcherStatus{w.router, n.cfg.Self, w.seen, index - min(index, w.seen)})
	}
	slices.SortFunc(out, func(a, b WatcherStatus) int { return cmp.Compare(a.Router, b.Router) })
	return out
}

// Status says how the agreement stands, as this router sees it. The leader sees most.
func (n *Node) Status() Status {
	s := n.View()
	v := n.voter.Load()
	st := Status{Self: n.cfg.Self, Role: RoleWatcher, Leader: n.leader(), Index: s.Index, FeatureLevel: s.Cluster.FeatureLevel,
		Feature: state.FeatureLevel, Members: s.Members, Audit: s.Audit, Age: -1}
	if age, ok := n.age(v); ok {
		st.Age = age
	}
	if sum, err := s.Hash(); err == nil {
		st.Hash = hex.EncodeToString(sum[:])
	}
	if v == nil {
		n.mu.Lock()
		st.Term = n.heard.Term
		n.mu.Unlock()
		return st
	}
	st.Role, st.Term, st.Commit, st.LastLog = RoleVoter, v.raft.CurrentTerm(), v.raft.CommitIndex(), v.raft.LastIndex()
	st.Timeouts, st.Disk, st.DiskBytes, st.Transferring = tiers[v.tier], v.disk, v.log.DiskUsage(), v.transfer.Load()
	st.Wanted = tiers[max(0, v.machine.timeouts())]
	st.Watchers = n.watching(s.Index)
	peers := n.peerTable()
	for _, srv := range v.servers() {
		id := transport.RouterOf(srv.Address)
		vs := VoterStatus{Router: id, Server: srv.ID, Voter: srv.Suffrage == raft.Voter, Leader: id == st.Leader, RTT: n.cfg.RTT(id), LastContact: -1}
		p, ok := peers[id]
		switch {
		case id == n.cfg.Self:
			vs.LastContact, vs.Index, vs.Feature, vs.Tier, vs.DiskBytes = 0, s.Index, state.FeatureLevel, v.tier, st.DiskBytes
		case ok && v.isLeader():
			vs.LastContact, vs.Index, vs.Feature, vs.Tier, vs.DiskBytes = time.Since(p.answered), p.info.Index, p.info.Feature, p.info.Tier, p.info.DiskBytes
			if vs.RTT == 0 {
				vs.RTT = p.rtt
			}
			vs.Lag = s.Index - min(s.Index, p.info.Index)
			st.Watchers = append(st.Watchers, p.info.Watchers...)
		}
		st.Voters = append(st.Voters, vs)
	}
	return st
}

// ClusterStatus is the leader's Status, from whatever router it is asked.
func (n *Node) ClusterStatus(ctx context.Context) (Status, error) {
	if v := n.voter.Load(); v != nil && v.isLeader() {
		return n.Status(), nil
	}
	l := n.leader()
	if l == 0 || l == n.cfg.Self {
		return n.Status(), fmt.Errorf("cluster status: %w; this is what is known here", ErrNoLeader)
	}
	var st Status
	if err := n.ask(ctx, l, msgStatus, nil, &st); err != nil {
		return n.Status(), fmt.Errorf("cluster status: %w; this is what is known here", err)
	}
	return st, nil
}

// auditLocal reads our own trail. A voter that came in late has none of the older entries; another does.
func (n *Node) auditLocal(from uint64, count int) (auditReply, error) {
	v := n.voter.Load()
	if v == nil {
		return auditReply{}, notLeader(n.leader())
	}
	entries, err := v.audit.read(from, max(0, min(count, maxAuditRead)))
	return auditReply{entries, n.View().Audit}, err
}

// Audit gives up to count entries of the audit trail from a sequence number on (the first is 1), and
// checks them: each one's hash, the chain between them, and the head that the state holds when they
// reach it. At most maxAuditRead come at once.
func (n *Node) Audit(ctx context.Context, from uint64, count int) ([]state.AuditEntry, error) {
	var got auditReply
	found := false
	if local, err := n.auditLocal(from, count); err == nil && len(local.Entries) > 0 && local.Entries[0].Seq == from {
		got, found = local, true
	}
	var last error
	for _, id := range n.others() {
		if found {
			break
		}
		var r auditReply
		if last = n.ask(ctx, id, msgAudit, auditRequest{from, count}, &r); last != nil {
			continue
		}
		// The oldest entry that anybody still has is the best answer when the first asked for is gone.
		if len(r.Entries) > 0 && (len(got.Entries) == 0 || r.Entries[0].Seq < got.Entries[0].Seq) {
			got = r
		}
		found = len(got.Entries) > 0 && got.Entries[0].Seq == from
	}
	if len(got.Entries) == 0 {
		if last != nil {
			return nil, fmt.Errorf("read the audit trail: %w", last)
		}
		return nil, nil
	}
	if err := checkAudit(got.Entries, from, n.View().Audit); err != nil {
		return nil, fmt.Errorf("read the audit trail: %w", err)
	}
	return got.Entries, nil
}
