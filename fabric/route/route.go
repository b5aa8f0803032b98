// Package route turns what all routers say into one router's way to every other: a next hop, and a
// backup that is known to be loop-free before it is needed, so that the data path can switch by itself.
//
// A link counts when both its ends report it up. Costs are microseconds of one-way delay, with
// penalties for what else hurts (see Cost). The way to a prefix is the way to its best egress: the
// ingress chooses the egress, and relays only ever look at the router that a packet is addressed to.
//
// For a backup, neighbour N of S is loop-free toward D when (RFC 5286, inequality 1)
//
//	dist(N, D) < dist(N, S) + dist(S, D)
//
// that is, when N's own shortest way to D does not come back through S. Among those, one that also avoids
// the primary next hop E (inequality 3, dist(N, D) < dist(N, E) + dist(E, D)) is preferred, since a
// dead router looks like a dead link from outside.
//
// Costs may differ by direction, so distances are directed throughout.
//
// Compute is a pure function and computes everything anew: at 100 routers it takes a few milliseconds,
// and there is no state that could drift.
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
}

// Link is one direction of a link, as From reports it.
type Link struct {
	From, To topo.RouterID
	RTT      time.Duration
	LossPPM  uint32 // lost of a million from From to To
	RateMbps uint32 // 0 is unknown
	MTU      int    // 0 is unknown
	Up       bool
}

// Announcement offers a prefix through a router.
type Announcement struct {
	Router topo.RouterID
	Prefix topo.SegPrefix
	Metric uint32
}

// Hop is the way to one router.
type Hop struct {
	Next       topo.RouterID   // the neighbour that packets go to
	Cost       uint64          // microseconds
	Path       []topo.RouterID // from Self to the router, both included
	MTU        int             // the least on Path; 0 when no link of it says
	Backup     topo.RouterID   // a loop-free alternate, to be used while the link to Next is down; 0 is none
	BackupCost uint64
	BackupPath []topo.RouterID
	BackupMTU  int
}

// Result is one router's routes. It is never changed after Compute.
type Result struct {
	Self     topo.RouterID
	Hops     map[topo.RouterID]Hop            // every router that can be reached, without Self
	Prefixes map[topo.SegPrefix]topo.RouterID // best egress that can be reached; Self when it announces the prefix

	in    Input // without the links
	graph *graph
	self  int
	own   tree
	toll  uint64 // what every way from Self pays for Self's draining; not worth telling anybody
	via   []tree // by neighbour: its own ways; empty for the other routers
}
