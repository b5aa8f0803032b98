// Package kerneltest has a kernel in memory, and the contract that it and the real one keep.
package kerneltest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/galleon-net/galleon/netcfg/kernel"
	"github.com/galleon-net/galleon/netcfg/plan"
)

// Fake is a kernel in memory, with the habits of the real one that matter: routes go with their device, a
// key is taken once, a replacement hits whatever has the key, the MTU of IPv6 routes follows the device's, IPv4
// routes that go with a device make no event of their own. It is safe for several goroutines.
type Fake struct {
	mu      sync.Mutex
	next    int
	devices map[string]*plan.Device
	routes  []plan.Entry
	rules   []plan.Rule
	filter  *plan.Filter
	noNFT   string
	fault   func(call string) error
	refuse  func(plan.Change) error
	subs    map[chan kernel.Event]bool
}

// New makes an empty kernel.
func New() *Fake {
	return &Fake{next: 1, devices: map[string]*plan.Device{}, subs: map[chan kernel.Event]bool{}}
}

// AddDevice makes a TUN device, down, with the usual MTU. It returns the new index.
func (f *Fake) AddDevice(name string) int { return f.addDevice(name, "") }

// AddForeign makes a device of another kind.
func (f *Fake) AddForeign(name, kind string) int { return f.addDevice(name, kind) }

func (f *Fake) addDevice(name, foreign string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next++
	f.devices[name] = &plan.Device{Index: f.next, MTU: 1500, Foreign: foreign}
	f.changed("link")
	return f.next
}

// RemoveDevice removes it, and what hangs on it.
func (f *Fake) RemoveDevice(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := f.devices[name]; d != nil {
		delete(f.devices, name)
		f.routes = slices.DeleteFunc(f.routes, func(e plan.Entry) bool { return e.Link == d.Index })
		f.changed("link")
	}
}

// Fail makes every call ask first; an error is the call's. Nil ends it.
func (f *Fake) Fail(fault func(call string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

// FailChanges makes every change ask first; an error is the change's. Nil ends it.
func (f *Fake) FailChanges(refuse func(plan.Change) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = refuse
}

// ForbidFilter makes nftables unusable.
func (f *Fake) ForbidFilter(why string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.noNFT = why
}

// Lose ends all subscriptions, as an overflow does.
func (f *Fake) Lose() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for ch := range f.subs {
		close(ch)
	}
	clear(f.subs)
}

func (f *Fake) changed(what string) {
	for ch := range f.subs {
		select {
		case ch <- kernel.Event{What: what}:
		default:
		}
	}
}

func (f *Fake) before(call string) error {
	if f.fault == nil {
		return nil
	}
	return f.fault(call)
}

// Events subscribes.
func (f *Fake) Events(ctx context.Context, _ int) (<-chan kernel.Event, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.before("subscribe"); err != nil {
		return nil, err
	}
	ch := make(chan kernel.Event, 1)
	f.subs[ch] = true
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.subs[ch] {
			delete(f.subs, ch)
			close(ch)
		}
	})
	return ch, nil
}

// Close does nothing.
func (f *Fake) Close() error { return nil }

// Observe reads everything within the scope.
func (f *Fake) Observe(ctx context.Context, s plan.Scope) (plan.Found, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, call := range []string{"link", "addresses", "routes", "rules", "filter"} {
		if err := f.before(call); err != nil {
			return plan.Found{}, err
		}
	}
	found := plan.Found{NoFilter: f.noNFT}
	if d := f.devices[s.Device]; d != nil {
		found.Device = *d
		found.Device.Addresses = slices.Clone(d.Addresses)
	}
	found.Routes = slices.Clone(f.routes)
	for _, r := range f.rules {
		if r.Priority == s.RulePriority || r.Table == s.Table && r.Protocol == s.Protocol {
			found.Rules = append(found.Rules, r)
		}
	}
	if f.filter != nil && f.noNFT == "" {
		copied := *f.filter
		found.Filter = &copied
	}
	return found, nil
}

// Apply makes one change. The fake has one table.
func (f *Fake) Apply(ctx context.Context, c plan.Change) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.before("apply")
	if err == nil && f.refuse != nil {
		err = f.refuse(c)
	}
	if err == nil {
		err = f.apply(c)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", c, err)
	}
	return nil
}

