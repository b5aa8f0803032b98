package consensus

import (
	"fmt"
	"slices"
	"time"

	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/consensus/transport"
	"github.com/galleon-net/galleon/fabric/topo"
)

const (
	// caughtUpWithin is how far behind the leader a non-voter may be to be given a vote.
	caughtUpWithin = 1000
	// caughtUpFor is for how long it must have been that close.
	caughtUpFor = 30 * time.Second
)

// action is one change to Raft's configuration.
type action string

const (
	actNone     action = ""
	actTransfer action = "hand leadership over before leaving"
	actAdd      action = "add as non-voter"
	actPromote  action = "make a voter"
	actRemove   action = "remove"
)

type change struct {
	Do     action
	Server raft.ServerID
	Router topo.RouterID
}

func (c change) String() string { return fmt.Sprintf("%s: %s", c.Server, c.Do) }

// memberFacts is what the leader knows of a router that is or shall be a voter.
type memberFacts struct {
	// Disk is the name of its log's disk as it says itself, empty when it did not answer lately.
	Disk string
	// CaughtUp is since when it has been close behind the leader; zero when it is not.
	CaughtUp time.Time
	Revoked  bool
}

// nextChange gives the one next change that brings Raft's configuration in line with the members that
// the catalog wants. Only one is ever under way: each waits for the commit of the one before.
//
// Who was revoked goes first. A router that came back with another disk loses its old entry: under it,
// it would have forgotten votes. Then new members come in without a vote, get it when they have caught
// up, and only then do members that are merely no longer wanted leave, so that there are never fewer
// voters than on either side of the change.
func nextChange(now time.Time, self topo.RouterID, members []topo.RouterID, servers []raft.Server, facts map[topo.RouterID]memberFacts) change {
	routerOf := func(s raft.Server) topo.RouterID { return transport.RouterOf(s.Address) }
	out := func(s raft.Server) change {
		if routerOf(s) == self {
			return change{actTransfer, s.ID, self}
		}
		return change{actRemove, s.ID, routerOf(s)}
	}
	for _, s := range servers {
		if facts[routerOf(s)].Revoked {
			return out(s)
		}
	}
	for _, s := range servers {
		r := routerOf(s)
		disk := facts[r].Disk
		if slices.Contains(members, r) && disk != "" && s.ID != transport.ServerID(r, disk) {
			return out(s)
		}
	}
	waiting := false
	for _, m := range members {
		f := facts[m]
		i := slices.IndexFunc(servers, func(s raft.Server) bool { return routerOf(s) == m })
		switch {
		case i >= 0 && servers[i].Suffrage == raft.Voter:
		case i >= 0 && !f.CaughtUp.IsZero() && now.Sub(f.CaughtUp) >= caughtUpFor:
			return change{actPromote, servers[i].ID, m}
		case i < 0 && f.Disk != "":
			return change{actAdd, transport.ServerID(m, f.Disk), m}
		default:
			waiting = true
		}
	}
	for _, s := range servers {
		if r := routerOf(s); !slices.Contains(members, r) && (!waiting || s.Suffrage != raft.Voter) {
			return out(s)
		}
	}
	return change{}
}
