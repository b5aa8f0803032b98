package consensus

import (
	"context"
	"encoding/hex"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/consensus/transport"
	"github.com/galleon-net/galleon/fabric/topo"
)

const (
	// leadEvery is how often a leader asks the voters how they are and takes the next step.
	leadEvery = 2 * time.Second
	// askAllEach and compareEach count such rounds: until everybody is asked, who might become a voter,
	// and until the voters' states are compared.
	askAllEach  = 10
	compareEach = 30
	infoWithin  = 3 * time.Second
	// placedFor is for how long another set of voters must look better before it is proposed.
	placedFor = 20 * time.Second
	// deadAfter is how long a voter may be silent before another takes its place, aliveFor how lately a
	// newcomer must have answered.
	deadAfter = 10 * time.Minute
	aliveFor  = time.Minute
	// changeWithin is how long a change of the configuration may wait for Raft's loop.
	changeWithin = 5 * time.Second
)

// authorLeader is the author of what a leader proposes by itself.
const authorLeader = "galleon"

// peer is what the leader knows of another router.
type peer struct {
	info Info
	// answered is when it last did, rtt how long that took.
	answered time.Time
	rtt      time.Duration
	// caughtUp is since when its log has been close to ours, zero when it is not.
	caughtUp time.Time
}

// lead follows Raft's word on whether we lead.
func (n *Node) lead(ctx context.Context, v *voter) {
	stop := func() {}
	defer func() { stop() }()
	for {
		select {
		case up := <-v.notify:
			stop()
			stop = func() {}
			if up {
				reign, cancel := context.WithCancel(ctx)
				var done sync.WaitGroup
				done.Go(func() { n.reign(reign, v) })
				stop = func() {
					cancel()
					done.Wait()
				}
			}
		case <-ctx.Done():
			return
		}
	}
}

// reign is what a leader does beside answering: one barrier, and then one step at a time towards the
// voters, timeouts and states as they should be.
func (n *Node) reign(ctx context.Context, v *voter) {
	term := v.raft.CurrentTerm()
	for ctx.Err() == nil && v.isLeader() {
		if v.raft.Barrier(changeWithin).Error() == nil && v.raft.CurrentTerm() == term {
			v.ready.Store(term)
			break
		}
		select {
		case <-time.After(retryFirst):
		case <-ctx.Done():
			return
		}
	}
	r := &ruler{n: n, v: v, since: time.Now()}
	n.mu.Lock()
	n.peers = map[topo.RouterID]peer{}
	n.mu.Unlock()
	tick := time.NewTicker(leadEvery)
	defer tick.Stop()
	for round := 0; ctx.Err() == nil && v.isLeader(); round++ {
		r.round(ctx, round)
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

// ruler is one reign's memory.
type ruler struct {
	n     *Node
	v     *voter
	since time.Time
	// better is the set of voters that would be better, betterFrom since when.
	better     []topo.RouterID
	betterFrom time.Time
	// tier is what the paths between the voters ask for, tierFrom since when.
	tier     int
	tierFrom time.Time
}

func (r *ruler) round(ctx context.Context, round int) {
	n, v := r.n, r.v
	s := n.View()
	whom := slices.Clone(s.Members)
	for _, srv := range v.servers() {
		whom = append(whom, transport.RouterOf(srv.Address))
	}
	if round%askAllEach == 0 && !n.cfg.PinVoters {
		for _, l := range s.Live() {
			whom = append(whom, l.ID)
		}
	}
	slices.Sort(whom)
	var compare uint64
	if round%compareEach == compareEach-1 {
		compare = s.Index
	}
	n.askPeers(ctx, v, slices.Compact(whom), compare)
	if compare != 0 {
		n.comparePeers(s)
	}
	if ctx.Err() != nil {
		return
	}
	peers := n.peerTable()
	if r.tierIsDue(r.wantedTier(s, peers)) {
		if _, err := n.apply(ctx, v, []byte{tierMark, byte(r.tier)}); err != nil {
			return
		}
	}
	if !n.cfg.PinVoters && s.Cluster.ID != "" {
		r.choose(ctx, s, peers)
	}
	r.change(ctx, s, peers)
}

// askPeers asks routers how they are, all at once.
func (n *Node) askPeers(ctx context.Context, v *voter, whom []topo.RouterID, hashAt uint64) {
	ctx, cancel := context.WithTimeout(ctx, infoWithin)
	defer cancel()
	var all sync.WaitGroup
	for _, id := range whom {
		if id == n.cfg.Self {
			continue
		}
		all.Go(func() {
			begin := time.Now()
			var i Info
			if n.ask(ctx, id, msgInfo, infoRequest{hashAt}, &i) != nil {
				return
			}
			now := time.Now()
			n.mu.Lock()
			defer n.mu.Unlock()
			p := peer{info: i, answered: now, rtt: now.Sub(begin), caughtUp: n.peers[id].caughtUp}
			close := i.LastLog+caughtUpWithin >= v.raft.CommitIndex() && i.Index > 0 && i.Disk != ""
			if !close {
				p.caughtUp = time.Time{}
			} else if p.caughtUp.IsZero() {
				p.caughtUp = now
			}
			n.peers[id] = p
		})
	}
	all.Wait()
}

func (n *Node) peerTable() map[topo.RouterID]peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.peers)
}

// comparePeers looks whether everybody has the same state as we had.
func (n *Node) comparePeers(s *state.State) {
	sum, err := s.Hash()
	if err != nil {
		return
	}
	for id, p := range n.peerTable() {
		if p.info.HashIndex == s.Index && p.info.Hash != hex.EncodeToString(sum[:]) {
			n.cfg.Emit(Diverged{id, s.Index})
		}
	}
}
