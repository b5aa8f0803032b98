package consensus

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/consensus/transport"
	"github.com/galleon-net/galleon/fabric/topo"
)

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
