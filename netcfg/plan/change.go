package plan

import (
	"fmt"
	"net/netip"
	"strings"
)

// Change is one step. Its String is the command that does the same.
type Change interface {
	String() string
	// Deletes says whether something is taken away.
	Deletes() bool
	// Family is 4 or 6 for a change that concerns one address family alone, else 0.
	Family() int
}

// SetMTU sets the device's MTU.
type SetMTU struct {
	Device string
	Index  int
	MTU    int
}

// SetUp turns the device on.
type SetUp struct {
	Device string
	Index  int
}

// Address adds a host address to the device, or takes it away.
type Address struct {
	Device  string
	Index   int
	Address netip.Prefix
	Remove  bool
}

// Verb says how a route enters the table.
type Verb uint8

// The verbs.
const (
	Add     Verb = iota // fails when the key is taken
	Replace             // of Galleon's own route with the same key
	Delete
)

// RouteStep changes one route.
type RouteStep struct {
	Verb   Verb
	Entry  Entry
	Table  int
	Device string // for the text
}

// RuleStep adds or deletes one policy rule.
type RuleStep struct {
	Rule   Rule
	Remove bool
}

// SetFilter replaces the nftables table, in one transaction; nil removes it.
type SetFilter struct{ Filter *Filter }

// Deletes is false for all but the steps that take something away.
func (SetMTU) Deletes() bool      { return false }
func (SetUp) Deletes() bool       { return false }
func (c Address) Deletes() bool   { return c.Remove }
func (c RouteStep) Deletes() bool { return c.Verb == Delete }
func (c RuleStep) Deletes() bool  { return c.Remove }
func (c SetFilter) Deletes() bool { return c.Filter == nil }

// Family is 0 for what concerns the whole machine.
func (SetMTU) Family() int      { return 0 }
func (SetUp) Family() int       { return 0 }
func (c Address) Family() int   { return family(c.Address.Addr().Is6()) }
func (c RouteStep) Family() int { return family(c.Entry.Prefix.Addr().Is6()) }
func (c RuleStep) Family() int  { return family(c.Rule.V6) }
func (SetFilter) Family() int   { return 0 }

func family(v6 bool) int {
	if v6 {
		return 6
	}
	return 4
}

func (c SetMTU) String() string { return fmt.Sprintf("ip link set %s mtu %d", c.Device, c.MTU) }
func (c SetUp) String() string  { return fmt.Sprintf("ip link set %s up", c.Device) }

func (c Address) String() string {
	verb := "add"
	if c.Remove {
		verb = "del"
	}
	return fmt.Sprintf("ip addr %s %s dev %s", verb, c.Address, c.Device)
}

func (c RouteStep) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ip route %s %s%s", [...]string{"add", "replace", "del"}[c.Verb], kindNames[c.Entry.Kind], c.Entry.Prefix)
	if c.Entry.Kind == Unicast && c.Device != "" {
		fmt.Fprintf(&b, " dev %s", c.Device)
	}
	if c.Entry.Source.IsValid() {
		fmt.Fprintf(&b, " src %s", c.Entry.Source)
	}
	if c.Entry.MTU != 0 {
		fmt.Fprintf(&b, " mtu %d", c.Entry.MTU)
	}
	fmt.Fprintf(&b, " metric %d proto %d table %d", c.Entry.Metric, c.Entry.Protocol, c.Table)
	return b.String()
}

func (c RuleStep) String() string {
	cmd, verb, not := "ip", "add", ""
	if c.Rule.V6 {
		cmd = "ip -6"
	}
	if c.Remove {
		verb = "del"
	}
	if c.Rule.NotMark != 0 {
		not = fmt.Sprintf(" not fwmark %#x", c.Rule.NotMark)
	}
	return fmt.Sprintf("%s rule %s%s lookup %d priority %d protocol %d", cmd, verb, not, c.Rule.Table, c.Rule.Priority, c.Rule.Protocol)
}

func (c SetFilter) String() string {
	if c.Filter == nil {
		return "nft delete table inet " + FilterTable
	}
	text, sep := "nft replace table inet "+FilterTable+":", ""
	if len(c.Filter.Underlay) > 0 {
		text += fmt.Sprintf(" on { %s } drop { %s } but local { %s }",
			strings.Join(c.Filter.Underlay, ", "), rangesText(c.Filter.Overlay), rangesText(c.Filter.Local))
		sep = ","
	}
	if c.Filter.Clamp != "" {
		text += fmt.Sprintf("%s clamp TCP MSS to routes on %s", sep, c.Filter.Clamp)
	}
	return text
}

// rangesText is bounded: a plan is for people.
func rangesText(rs []Range) string {
	const most = 16
	var s []string
	for i, r := range rs {
		if i == most {
			s = append(s, fmt.Sprintf("and %d more", len(rs)-most))
			break
		}
		s = append(s, r.String())
	}
	return strings.Join(s, ", ")
}
