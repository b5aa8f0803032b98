package consensus

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/raft"

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

// rtts gives the round-trip time between two routers as either of them measured it.
func (r *ruler) rtts(peers map[topo.RouterID]peer) func(a, b topo.RouterID) time.Duration {
	one := func(a, b topo.RouterID) time.Duration {
		if a == r.n.cfg.Self {
			return r.n.cfg.RTT(b)
		}
		return time.Duration(peers[a].info.RTT[b]) * time.Microsecond
	}
	return func(a, b topo.RouterID) time.Duration { return max(one(a, b), one(b, a)) }
}

// wantedTier gives the timeouts for the voters that there are and shall be. While somebody's distance is
// not known the present ones stay.
func (r *ruler) wantedTier(s *state.State, peers map[topo.RouterID]peer) int {
	all := slices.Clone(s.Members)
	for _, srv := range r.v.servers() {
		all = append(all, transport.RouterOf(srv.Address))
	}
	slices.Sort(all)
	all = slices.Compact(all)
	current := r.v.machine.timeouts()
	rtt := r.rtts(peers)
	var largest time.Duration
	unknown := false
	for i, a := range all {
		for _, b := range all[i+1:] {
			d := rtt(a, b)
			largest = max(largest, d)
			unknown = unknown || d == 0
		}
	}
	tier := tierFor(largest, max(current, 0))
	if unknown {
		tier = max(tier, current)
	}
	return tier
}

const (
	// A change of timeouts starts every voter's Raft again, so a path must have changed for a while:
	// shortly when it became longer, which costs leaders, and much longer when it became shorter.
	tierUpAfter   = 10 * time.Second
	tierDownAfter = 5 * time.Minute
)

// tierIsDue notes which timeouts the paths ask for, and says whether it is time to change to them.
func (r *ruler) tierIsDue(tier int) bool {
	now, current := time.Now(), r.v.machine.timeouts()
	if tier != r.tier || r.tierFrom.IsZero() {
		r.tier, r.tierFrom = tier, now
	}
	after := tierDownAfter
	if tier > current {
		after = tierUpAfter
	}
	return tier != current && now.Sub(r.tierFrom) >= after
}

// choose proposes other voters when they have been the better ones for a while.
func (r *ruler) choose(ctx context.Context, s *state.State, peers map[topo.RouterID]peer) {
	now := time.Now()
	var all []candidate
	for _, l := range s.Live() {
		c := candidate{Router: l.ID, Region: l.Region, Zone: l.Zone, Voter: slices.Contains(s.Members, l.ID)}
		p, asked := peers[l.ID]
		switch {
		case l.ID == r.n.cfg.Self:
			c.Alive = true
		case c.Voter:
			c.Alive = asked && now.Sub(p.answered) < deadAfter || !asked && now.Sub(r.since) < deadAfter
		default:
			c.Alive = asked && now.Sub(p.answered) < aliveFor && p.info.Feature >= s.Cluster.FeatureLevel
		}
		all = append(all, c)
	}
	want := place(all, r.rtts(peers))
	if slices.Equal(want, s.Members) || len(want) == 0 {
		r.better = nil
		return
	}
	if !slices.Equal(want, r.better) {
		r.better, r.betterFrom = want, now
		return
	}
	if now.Sub(r.betterFrom) < placedFor {
		return
	}
	key, err := r.n.randomHex(keyBytes)
	if err != nil {
		return
	}
	c := state.Command{Key: key, Author: authorLeader, Reason: "placement of voters", SetMembers: &state.SetMembers{Members: want}}
	_, err = r.n.proposeLocal(ctx, c)
	r.n.cfg.Emit(MembershipChanged{fmt.Sprintf("voters shall be %v", want), err})
	r.better = nil
}

// change takes the next step towards the members of the catalog.
func (r *ruler) change(ctx context.Context, s *state.State, peers map[topo.RouterID]peer) {
	n, v := r.n, r.v
	facts := map[topo.RouterID]memberFacts{n.cfg.Self: {Disk: v.disk, Revoked: s.Routers[n.cfg.Self].Revoked != nil}}
	ready := r.timeoutsReady(peers)
	for _, id := range s.Members {
		p := peers[id]
		if id == n.cfg.Self || time.Since(p.answered) > aliveFor {
			continue
		}
		f := memberFacts{Disk: p.info.Disk}
		if ready {
			f.CaughtUp = p.caughtUp
		}
		facts[id] = f
	}
	for _, srv := range v.servers() {
		id := transport.RouterOf(srv.Address)
		if s.Routers[id].Revoked != nil {
			f := facts[id]
			f.Revoked = true
			facts[id] = f
		}
	}
	if len(s.Members) == 0 {
		return // the catalog was not initialised
	}
	c := nextChange(time.Now(), n.cfg.Self, s.Members, v.servers(), facts)
	prev := v.configured()
	var f raft.IndexFuture
	switch c.Do {
	case actNone:
		return
	case actTransfer:
		err := n.transferLocal(ctx, v, 0)
		n.cfg.Emit(MembershipChanged{c.String(), err})
		return
	case actAdd:
		f = v.raft.AddNonvoter(c.Server, transport.Address(c.Router), prev, changeWithin)
	case actPromote:
		f = v.raft.AddVoter(c.Server, transport.Address(c.Router), prev, changeWithin)
	case actRemove:
		f = v.raft.RemoveServer(c.Server, prev, changeWithin)
	}
	n.cfg.Emit(MembershipChanged{c.String(), f.Error()})
}

// timeoutsReady says that every voter that answers runs with timeouts that suffice for the wanted ones:
// a voter that is far away must not come in before the others are patient enough for it.
func (r *ruler) timeoutsReady(peers map[topo.RouterID]peer) bool {
	want := max(r.tier, r.v.machine.timeouts())
	if r.v.tier < want {
		return false
	}
	for _, s := range r.v.servers() {
		p, ok := peers[transport.RouterOf(s.Address)]
		if s.Suffrage == raft.Voter && ok && time.Since(p.answered) < aliveFor && p.info.Tier < want {
			return false
		}
	}
	return true
}
