package route

import (
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Cost gives the cost of sending over a link, in microseconds of one-way delay or what is as bad. It must
// be positive and depend on the link alone.
type Cost func(Link) uint64

const (
	// hopCost is for the relay's own time, and so that equal ways prefer fewer routers that can fail. A
	// detour must gain more than this; the best known ones between cloud regions gain 1.5 to 25 ms.
	hopCost = 1000
	// drainCost is for passing through a router that asks to be avoided: last resort, not forbidden.
	drainCost = 10_000_000
	// shortMTUCost is for a link that swallows datagrams of the fabric MTU: hosts must be told to send
	// less, so a way that carries them is worth a detour.
	shortMTUCost = 100_000
	// burst is how much one sends at once in bulk: its time on the wire is part of the delay.
	burstBits = 8 << 20
)

// lossCost is what losing a packet costs, in microseconds: about the time until its content is sent again
// and heard. Control traffic waits for a timeout; bulk transfer asks again for many at a time.
var lossCost = map[topo.Class]uint64{
	topo.ClassControl:     4_000_000,
	topo.ClassInteractive: 1_000_000,
	topo.ClassBulk:        200_000,
}

// CostFor returns the cost function of a traffic class: half the round trip, a penalty per hop, the loss
// times what a loss costs the class, and for bulk the time of a burst at the link's rate.
func CostFor(c topo.Class) Cost {
	perLoss, ok := lossCost[c]
	if !ok {
		perLoss = lossCost[topo.ClassInteractive]
	}
	return func(l Link) uint64 {
		cost := uint64(max(l.RTT, 0)/2/time.Microsecond) + hopCost
		cost += uint64(l.LossPPM) * perLoss / 1_000_000
		if c == topo.ClassBulk && l.RateMbps > 0 {
			cost += burstBits / uint64(l.RateMbps) // bits over Mbit/s are microseconds
		}
		return cost
	}
}
