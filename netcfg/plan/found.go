package plan

import (
	"cmp"
	"net/netip"
	"slices"
)

// Found is what a kernel holds of interest to Galleon.
type Found struct {
	Device Device
	Routes []Entry // everything in the table, of whatever protocol
	Rules  []Rule  // everything at the priority, and every rule of the protocol that looks up the table
	Filter *Filter // nil: there is no such nftables table
	// NoFilter is why nftables cannot be used here; then nothing is planned for it.
	NoFilter string
	// NoV6 is why the kernel has no IPv6; then nothing of it is planned.
	NoV6 string
}

// Device is a network interface.
type Device struct {
	Index     int    // 0: there is none of that name
	Foreign   string // not empty: the interface is not a TUN device but of this kind, and is left alone
	MTU       int
	Up        bool
	Addresses []netip.Prefix
}

// Kind is the type of a route.
type Kind uint8

// The kinds that Galleon makes; Other is anything else that stands in its table.
const (
	Unicast Kind = iota
	Unreachable
	Throw
	Other
)

var kindNames = [...]string{"", "unreachable ", "throw ", "other "}

// Key is what the kernel tells routes of one table apart by: two with the same key replace each other.
type Key struct {
	Prefix netip.Prefix
	Metric int
}

func compareKeys(a, b Key) int {
	return cmp.Or(a.Prefix.Addr().Compare(b.Prefix.Addr()), cmp.Compare(a.Prefix.Bits(), b.Prefix.Bits()), cmp.Compare(a.Metric, b.Metric))
}

// Entry is a route in the table.
type Entry struct {
	Key
	Kind     Kind
	Link     int // interface index of a unicast route
	Source   netip.Addr
	MTU      int
	Protocol int
	Scope    int  // as the kernel says it: needed to delete it
	Odd      bool // has what Galleon never gives (gateway, several next hops, encapsulation): replace it
}

// Rule is a policy rule.
type Rule struct {
	V6       bool
	Priority int
	Table    int
	Protocol int
	NotMark  uint32 // matches packets without this mark; 0: every packet
	Odd      bool   // has other selectors or another action
}

// Filter is the content of the nftables table: on packets that come in or go out by an underlay
// interface, overlay addresses are dropped, except between local ones; and of TCP connections that are
// forwarded from or to one device, the MSS is lowered to what the routes of both directions carry.
type Filter struct {
	Underlay []string // ascending
	Overlay  []Range  // both families, ascending, disjoint, not adjacent
	Local    []Range
	Clamp    string // the device; empty: nothing is lowered
	// Broken is set in what was found, when chains or rules are not as Galleon made them.
	Broken bool
}

// Equal says whether two filters are the same.
func (f *Filter) Equal(g *Filter) bool {
	if f == nil || g == nil {
		return f == g
	}
	return f.Broken == g.Broken && f.Clamp == g.Clamp && slices.Equal(f.Underlay, g.Underlay) && slices.Equal(f.Overlay, g.Overlay) && slices.Equal(f.Local, g.Local)
}
