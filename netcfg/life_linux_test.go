package netcfg

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/galleon-net/galleon/netcfg/kernel/kerneltest"
	"github.com/galleon-net/galleon/netcfg/plan"
)

// TestLifeOnRealKernel lives through what the fake went through, on the real one and in real time.
func TestLifeOnRealKernel(t *testing.T) {
	b := kerneltest.NewRealBench(t)
	b.AddDevice(kerneltest.Device)
	kerneltest.AddForeign(t, b)
	c := kerneltest.Example()
	r := New(b.Kernel(), func(e Event) { t.Log(e.Name(), e.LogValue()) })
	if err := r.Set(c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	// The observer has sockets of its own, since a Kernel is one goroutine's.
	until := func(what string, c plan.Config) plan.Found {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for {
			f := kerneltest.Observe(t, b.Other(), c)
			if p := plan.Diff(c, f); len(p.Changes) == 0 {
				kerneltest.CheckForeign(t, f)
				return f
			} else if time.Now().After(deadline) {
				t.Fatalf("%s: still to do %v; status %+v", what, p.Changes, r.Status())
			}
			select {
			case err := <-ended:
				t.Fatalf("%s: Run ended: %v", what, err)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	other := func(change plan.Change) {
		t.Helper()
		if err := b.Other().Apply(t.Context(), change); err != nil {
			t.Fatal(err)
		}
	}
	f := until("start", c)
	for _, e := range kerneltest.Ours(f) {
		other(plan.RouteStep{Verb: plan.Delete, Entry: e, Table: plan.DefaultTable})
	}
	f = until("routes deleted", c)
	for _, rule := range f.Rules {
		if rule.Protocol == plan.DefaultProtocol {
			other(plan.RuleStep{Rule: rule, Remove: true})
		}
	}
	f = until("rules deleted", c)
	other(plan.Address{Device: c.Device, Index: f.Device.Index, Address: c.Addresses[0], Remove: true})
	f = until("address deleted", c)
	other(plan.SetMTU{Device: c.Device, Index: f.Device.Index, MTU: 1400})
	until("MTU changed", c)
	b.RemoveDevice(c.Device)
	until("device gone", c)
	b.AddDevice(c.Device)
	until("device back", c)
	c.Routes, c.Mark = c.Routes[:2], 9
	if err := r.Set(c); err != nil {
		t.Fatal(err)
	}
	until("another config", c)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	left := plan.Diff(c, kerneltest.Observe(t, b.Other(), c))
	if len(left.Changes) != 0 {
		t.Fatalf("at the end something went: %v", left.Changes)
	}
}
