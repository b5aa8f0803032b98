package fib

import "github.com/galleon-net/galleon/fabric/topo"

// denseRouters is up to which RouterID hops are kept in an array; numbers are never reused, so an old
// cluster may have few routers of high numbers.
const denseRouters = 1 << 13

// hops is the ways to all routers in one plane. Routers of low numbers, which is all of them in most
// clusters, are found by their number.
type hops struct {
	low  []Hop // by RouterID; Next is 0 where there is no way
	high map[topo.RouterID]Hop
}

func makeHops(h map[topo.RouterID]Hop) *hops {
	out := &hops{}
	top := topo.RouterID(0)
	for r := range h {
		if r < denseRouters {
			top = max(top, r)
		}
	}
	if len(h) > 0 {
		out.low = make([]Hop, top+1)
	}
	for r, way := range h {
		switch {
		case r < denseRouters:
			out.low[r] = way
		case out.high == nil:
			out.high = map[topo.RouterID]Hop{r: way}
		default:
			out.high[r] = way
		}
	}
	return out
}

func (h *hops) of(r topo.RouterID) (Hop, bool) {
	if h == nil {
		return Hop{}, false
	}
	if r < topo.RouterID(len(h.low)) {
		way := h.low[r]
		return way, way.Next != 0
	}
	way, ok := h.high[r]
	return way, ok
}
