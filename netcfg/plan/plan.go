// Package plan compares what Galleon wants of the kernel with what is there, and writes the steps from
// one to the other. A step prints as the ip or nft command that would do it; that text is what people see
// and what the tests compare.
//
// What Galleon puts into a kernel, and how packets meet it:
//
//	rule 5201 (v4, v6)     not marked as Galleon's own? ──► table 201
//	table 201              throw        local prefix     ──► the next rule: the main table knows it
//	                       unicast      remote prefix    ──► the TUN device
//	                       unreachable  overlay prefix   ──► ICMP, never the default route, in clear
//	table inet galleon     overlay addresses on an underlay interface are dropped, should the rule go;
//	                       TCP connections of others over the device begin with an MSS that their route carries
//
// The three kinds of route differ in metric, so that a prefix may have several and the kernel picks the
// one above in this list.
//
// Only what is Galleon's is ever changed: routes by protocol and table, rules by priority, protocol and
// table, host addresses on its own TUN device, the nftables table by name. Something else in the way is
// a Conflict: reported, left alone.
//
// Each unicast route says how large a packet its way carries (RTAX_MTU), and the device is as large as the widest.
// The kernel then does for each destination what else the device's MTU makes it do for all: it fragments
// where that is allowed, answers "too big" where not, and gives local TCP its segment size. A change of the MTU
// is a replacement of the route in place, with no moment without one.
//
// The package is pure.
package plan

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Defaults of Config, and the metrics of Galleon's routes.
const (
	DefaultTable        = 201
	DefaultProtocol     = 201
	DefaultRulePriority = 5201

	MetricThrow = 101
	MetricRoute = 201
	MetricGuard = 1_000_000

	// FilterTable is the name of the nftables table, in family inet.
	FilterTable = "galleon"
)

// MaxRoutes bounds each list of prefixes in a Config.
const MaxRoutes = 1 << 16

// Config is what is wanted.
type Config struct {
	Device    string         `json:"device"`    // the TUN device, made by somebody else; what needs it waits for it
	MTU       int            `json:"mtu"`       // of the device: the most that any route has; 0 leaves it
	Addresses []netip.Prefix `json:"addresses"` // loopbacks of this router, /32 and /128
	Routes    []Route        `json:"routes"`    // remote prefixes that can be reached
	Guards    []netip.Prefix `json:"guards"`    // every overlay prefix, reachable or not; those in Local are not guarded
	Local     []netip.Prefix `json:"local"`     // overlay prefixes that this router's own networks serve
	Underlay  []string       `json:"underlay"`  // interfaces on which overlay addresses are dropped; none: no filter
	Clamp     bool           `json:"clamp"`     // lower the MSS of TCP connections that are forwarded over the device to what their route carries
	Mark      uint32         `json:"mark"`      // of the sockets of tunnels, whose packets must not enter one; 0: none

	Table        int `json:"table"`         // 201
	Protocol     int `json:"protocol"`      // 201
	RulePriority int `json:"rule_priority"` // 5201
}

// Route is a remote prefix.
type Route struct {
	Prefix netip.Prefix `json:"prefix"`
	MTU    int          `json:"mtu"`    // of the way, octets, at least 1,280 and at most the device's; 0 is the device's
	Source netip.Addr   `json:"source"` // preferred source of this machine's own packets; zero: the kernel's choice
}

// Scope says where to look for what is Galleon's.
type Scope struct {
	Device                        string
	Table, Protocol, RulePriority int
}

// Scope returns the config's, with defaults.
func (c Config) Scope() Scope {
	def := func(v, d int) int {
		if v == 0 {
			return d
		}
		return v
	}
	return Scope{c.Device, def(c.Table, DefaultTable), def(c.Protocol, DefaultProtocol), def(c.RulePriority, DefaultRulePriority)}
}

// Check refuses a config that cannot be meant.
func (c Config) Check() error {
	s := c.Scope()
	switch {
	case c.Device == "" || len(c.Device) > 15 || strings.ContainsAny(c.Device, "/ \t\n"):
		return fmt.Errorf("device %q: want the name of a network interface, 1 to 15 characters", c.Device)
	case c.MTU != 0 && (c.MTU < 1280 || c.MTU > 65535):
		return fmt.Errorf("mtu %d: want 1280 (the least that IPv6 allows) to 65535", c.MTU)
	case s.Table < 1 || s.Table > 252:
		return fmt.Errorf("table %d: want 1 to 252; 253 to 255 are the system's own", s.Table)
	case s.Protocol < 5 || s.Protocol > 255:
		return fmt.Errorf("protocol %d: want 5 to 255; lower ones are the kernel's", s.Protocol)
	case s.RulePriority < 1 || s.RulePriority > 32765:
		return fmt.Errorf("rule priority %d: want 1 to 32765, between the local and the main table", s.RulePriority)
	case len(c.Underlay) > 64:
		return fmt.Errorf("%d underlay interfaces: at most 64", len(c.Underlay))
	case max(len(c.Routes), len(c.Guards), len(c.Local), len(c.Addresses)) > MaxRoutes:
		return fmt.Errorf("more than %d prefixes", MaxRoutes)
	case slices.Contains(c.Underlay, c.Device):
		return fmt.Errorf("underlay interface %s is the overlay's own device", c.Device)
	}
	var errs []error
	for _, a := range c.Addresses {
		if !a.IsValid() || !a.IsSingleIP() {
			errs = append(errs, fmt.Errorf("address %s: want a host address, /32 or /128", a))
		}
	}
	for _, p := range slices.Concat(c.Guards, c.Local, prefixesOf(c.Routes)) {
		switch {
		case !p.IsValid() || p != p.Masked() || p.Addr().Is4In6():
			errs = append(errs, fmt.Errorf("prefix %s: want a network address", p))
		case p.Bits() == 0 && c.Mark == 0:
			errs = append(errs, fmt.Errorf("prefix %s would take in the tunnels themselves: it needs a mark on their sockets", p))
		}
	}
	for _, r := range c.Routes {
		if r.Source.IsValid() && r.Source.Is4() != r.Prefix.Addr().Is4() {
			errs = append(errs, fmt.Errorf("route %s: source %s is of the other address family", r.Prefix, r.Source))
		}
		switch {
		case r.MTU == 0:
		case r.MTU < 1280 || r.MTU > 65535:
			errs = append(errs, fmt.Errorf("route %s: mtu %d: want 1280 (the least that IPv6 allows) to 65535", r.Prefix, r.MTU))
		case c.MTU != 0 && r.MTU > c.MTU: // the kernel would believe the route, and the device refuse the packet
			errs = append(errs, fmt.Errorf("route %s: mtu %d is more than the device's %d", r.Prefix, r.MTU, c.MTU))
		}
	}
	return errors.Join(errs...)
}

// v4 is the config without IPv6.
func (c Config) v4() Config {
	is6 := func(p netip.Prefix) bool { return p.Addr().Is6() }
	without := func(ps []netip.Prefix) []netip.Prefix { return slices.DeleteFunc(slices.Clone(ps), is6) }
	c.Addresses, c.Guards, c.Local = without(c.Addresses), without(c.Guards), without(c.Local)
	c.Routes = slices.DeleteFunc(slices.Clone(c.Routes), func(r Route) bool { return is6(r.Prefix) })
	return c
}

func prefixesOf(rs []Route) []netip.Prefix {
	ps := make([]netip.Prefix, len(rs))
	for i, r := range rs {
		ps[i] = r.Prefix
	}
	return ps
}
