package kerneltest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/galleon-net/galleon/netcfg/kernel"
	"github.com/galleon-net/galleon/netcfg/plan"
)

// Contract holds a kernel to what netcfg relies on. Every part gets a bench of its own.
func Contract(t *testing.T, open func(t *testing.T) Bench) {
	for name, part := range map[string]func(*testing.T, Bench){
		"Empty": empty, "Reach": reach, "Foreign": foreign, "Errors": contractErrors, "Delete": deleteOne,
		"DeviceGoes": deviceGoes, "GuardsWithoutDevice": guardsAlone, "Events": events, "Many": many, "Filter": filter, "MTU": mtu,
	} {
		t.Run(name, func(t *testing.T) { part(t, open(t)) })
	}
}

func empty(t *testing.T, b Bench) {
	f := Observe(t, b.Kernel(), Example())
	if f.Device.Index != 0 || len(f.Routes) != 0 || len(f.Rules) != 0 || f.Filter != nil {
		t.Fatalf("found %+v in an empty kernel", f)
	}
}

// reach: what was applied is found again just so, whatever there was before; and all of it can go.
func reach(t *testing.T, b Bench) {
	b.AddDevice(Device)
	f := Reach(t, b.Kernel(), Example())
	if n := len(Ours(f)); n != 4+5+1 {
		t.Fatalf("%d routes of ours: %+v", n, f.Routes)
	}
	changed := Example()
	changed.MTU, changed.Mark = 1300, 5
	changed.Routes[0].MTU, changed.Routes[2].Source = 1290, netip.Addr{}
	changed.Routes[3].MTU = 1290
	changed.Addresses = changed.Addresses[:1]
	changed.Underlay = []string{"eth2"}
	Reach(t, b.Kernel(), changed)
	changed.Underlay = nil
	if f = Reach(t, b.Kernel(), changed); f.Filter != nil && f.Filter.Clamp != Device {
		t.Fatalf("the clamp alone: %+v", f.Filter)
	}
	changed.Underlay, changed.Clamp = []string{"eth0"}, false
	Reach(t, b.Kernel(), changed)
	f = Reach(t, b.Kernel(), plan.Config{Device: Device})
	if len(f.Routes) != 0 || len(f.Rules) != 2 || f.Filter != nil || len(f.Device.Addresses) != 0 {
		t.Fatalf("left over: %+v", f)
	}
}

func foreign(t *testing.T, b Bench) {
	b.AddDevice(Device)
	AddForeign(t, b)
	CheckForeign(t, Reach(t, b.Kernel(), Example()))
	f := Reach(t, b.Kernel(), plan.Config{Device: Device})
	CheckForeign(t, f)
	if len(f.Routes) != len(Foreign()) {
		t.Fatalf("left: %+v", f.Routes)
	}
}

