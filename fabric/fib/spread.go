package fib

import (
	"fmt"
	"math"
	"slices"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Slots is how many parts the flows to a router are divided into; each part has one neighbour. A neighbour's
// share is true to within one part, or 1.6 %.
const Slots = 64

// MaxWays is over how many neighbours flows to one router are spread; of more, the first count.
const MaxWays = 8

// Way is a neighbour that flows may take, and its share.
type Way struct {
	Next   topo.RouterID
	Weight uint32 // against the other ways'; 0 counts as 1
}

// Spread divides flows among neighbours that lead to a router equally well. A flow keeps its neighbour while
// that one is among them: each slot goes to the neighbour that bids the most for it (rendezvous hashing,
// Thaler and Ravishankar 1998, with weights), so that when one leaves only its own flows move, and when one
// comes it takes its share evenly from the others.
type Spread struct {
	ways  []Way // ascending by Next, at most MaxWays
	slots [Slots][2]uint8
}

// NewSpread makes the slots. The order of the ways does not matter.
func NewSpread(ways []Way) *Spread {
	s := &Spread{ways: slices.Clone(ways)}
	slices.SortFunc(s.ways, func(a, b Way) int { return int(int64(a.Next) - int64(b.Next)) })
	s.ways = slices.CompactFunc(s.ways, func(a, b Way) bool { return a.Next == b.Next })
	if len(s.ways) > MaxWays {
		s.ways = s.ways[:MaxWays]
	}
	if len(s.ways) == 0 || s.ways[0].Next == 0 {
		panic(fmt.Sprintf("fib: spread over %v", ways))
	}
	for slot := range s.slots {
		best, second := -1, -1
		var bids [MaxWays]float64
		for i, w := range s.ways {
			bids[i] = bid(w, uint64(slot))
			switch {
			case best < 0 || bids[i] > bids[best]:
				best, second = i, best
			case second < 0 || bids[i] > bids[second]:
				second = i
			}
		}
		s.slots[slot] = [2]uint8{uint8(best), uint8(max(second, 0))}
	}
	return s
}

// bid is what a way offers for a slot: -weight / ln(u), with u even in (0, 1) and the same each time. The
// chance of the highest bid is the share of the weight.
func bid(w Way, slot uint64) float64 {
	u := (float64(mix(uint64(w.Next)<<32|slot)>>11) + 0.5) / (1 << 53)
	return -float64(max(w.Weight, 1)) / math.Log(u)
}

// mix is the finalizer of SplitMix64 (Steele, Lea and Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Pick gives the neighbour for a flow by the hash of its five-tuple, and the one that has the flow while
// that neighbour is down: the one that would have it if there were no such neighbour, so a flow does not
// move again when the routes follow. With one way both are the same.
func (s *Spread) Pick(flow uint64) (next, standby topo.RouterID) {
	slot := s.slots[mix(flow)%Slots]
	return s.ways[slot[0]].Next, s.ways[slot[1]].Next
}

// Ways lists the neighbours, ascending. Do not change it.
func (s *Spread) Ways() []Way {
	if s == nil {
		return nil
	}
	return s.ways
}
