package fabric

import (
	"sync/atomic"

	"github.com/galleon-net/galleon/fabric/health"
	"github.com/galleon-net/galleon/fabric/wire"
)

// laneMap says which lane the flows of each slot take: sixteen numbers of four bits in one word, so that the
// loop changes all at once and a packet reads them without a lock. The zero value sends everything by
// lane 0.
type laneMap struct{ word atomic.Uint64 }

func (m *laneMap) store(lanes [health.Slots]uint8) {
	var w uint64
	for i, l := range lanes {
		w |= uint64(l) << (4 * i)
	}
	if m.word.Load() != w {
		m.word.Store(w)
	}
}

// laneCount is how many source ports this router sends from.
func (m *Mesh) laneCount() int { return min(m.env.Socket.Lanes(), wire.MaxLanes) }

// lane is the lane of the link to this neighbour that a flow takes now. hash is any number that is the same
// for all packets of a flow; it need not be mixed well. Packets of one flow change lanes together, at the
// moment when theirs was found bad or good again.
func (f *face) lane(hash uint32) uint8 {
	slot := hash * 0x9e3779b1 >> 28 // Knuth's multiplicative hash: small numbers spread, too
	return uint8(f.lanes.word.Load() >> (4 * slot) & 15)
}

// sent is what went to the neighbour by all lanes.
func (f *face) sent() (sum Traffic) {
	for i := range f.link.out {
		t := f.link.out[i].status()
		sum.Packets += t.Packets
		sum.Octets += t.Octets
	}
	return sum
}

func (f *face) laneStatus(l *link) (all []LaneStatus) {
	for i, n := range l.health.Lanes() {
		s := LaneStatus{
			State: n.State.String(), Why: n.Why, Since: n.Since, RTT: n.RTT, Loss: n.Loss,
			Share: float64(n.Slots) / health.Slots, Flaps: n.Flaps, Out: f.link.out[i].status(),
		}
		if l.from[i].IsValid() {
			s.InFrom = l.from[i].String()
		}
		all = append(all, s)
	}
	return all
}