func contractErrors(t *testing.T, b Bench) {
	b.AddDevice(Device)
	f := Reach(t, b.Kernel(), Example())
	e := Ours(f)[0]
	step := func(v plan.Verb, e plan.Entry) error {
		return b.Kernel().Apply(t.Context(), plan.RouteStep{Verb: v, Entry: e, Table: plan.DefaultTable, Device: Device})
	}
	if err := step(plan.Add, e); !errors.Is(err, kernel.ErrTaken) {
		t.Fatalf("adding a route twice: %v", err)
	}
	if err := step(plan.Delete, e); err != nil {
		t.Fatal(err)
	}
	if err := step(plan.Delete, e); !errors.Is(err, kernel.ErrGone) {
		t.Fatalf("deleting a route twice: %v", err)
	}
	if err := b.Kernel().Apply(t.Context(), plan.SetUp{Device: "gone", Index: 4711}); !errors.Is(err, kernel.ErrGone) {
		t.Fatalf("device that is not there: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Kernel().Observe(ctx, Example().Scope()); err == nil {
		if _, fake := b.Kernel().(*Fake); !fake {
			t.Fatal("observing after the end of the context succeeds")
		}
	}
}

// deleteOne: a deletion takes the one route that it names, not its neighbours by prefix or metric.
func deleteOne(t *testing.T, b Bench) {
	AddForeign(t, b)
	for _, p := range []string{"10.5.0.0/16", "fd00:5::/48"} {
		for _, m := range []int{plan.MetricThrow, plan.MetricGuard} {
			kind := plan.Unreachable
			if m == plan.MetricThrow {
				kind = plan.Throw
			}
			e := plan.Entry{Key: plan.Key{Prefix: netip.MustParsePrefix(p), Metric: m}, Kind: kind, Protocol: plan.DefaultProtocol}
			if err := b.Kernel().Apply(t.Context(), plan.RouteStep{Verb: plan.Add, Entry: e, Table: plan.DefaultTable}); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := Observe(t, b.Kernel(), Example())
	for _, e := range Ours(before) {
		if err := b.Kernel().Apply(t.Context(), plan.RouteStep{Verb: plan.Delete, Entry: e, Table: plan.DefaultTable}); err != nil {
			t.Fatal(err)
		}
		after := Observe(t, b.Kernel(), Example())
		if len(after.Routes) != len(before.Routes)-1 || slices.ContainsFunc(after.Routes, func(r plan.Entry) bool { return r.Key == e.Key }) {
			t.Fatalf("deleting %+v left %+v", e, after.Routes)
		}
		before = after
	}
	CheckForeign(t, before)
}

func deviceGoes(t *testing.T, b Bench) {
	b.AddDevice(Device)
	first := Reach(t, b.Kernel(), Example())
	b.RemoveDevice(Device)
	f := Reach(t, b.Kernel(), Example())
	for _, e := range Ours(f) {
		if e.Kind == plan.Unicast {
			t.Fatalf("a route to a device that is gone: %+v", e)
		}
	}
	if len(Ours(f)) != 6 {
		t.Fatalf("guards and throws left: %+v", f.Routes)
	}
	b.AddDevice(Device)
	f = Reach(t, b.Kernel(), Example())
	if f.Device.Index == first.Device.Index || len(Ours(f)) != 10 {
		t.Fatalf("device %d then %d, %d routes", first.Device.Index, f.Device.Index, len(f.Routes))
	}
}

func guardsAlone(t *testing.T, b Bench) {
	f := Reach(t, b.Kernel(), Example())
	if len(Ours(f)) != 6 || len(f.Rules) != 2 {
		t.Fatalf("without a device: %+v", f)
	}
}

func events(t *testing.T, b Bench) {
	b.AddDevice(Device)
	Reach(t, b.Kernel(), Example())
	ctx, cancel := context.WithCancel(t.Context())
	ch, err := b.Kernel().Events(ctx, plan.DefaultTable)
	if err != nil {
		t.Fatal(err)
	}
	f := Observe(t, b.Kernel(), Example())
	expect := func(after string, do func() error) {
		t.Helper()
		for len(ch) > 0 {
			<-ch
		}
		if err := do(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ch:
		case <-time.After(5 * time.Second):
			t.Fatalf("no event after %s", after)
		}
	}
	for _, e := range Ours(f) {
		step := plan.RouteStep{Verb: plan.Delete, Entry: e, Table: plan.DefaultTable}
		expect(step.String(), func() error { return b.Other().Apply(t.Context(), step) })
	}
	for _, r := range f.Rules {
		step := plan.RuleStep{Rule: r, Remove: true}
		expect(step.String(), func() error { return b.Other().Apply(t.Context(), step) })
	}
	address := plan.Address{Device: Device, Index: f.Device.Index, Address: f.Device.Addresses[0], Remove: true}
	expect(address.String(), func() error { return b.Other().Apply(t.Context(), address) })
	expect("the device went", func() error { b.RemoveDevice(Device); return nil })
	cancel()
	deadline := time.After(5 * time.Second)
	for {
		select {
		case _, ok := <-ch:
			if !ok {
				return
			}
		case <-deadline:
			t.Fatal("the subscription did not end with its context")
		}
	}
}

// many: a table that needs several messages is read whole, also while it changes.
func many(t *testing.T, b Bench) {
	b.AddDevice(Device)
	c := plan.Config{Device: Device}
	for i := range 2000 {
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)
		if i%2 == 1 {
			p = netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0, byte(i >> 8), byte(i)}), 48)
		}
		c.Routes = append(c.Routes, plan.Route{Prefix: p})
	}
	Reach(t, b.Kernel(), c)
	stop := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		e := plan.Entry{Key: plan.Key{Prefix: netip.MustParsePrefix("10.0.1.0/28"), Metric: 5}, Kind: plan.Unreachable, Protocol: 4}
		for {
			for _, v := range []plan.Verb{plan.Add, plan.Delete} {
				if err := b.Other().Apply(context.Background(), plan.RouteStep{Verb: v, Entry: e, Table: plan.DefaultTable}); err != nil {
					done <- err
					return
				}
			}
			select {
			case <-stop:
				done <- nil
				return
			default:
			}
		}
	}()
	for range 20 {
		if n := len(Ours(Observe(t, b.Kernel(), c))); n != 2000 {
			t.Errorf("%d of 2000 routes found", n)
		}
	}
	close(stop)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// mtu: each route has its own; a change is a replacement; another's hand is seen; and what the kernel itself
