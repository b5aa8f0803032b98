// Package route turns what all routers say into one router's way to every other: a next hop, and a
// backup that is known to be loop-free before it is needed, so that the data path can switch by itself.
//
// A link counts when both its ends report it up. Costs are microseconds of one-way delay, with
// penalties for what else hurts (see CostFor). The way to a prefix is the way to its best egress: the
// ingress chooses the egress, and relays only ever look at the router that a packet is addressed to.
//
// # Planes
//
// There is one set of ways for each plane (topo.Plane): a class, which sets the costs, and what packets must
// not pass through, which takes routers out of the graph as relays. All routers compute a plane from the same
// figures, and each takes its own shortest way; that is what makes the ways free of loops, and what every
// promise about backups rests on. Therefore nothing here holds on to a way that has become worse: what calms
// a restless network down is applied where figures are made (linkstate.Steady), once for all, and where only
// the ingress decides (Choose), never to a relay's next hop.
//
// # Backups
//
// For a backup, neighbour N of S is loop-free toward D when (RFC 5286, inequality 1)
//
//	dist(N, D) < dist(N, S) + dist(S, D)
//
// that is, when none of N's own shortest ways to D comes back through S. Among those, one whose way shares no
// cable or other risk with the link to the next hop E comes first, then one that also avoids E itself
// (inequality 3, dist(N, D) < dist(N, E) + dist(E, D)), since a dead router looks like a dead link from
// outside. Where there is none, a neighbour that would send the packet back may still do: the data path never
// sends a packet where it came from, so N takes its own backup at once (see turn.go):
//
//	S ──x──► E ──► D        N's next hop for D is S. A packet for D that comes from S goes to M,
//	│              ▲        if N's backup avoids S: nobody had to hear of the failure.
//	▼              │
//	N ───────────► M
//
// Costs may differ by direction, so distances are directed throughout.
//
// Compute is a pure function that computes everything anew. Engine gives the same results and keeps what a
// change did not touch; a property test holds the two against each other.
package route

import (
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// MaxHops is how many links a path may have: packets start with this hop limit (wire.MaxHops).
const MaxHops = 8

// Input is what a router knows when it computes its routes.
type Input struct {
	Self          topo.RouterID
	Links         []Link // both directions of every link, in any order
	Announcements []Announcement
	Draining      map[topo.RouterID]bool // routers to avoid as relays and as egresses
	FabricMTU     int                    // bytes of a datagram that the data path wants to send; 0 asks for nothing
	Cost          Cost                   // nil is CostFor(topo.ClassInteractive)
	Intent        *Intent                // nil asks for nothing
}

// Link is one direction of a link, as From reports it.
type Link struct {
	From, To topo.RouterID
	RTT      time.Duration
	LossPPM  uint32 // lost of a million from From to To
	RateMbps uint32 // 0 is unknown
	MTU      int    // 0 is unknown
	Up       bool
	RTT95    time.Duration // 95 of 100 round trips are shorter; 0 is unknown
	Price    uint32        // for sending a GB, in millionths of the operator's currency
}

// Announcement offers a prefix through a router.
type Announcement struct {
	Router topo.RouterID
	Prefix topo.SegPrefix
	Metric uint32
}

// Way is how packets to one router leave, as the data path needs it.
type Way struct {
	Next   topo.RouterID // the neighbour that packets go to
	Cost   uint64        // microseconds
	Hops   int           // links
	MTU    int           // the least on the way; 0 when no link of it says
	Backup topo.RouterID // to be used while the link to Next is down; 0 is none
	Guard  Guard         // what Backup is good for
}

// Guard is what a backup protects from. The zero value protects from a failure of the link to the next hop.
type Guard struct {
	Node       bool // also from the death of the next hop, or that is the destination itself
	SharesRisk bool // its way uses a cable, station or carrier that the link to the next hop uses: nothing better was there
	Turn       bool // Backup's own next hop is Self: it goes on by its own backup, as the data path does
}

// Hop is the way to one router, with paths for people.
type Hop struct {
	Next       topo.RouterID   // the neighbour that packets go to
	Cost       uint64          // microseconds
	Path       []topo.RouterID // from Self to the router, both included
	MTU        int             // the least on Path; 0 when no link of it says
	Backup     topo.RouterID   // a loop-free alternate, to be used while the link to Next is down; 0 is none
	BackupCost uint64
	BackupPath []topo.RouterID
	BackupMTU  int
	Guard      Guard
	Shares     []Share // neighbours that are as good as Next, Next among them, ascending; nil when it is alone
}

// Share is a neighbour over which flows are spread, and its part.
type Share struct {
	Next topo.RouterID
	Mbps uint32 // the least rate on its way: the weight; 0 is unknown, and then all are equal
}

// Result is one router's routes in the plane of Input.Cost. It is never changed after Compute.
type Result struct {
	Self     topo.RouterID
	Hops     map[topo.RouterID]Hop            // every router that can be reached, without Self
	Prefixes map[topo.SegPrefix]topo.RouterID // best egress that can be reached; Self when it announces the prefix

	engine *Engine
}

// Compute finds the ways from in.Self to every other router and prefix.
func Compute(in Input) *Result {
	e := newEngine(in.Self, []topo.Class{topo.ClassInteractive}, in.Cost)
	e.load(in)
	r := &Result{
		Self:     in.Self,
		Hops:     make(map[topo.RouterID]Hop, len(e.graph.ids)),
		Prefixes: make(map[topo.SegPrefix]topo.RouterID, len(e.prefixes)),
		engine:   e,
	}
	for v, id := range e.graph.ids {
		if h, ok := e.hop(e.base(), int32(v)); ok {
			r.Hops[id] = h
		}
	}
	for i := range e.prefixes {
		if p := &e.prefixes[i]; p.Egress != 0 {
			r.Prefixes[p.SegPrefix] = p.Egress
		}
	}
	return r
}
