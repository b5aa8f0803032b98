// Package linkstate holds what every router says about itself: the links that it measures and the
// prefixes that it announces. A router's word is one record, signed by it, numbered, and flooded; a
// newer record replaces an older one whole. The database merges records in any order and any number of
// times to the same result, ages them, and finds what a peer lacks.
//
// A record, version 1 or 2, big endian; lists in ascending order, so that equal records are equal bytes:
//
//	┌─────────┬───────┬──────────┬─────────────┬───────┬────────────┬────────┬──────────┐
//	│ version │ flags │ origin   │ incarnation │ seq   │ issued     │ links  │ prefixes │
//	│ 1       │ 1     │ 4        │ 8           │ 8     │ 8 unix ns  │ 2 n    │ 2 m      │
//	├─────────┴───────┴──────────┴─────────────┴───────┴────────────┴────────┴──────────┤
//	│ n times: to 4, RTT 4 (microseconds), loss 4 (ppm), rate 4 (Mbit/s), MTU 2, flags 1 │
//	│          version 2 also: RTT95 4 (microseconds), price 4 (millionths for a GB)     │
//	├───────────────────────────────────────────────────────────────────────────────────┤
//	│ m times: segment 2, bits 1, family 1 (4 or 6), address 4 or 16, metric 4           │
//	└───────────────────────────────────────────────────────────────────────────────────┘
//
// A record says version 2 when, and only when, a link of it has an RTT95 or a price, so that routers which
// know only version 1 understand all that there was to understand before. A signed record, as it is flooded:
//
//	┌────────────────────┬──────────────┬────────┬───────────────────┐
//	│ age 4 milliseconds │ signature 64 │ size 4 │ record            │
//	└────────────────────┴──────────────┴────────┴───────────────────┘
//
// The signature is Ed25519 over a fixed label and the record; it does not cover the age, which every
// router that passes the record on increases, as OSPF does (RFC 2328, section 12.1.1). A router that
// lies about an age can keep a silent router's last word alive for longer, not alter it.
//
// The package is pure: time, keys and checks are handed in.
package linkstate

import (
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Bounds, enforced when a record is encoded and before a byte of a received one is believed.
const (
	MaxLinks    = 1024     // links in a record
	MaxPrefixes = 2048     // announcements in a record
	MaxRecord   = 80 << 10 // bytes of an encoded record
	MaxOrigins  = 1024     // routers in a database; records of further ones are refused
	MaxRTT      = 60 * time.Second
)

// Link is one direction of a link, as its origin measures it.
type Link struct {
	To       topo.RouterID
	RTT      time.Duration // smoothed round trip, to the microsecond, at most MaxRTT
	LossPPM  uint32        // lost of a million on the way from the origin to To
	RateMbps uint32        // what the link is believed to carry; 0 is unknown
	MTU      int           // bytes of a datagram that the origin sees arrive from To; 0 is unknown
	Up       bool
	RTT95    time.Duration // 95 of 100 round trips are shorter, to the microsecond, at most MaxRTT; 0 is unknown
	Price    uint32        // of sending a GB, in millionths of the operator's currency; 0 is nothing or unknown
}

// Announcement offers a prefix through the record's origin.
type Announcement struct {
	topo.SegPrefix
	Metric uint32 // lower is preferred before any path cost
}

// Record is one router's word about itself.
type Record struct {
	Origin      topo.RouterID
	Incarnation uint64 // of the origin's forwarding process; higher is newer
	Seq         uint64 // within the incarnation; higher is newer
	Issued      time.Time
	Links       []Link         // ascending by To, none twice
	Prefixes    []Announcement // ascending by segment, address, bits; none twice
	Draining    bool           // the origin asks to be avoided
}

// Version orders the records of one origin.
type Version struct {
	Origin           topo.RouterID
	Incarnation, Seq uint64
}

// Version returns the record's place in its origin's order.
func (r Record) Version() Version { return Version{r.Origin, r.Incarnation, r.Seq} }

// Newer says whether v supersedes w, of the same origin.
func (v Version) Newer(w Version) bool {
	if v.Incarnation != w.Incarnation {
		return v.Incarnation > w.Incarnation
	}
	return v.Seq > w.Seq
}