// does to IPv6 routes when the device changes (they follow it up from its old MTU, and down) is found out.
func mtu(t *testing.T, b Bench) {
	b.AddDevice(Device)
	c := plan.Config{Device: Device, MTU: 1400}
	for _, p := range []string{"10.5.0.0/16", "10.6.0.0/16", "fd00:5::/48", "fd00:6::/48"} {
		c.Routes = append(c.Routes, plan.Route{Prefix: netip.MustParsePrefix(p), MTU: 1400})
	}
	expect := func(what string, want ...int) plan.Found {
		t.Helper()
		f := Observe(t, b.Kernel(), c)
		for i, r := range c.Routes {
			at := slices.IndexFunc(f.Routes, func(e plan.Entry) bool { return e.Prefix == r.Prefix })
			if at < 0 || f.Routes[at].MTU != want[i] {
				t.Fatalf("%s: route %s of %+v, want mtu %d", what, r.Prefix, f.Routes, want[i])
			}
		}
		return f
	}
	Reach(t, b.Kernel(), c)
	f := expect("all the same", 1400, 1400, 1400, 1400)

	up := plan.SetMTU{Device: Device, Index: f.Device.Index, MTU: 8952}
	if err := b.Other().Apply(t.Context(), up); err != nil {
		t.Fatal(err)
	}
	expect("the device went up", 1400, 1400, 8952, 8952)
	c.MTU = 8952
	f = Reach(t, b.Kernel(), c)
	expect("and was taken for wanted", 1400, 1400, 1400, 1400)

	c.Routes[0].MTU, c.Routes[3].MTU = 8952, 1280
	changes := plan.Diff(c, f).Changes
	if len(changes) != 2 {
		t.Fatalf("two ways changed: %v", changes)
	}
	for _, change := range changes {
		if step, ok := change.(plan.RouteStep); !ok || step.Verb != plan.Replace {
			t.Fatalf("a way's MTU changes by %s", change)
		}
		if err := b.Kernel().Apply(t.Context(), change); err != nil {
			t.Fatal(err)
		}
	}
	f = expect("two changed", 8952, 1400, 1400, 1280)

	for _, e := range Ours(f) {
		e.MTU = 1300
		if err := b.Other().Apply(t.Context(), plan.RouteStep{Verb: plan.Replace, Entry: e, Table: plan.DefaultTable}); err != nil {
			t.Fatal(err)
		}
	}
	expect("another's hand", 1300, 1300, 1300, 1300)
	Reach(t, b.Kernel(), c)
	expect("repaired", 8952, 1400, 1400, 1280)
}

// filter: the sets come back as they went in, at the edges of the address space, too.
func filter(t *testing.T, b Bench) {
	if why := Observe(t, b.Kernel(), Example()).NoFilter; why != "" {
		t.Skipf("nftables cannot be used here: %s", why)
	}
	c := plan.Config{Device: Device, Underlay: []string{"eth0", "a-long-name-15c"}, Mark: 1}
	for _, p := range []string{"0.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "10.1.0.0/16", "12.0.0.0/8", "224.0.0.0/3", "::/16", "ff00::/8", "fd00::/64"} {
		c.Guards = append(c.Guards, netip.MustParsePrefix(p))
	}
	for i := range 3000 {
		c.Guards = append(c.Guards, netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(i >> 7), byte(i << 1), 0}), 24))
	}
	c.Guards = append(c.Guards, netip.MustParsePrefix("0.0.0.0/1"))
	Reach(t, b.Kernel(), c)
	c.Guards = nil
	c.Local = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	f := Reach(t, b.Kernel(), c)
	if got := fmt.Sprint(f.Filter.Local); got != "[0.0.0.0/0 ::/0]" {
		t.Fatalf("local %s", got)
	}
	Reach(t, b.Kernel(), plan.Config{Device: Device})
}
