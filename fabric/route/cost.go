package route

import (
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Cost gives the cost of sending over a link, in microseconds of one-way delay or what is as bad. It must
// be positive and depend on the link alone. More than maxCost counts as that.
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
	// priceCost is what one millionth of the currency for a GB costs bulk: a cent is as bad as a second,
	// which no difference in delay between two ways outweighs.
	priceCost = 100
	// maxCost is the most that a link costs, 18 minutes: so the cost of any way in any graph fits the 44 bits
	// that the heap has for it.
	maxCost = 1 << 30
)

// lossCost is what losing a packet costs, in microseconds: about the time until its content is sent again
// and heard. Bulk transfer asks again for many at a time. For control traffic, loss comes first: 0.5 %,
// which is the least that links report, is worth the longest detour on Earth.
var lossCost = map[topo.Class]uint64{
	topo.ClassControl:     40_000_000,
	topo.ClassInteractive: 1_000_000,
	topo.ClassBulk:        200_000,
}

// CostFor returns the cost function of a traffic class: half the round trip, a penalty per hop, the loss
// times what a loss costs the class. The interactive class takes the round trip that 95 of 100 are under,
// since one late answer in ten is what people notice. Bulk minds the price first, then the time of a burst
// at the link's rate.
func CostFor(c topo.Class) Cost {
	perLoss, ok := lossCost[c]
	if !ok {
		perLoss = lossCost[topo.ClassInteractive]
	}
	return func(l Link) uint64 {
		rtt := max(l.RTT, 0)
		if c != topo.ClassBulk && c != topo.ClassControl {
			rtt = max(rtt, l.RTT95)
		}
		cost := uint64(rtt/2/time.Microsecond) + hopCost
		cost += uint64(l.LossPPM) * perLoss / 1_000_000
		if c == topo.ClassBulk {
			cost += uint64(l.Price) * priceCost
			if l.RateMbps > 0 {
				cost += burstBits / uint64(l.RateMbps) // bits over Mbit/s are microseconds
			}
		}
		return cost
	}
}
