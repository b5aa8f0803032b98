package consensus

import (
	"time"

	"github.com/hashicorp/raft"
)

// Timeouts are Raft's, for voters whose largest round-trip time to each other is at most RTT.
//
// Shorter ones depose leaders that are in order, longer ones leave the cluster longer without one. The
// router with the longest sets the time for all, so they belong to the cluster and not to its routers.
type Timeouts struct {
	RTT       time.Duration `json:"rtt"`
	Heartbeat time.Duration `json:"heartbeat"`
	Election  time.Duration `json:"election"`
	Lease     time.Duration `json:"lease"`
	Commit    time.Duration `json:"commit"`
}

const ms = time.Millisecond

// tiers are in growing order of RTT. The last one also serves what is slower.
var tiers = [...]Timeouts{
	{50 * ms, 1000 * ms, 1000 * ms, 750 * ms, 50 * ms},
	{100 * ms, 1500 * ms, 1500 * ms, 1000 * ms, 100 * ms},
	{200 * ms, 2500 * ms, 3000 * ms, 1750 * ms, 200 * ms},
	{300 * ms, 4000 * ms, 4000 * ms, 2500 * ms, 250 * ms},
}

// tierFor gives the tier for a largest RTT between voters. Going down to a faster tier needs a fifth of
// room, so that a path that changes a little does not change the timeouts each time.
func tierFor(rtt time.Duration, current int) int {
	tier := len(tiers) - 1
	for i, t := range tiers {
		if rtt <= t.RTT {
			tier = i
			break
		}
	}
	if tier < current && rtt > tiers[tier].RTT*4/5 {
		return min(tier+1, current)
	}
	return tier
}

// The rest of Raft's settings are the same for every cluster.
const (
	maxAppendEntries = 512
	// trailingLogs is how many entries are kept behind a snapshot: at a hundred commands a second, a
	// quarter of an hour in which a follower that was away needs no snapshot.
	trailingLogs      = 100_000
	snapshotThreshold = 32_768
	snapshotInterval  = 5 * time.Minute
)

func raftConfig(t Timeouts, id raft.ServerID, emit func(Event)) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = id
	c.HeartbeatTimeout, c.ElectionTimeout = t.Heartbeat, t.Election
	c.LeaderLeaseTimeout, c.CommitTimeout = t.Lease, t.Commit
	// BatchApplyCh stays off: what lies in its buffer when Raft shuts down is never answered.
	c.MaxAppendEntries = maxAppendEntries
	c.TrailingLogs, c.SnapshotThreshold, c.SnapshotInterval = trailingLogs, snapshotThreshold, snapshotInterval
	c.NoLegacyTelemetry = true
	// A removed voter is shut down by its node, when the catalog says so too.
	c.ShutdownOnRemove = false
	c.Logger = newRaftLogger(emit)
	return c
}
