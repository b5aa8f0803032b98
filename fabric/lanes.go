package fabric

import "sync/atomic"

// laneSlots is how many groups the flows of a link are divided into. All flows of a slot take the same lane,
// so that a flow is never split over two.
const laneSlots = 16

// laneMap says which lane the flows of each slot take: sixteen numbers of four bits in one word, so that the
// loop changes all at once and a packet reads them without a lock. The zero value sends everything by
// lane 0.
type laneMap struct{ word atomic.Uint64 }

func (m *laneMap) store(lanes [laneSlots]uint8) {
	var w uint64
	for i, l := range lanes {
		w |= uint64(l) << (4 * i)
	}
	m.word.Store(w)
}

// lane is the lane of the link to this neighbour that a flow takes now. hash is any number that is the same
// for all packets of a flow; it need not be mixed well. Packets of one flow change lanes together, at the
// moment when theirs was found bad or good again.
func (f *face) lane(hash uint32) uint8 {
	slot := hash * 0x9e3779b1 >> 28 // Knuth's multiplicative hash: small numbers spread, too
	return uint8(f.lanes.word.Load() >> (4 * slot) & 15)
}