func (f *Fake) byIndex(i int) (*plan.Device, error) {
	for _, d := range f.devices {
		if d.Index == i {
			return d, nil
		}
	}
	return nil, fmt.Errorf("no interface %d: %w", i, kernel.ErrGone)
}

func (f *Fake) apply(c plan.Change) error {
	switch c := c.(type) {
	case plan.SetMTU:
		d, err := f.byIndex(c.Index)
		if err != nil {
			return err
		}
		for i, e := range f.routes {
			if e.Link == d.Index && e.Prefix.Addr().Is6() && (e.MTU >= c.MTU || e.MTU == d.MTU) {
				f.routes[i].MTU = c.MTU
			}
		}
		d.MTU = c.MTU
		f.changed("link")
	case plan.SetUp:
		d, err := f.byIndex(c.Index)
		if err != nil {
			return err
		}
		d.Up = true
		f.changed("link")
	case plan.Address:
		return f.address(c)
	case plan.RouteStep:
		return f.routeStep(c)
	case plan.RuleStep:
		i := slices.Index(f.rules, c.Rule)
		switch {
		case c.Remove && i < 0:
			return kernel.ErrGone
		case c.Remove:
			f.rules = slices.Delete(f.rules, i, i+1)
		case i >= 0:
			return kernel.ErrTaken
		default:
			f.rules = append(f.rules, c.Rule)
		}
		f.changed("rule")
	case plan.SetFilter:
		if f.noNFT != "" {
			return fmt.Errorf("%w: %s", kernel.ErrNoFilter, f.noNFT)
		}
		f.filter = c.Filter
	}
	return nil
}

func (f *Fake) address(c plan.Address) error {
	d, err := f.byIndex(c.Index)
	if err != nil {
		return err
	}
	i := slices.Index(d.Addresses, c.Address)
	switch {
	case c.Remove && i < 0:
		return kernel.ErrGone
	case c.Remove:
		d.Addresses = slices.Delete(d.Addresses, i, i+1)
		f.routes = slices.DeleteFunc(f.routes, func(e plan.Entry) bool { return e.Source == c.Address.Addr() })
	case i >= 0:
		return kernel.ErrTaken
	default:
		d.Addresses = append(d.Addresses, c.Address)
	}
	f.changed("address")
	return nil
}

func (f *Fake) routeStep(c plan.RouteStep) error {
	e := c.Entry
	if c.Verb == plan.Delete {
		i := slices.IndexFunc(f.routes, func(r plan.Entry) bool {
			return r.Key == e.Key && r.Protocol == e.Protocol && r.Kind == e.Kind
		})
		if i < 0 {
			return kernel.ErrGone
		}
		f.routes = slices.Delete(f.routes, i, i+1)
		f.changed("route")
		return nil
	}
	if e.Kind == plan.Unicast {
		d, err := f.byIndex(e.Link)
		if err != nil {
			return err
		}
		if !d.Up {
			return fmt.Errorf("interface %d is down", e.Link)
		}
		if e.Source.IsValid() && !f.has(e.Source) {
			return fmt.Errorf("source %s is not an address of this machine", e.Source)
		}
	}
	i := slices.IndexFunc(f.routes, func(r plan.Entry) bool { return r.Key == e.Key })
	switch {
	case i >= 0 && c.Verb == plan.Add:
		return kernel.ErrTaken
	case i >= 0:
		f.routes[i] = e
	default:
		f.routes = append(f.routes, e)
	}
	f.changed("route")
	return nil
}

func (f *Fake) has(a netip.Addr) bool {
	for _, d := range f.devices {
		if slices.ContainsFunc(d.Addresses, func(p netip.Prefix) bool { return p.Addr() == a }) {
			return true
		}
	}
	return false
}

// Snapshot is all that is there, whatever the scope, and never fails.
func (f *Fake) Snapshot() plan.Found {
	f.mu.Lock()
	defer f.mu.Unlock()
	return plan.Found{Routes: slices.Clone(f.routes), Rules: slices.Clone(f.rules), Filter: f.filter}
}
