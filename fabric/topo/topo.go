// Package topo names the network: one type and one sentence for each noun that the rest of Galleon
// speaks of. It is pure; nothing here does I/O.
//
// A region (mx-queretaro) has zones (mx-queretaro-a); a zone has one or more routers, each a Linux
// machine that runs one galleond. Two routers make a pair; a pair that can reach each other on the
// underlay without a relay has a link. A segment is a tenant network with a route table of its own;
// a prefix only ever means something inside a segment.
package topo

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// RouterID numbers a router for the life of the cluster. The catalog assigns it when a router joins,
// counts upwards from 1 and never reuses a number. Zero is no router.
type RouterID uint32

// String gives the form that people read and type: r7.
func (r RouterID) String() string { return "r" + strconv.FormatUint(uint64(r), 10) }

// ParseRouterID reads the form that String gives.
func ParseRouterID(s string) (RouterID, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(s, "r"), 10, 32)
	if err != nil || !strings.HasPrefix(s, "r") || n == 0 {
		return 0, fmt.Errorf("router %q: want r and a number from 1, like r7", s)
	}
	return RouterID(n), nil
}

// MarshalText and UnmarshalText keep the readable form in JSON and YAML, also as map keys. No router is
// the empty text.
func (r RouterID) MarshalText() ([]byte, error) {
	if r == 0 {
		return nil, nil
	}
	return []byte(r.String()), nil
}

// UnmarshalText reads the form that MarshalText gives.
func (r *RouterID) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*r = 0
		return nil
	}
	id, err := ParseRouterID(string(b))
	if err != nil {
		return err
	}
	*r = id
	return nil
}

// Region names a place with data centres, like mx-queretaro.
type Region string

// Zone names one data centre of a region, like mx-queretaro-a.
type Zone string

// maxName bounds region and zone names, so that they fit a DNS label and a line of output.
const maxName = 40

// CheckRegion refuses a name that is not lower-case letters, digits and inner hyphens.
func CheckRegion(r Region) error { return checkName("region", string(r)) }

// CheckZone refuses a zone whose name is not its region's with one more hyphenated part.
func CheckZone(r Region, z Zone) error {
	if err := checkName("zone", string(z)); err != nil {
		return err
	}
	if rest, ok := strings.CutPrefix(string(z), string(r)+"-"); !ok || rest == "" {
		return fmt.Errorf("zone %q is not in region %q: a zone is named after its region, like %s-a", z, r, r)
	}
	return nil
}

func checkName(kind, s string) error {
	if s == "" || len(s) > maxName {
		return fmt.Errorf("%s name %q: want 1 to %d characters", kind, s, maxName)
	}
	for i, c := range []byte(s) {
		inner := i > 0 && i < len(s)-1
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9' && i > 0, c == '-' && inner:
		default:
			return fmt.Errorf("%s name %q: want lower-case letters, digits and inner hyphens, like ap-tokyo", kind, s)
		}
	}
	return nil
}

// SegmentID numbers a tenant network. DefaultSegment exists from the start.
type SegmentID uint16

// DefaultSegment is the network that every router serves.
const DefaultSegment SegmentID = 0

// SegPrefix is an address range inside a segment: never one without the other.
type SegPrefix struct {
	Segment SegmentID    `json:"segment"`
	Prefix  netip.Prefix `json:"prefix"`
}

func (p SegPrefix) String() string {
	if p.Segment == DefaultSegment {
		return p.Prefix.String()
	}
	return fmt.Sprintf("%d:%s", p.Segment, p.Prefix)
}

// Contains says whether q lies wholly inside p, in the same segment.
func (p SegPrefix) Contains(q SegPrefix) bool {
	return p.Segment == q.Segment && p.Prefix.Bits() <= q.Prefix.Bits() && p.Prefix.Contains(q.Prefix.Addr())
}

// Overlaps says whether the two share an address.
func (p SegPrefix) Overlaps(q SegPrefix) bool {
	return p.Segment == q.Segment && p.Prefix.Overlaps(q.Prefix)
}

// Pair is two routers, the lower number first, so that it can be a map key.
type Pair struct{ A, B RouterID }

// PairOf orders the two.
func PairOf(a, b RouterID) Pair {
	if b < a {
		a, b = b, a
	}
	return Pair{a, b}
}

// Class is what a packet's or a request's traffic needs from the path.
type Class uint8

// The classes, in the order in which an overloaded queue is served.
const (
	ClassControl     Class = iota // routing, Raft, probes: least loss
	ClassInteractive              // people and RPC: least delay
	ClassBulk                     // replication: what is left over
)

var classNames = [...]string{"control", "interactive", "bulk"}

func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "class-" + strconv.Itoa(int(c))
}
