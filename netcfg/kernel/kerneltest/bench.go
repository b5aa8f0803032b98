package kerneltest

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/galleon-net/galleon/netcfg/kernel"
	"github.com/galleon-net/galleon/netcfg/plan"
)

// Bench is a kernel with the means to do to it what others do.
type Bench interface {
	Kernel() kernel.Kernel
	Other() kernel.Kernel // somebody else's hand, in the same namespace
	AddDevice(name string)
	RemoveDevice(name string)
}

// FakeBench is a bench round a new Fake.
type FakeBench struct{ *Fake }

// NewFakeBench makes one.
func NewFakeBench() FakeBench { return FakeBench{New()} }

// Kernel and Other are the fake.
func (b FakeBench) Kernel() kernel.Kernel { return b.Fake }

// Other is the same fake: it does not mind whose hand it is.
func (b FakeBench) Other() kernel.Kernel { return b.Fake }

// AddDevice makes a TUN device.
func (b FakeBench) AddDevice(name string) { b.Fake.AddDevice(name) }

// Device is the name that the suites use.
const Device = "galleon0"

// Example is a configuration with one of everything.
func Example() plan.Config {
	pfx := netip.MustParsePrefix
	return plan.Config{
		Device: Device, MTU: 1380,
		Addresses: []netip.Prefix{pfx("10.255.0.1/32"), pfx("fd00:ff::1/128")},
		Routes: []plan.Route{
			{Prefix: pfx("10.5.0.0/16"), Source: netip.MustParseAddr("10.255.0.1")},
			{Prefix: pfx("10.6.0.0/16"), MTU: 1300},
			{Prefix: pfx("fd00:5::/48"), Source: netip.MustParseAddr("fd00:ff::1")},
			{Prefix: pfx("fd00:6::/48"), MTU: 1280},
		},
		Guards:   []netip.Prefix{pfx("10.0.0.0/8"), pfx("10.5.0.0/16"), pfx("10.6.0.0/16"), pfx("fd00:5::/48"), pfx("fd00:6::/48")},
		Local:    []netip.Prefix{pfx("10.1.0.0/16"), pfx("fd00:1::/48")},
		Underlay: []string{"eth0", "eth1"},
		Clamp:    true,
		Mark:     0x67616c,
	}
}

// Foreign lists routes of others in the table, and one that only looks like ours.
func Foreign() []plan.Entry {
	pfx := netip.MustParsePrefix
	return []plan.Entry{
		{Key: plan.Key{Prefix: pfx("10.5.0.0/16"), Metric: 7}, Kind: plan.Unreachable, Protocol: 4},
		{Key: plan.Key{Prefix: pfx("198.51.100.0/24"), Metric: plan.MetricGuard}, Kind: plan.Unreachable, Protocol: 4},
		{Key: plan.Key{Prefix: pfx("fd00:5::/48"), Metric: 7}, Kind: plan.Unreachable, Protocol: 186},
	}
}

// Observe reads or ends the test.
func Observe(t *testing.T, k kernel.Kernel, c plan.Config) plan.Found {
	t.Helper()
	f, err := k.Observe(t.Context(), c.Scope())
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Reach applies plans until there is nothing to do.
func Reach(t *testing.T, k kernel.Kernel, c plan.Config) plan.Found {
	t.Helper()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	for range 32 { // deletions are capped per plan
		f := Observe(t, k, c)
		p := plan.Diff(c, f)
		if len(p.Changes) == 0 {
			return f
		}
		for _, change := range p.Changes {
			if err := k.Apply(t.Context(), change); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Fatalf("never at rest; still to do: %v\nfound %+v", plan.Diff(c, Observe(t, k, c)).Changes, Observe(t, k, c))
	return plan.Found{}
}

// AddForeign puts the routes of Foreign, and a rule of another's, into the kernel.
func AddForeign(t *testing.T, b Bench) {
	t.Helper()
	for _, e := range Foreign() {
		if err := b.Other().Apply(t.Context(), plan.RouteStep{Verb: plan.Add, Entry: e, Table: plan.DefaultTable}); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Other().Apply(t.Context(), plan.RuleStep{Rule: foreignRule}); err != nil {
		t.Fatal(err)
	}
}

var foreignRule = plan.Rule{Priority: plan.DefaultRulePriority, Table: 77, Protocol: 4}

// CheckForeign fails the test when any of that is gone.
func CheckForeign(t *testing.T, f plan.Found) {
	t.Helper()
	for _, e := range Foreign() {
		if !slices.ContainsFunc(f.Routes, func(r plan.Entry) bool { return r.Key == e.Key && r.Protocol == e.Protocol }) {
			t.Fatalf("the foreign route to %s metric %d is gone", e.Prefix, e.Metric)
		}
	}
	if !slices.Contains(f.Rules, foreignRule) {
		t.Fatalf("the foreign rule is gone: %+v", f.Rules)
	}
}

// Ours lists the routes of our protocol.
func Ours(f plan.Found) (es []plan.Entry) {
	for _, e := range f.Routes {
		if e.Protocol == plan.DefaultProtocol {
			es = append(es, e)
		}
	}
	return es
}
