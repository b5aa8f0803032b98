package netcfg

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/galleon-net/galleon/netcfg/kernel/kerneltest"
	"github.com/galleon-net/galleon/netcfg/plan"
)

// run is a loop over a fake, in fake time, with its events.
type run struct {
	t      *testing.T
	fake   *kerneltest.Fake
	r      *Reconciler
	cancel context.CancelFunc
	ended  chan error

	mu     sync.Mutex
	events []Event
}

func start(t *testing.T, fake *kerneltest.Fake) *run {
	r := &run{t: t, fake: fake, ended: make(chan error, 1)}
	r.r = New(fake, func(e Event) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.events = append(r.events, e)
	})
	ctx, cancel := context.WithCancel(t.Context())
	r.cancel = cancel
	go func() { r.ended <- r.r.Run(ctx) }()
	return r
}

func (r *run) stop() {
	r.cancel()
	if err := <-r.ended; !errors.Is(err, context.Canceled) {
		r.t.Fatalf("Run: %v", err)
	}
}

func (r *run) set(c plan.Config) {
	r.t.Helper()
	if err := r.r.Set(c); err != nil {
		r.t.Fatal(err)
	}
}

// after lets time pass and returns the names of the events since the last call.
func (r *run) after(d time.Duration) (names []string) {
	time.Sleep(d) // fake time: the bubble's clock moves when all its goroutines wait
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.events {
		names = append(names, strings.TrimPrefix(e.Name(), "netcfg-"))
		e.LogValue()
	}
	r.events = nil
	return names
}

func (r *run) expect(d time.Duration, want ...string) {
	r.t.Helper()
	if got := r.after(d); !slices.Equal(got, want) {
		r.t.Fatalf("events %v, want %v; status %+v", got, want, r.r.Status())
	}
}

func (r *run) found() plan.Found { return kerneltest.Observe(r.t, r.fake, kerneltest.Example()) }

// reached fails the test unless the kernel is as c wants it.
func (r *run) reached(c plan.Config) {
	r.t.Helper()
	if p := plan.Diff(c, r.found()); len(p.Changes) > 0 {
		r.t.Fatalf("still to do: %v; status %+v", p.Changes, r.r.Status())
	}
}

// other is somebody else's hand.
func (r *run) other(c plan.Change) {
	r.t.Helper()
	if err := r.fake.Apply(r.t.Context(), c); err != nil {
		r.t.Fatal(err)
	}
}

func TestReachAndRepair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kerneltest.New()
		fake.AddDevice(kerneltest.Device)
		kerneltest.AddForeign(t, kerneltest.FakeBench{Fake: fake})
		r := start(t, fake)
		defer r.stop()
		r.expect(time.Minute) // nothing is touched before a Set
		c := kerneltest.Example()
		r.set(c)
		if got := r.after(100 * time.Millisecond); !slices.Equal(got[:2], []string{"device", "conflict"}) || got[2] != "applied" {
			t.Fatalf("events %v", got) // the foreign rule at our priority is worth a word
		}
		r.reached(c)
		kerneltest.CheckForeign(t, r.found())
		r.after(time.Hour)
		if s := r.r.Status(); !s.Configured || s.Error != "" || s.Passes < 300 || len(s.Conflicts) != 1 || s.Device.MTU != 1380 {
			t.Fatalf("status %+v", s)
		}

		for _, e := range kerneltest.Ours(r.found()) {
			r.other(plan.RouteStep{Verb: plan.Delete, Entry: e, Table: plan.DefaultTable})
			r.expect(100*time.Millisecond, "repaired")
			r.reached(c)
			r.after(5 * time.Second)
		}
		r.other(plan.RuleStep{Rule: r.found().Rules[1], Remove: true})
		r.expect(100*time.Millisecond, "repaired")
		r.other(plan.SetFilter{}) // of which netlink's routing events say nothing
		r.expect(Interval, "repaired")
		r.reached(c)

		fake.RemoveDevice(kerneltest.Device)
		r.expect(100*time.Millisecond, "device")
		r.after(time.Minute)
		fake.AddDevice(kerneltest.Device)
		r.expect(100*time.Millisecond, "device", "applied")
		r.reached(c)
		kerneltest.CheckForeign(t, r.found())
	})
}

func TestLostSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kerneltest.New()
		fake.AddDevice(kerneltest.Device)
		r := start(t, fake)
		defer r.stop()
		c := kerneltest.Example()
		r.set(c)
		r.after(5 * time.Second)
		drop := func() {
			r.other(plan.RouteStep{Verb: plan.Delete, Entry: kerneltest.Ours(r.found())[0], Table: plan.DefaultTable})
		}
		fake.Lose()
		drop() // while nobody listens
		r.expect(retryAfter+time.Millisecond, "subscription-lost", "repaired")
		drop() // somebody listens again
		r.expect(100*time.Millisecond, "repaired")
		r.reached(c)

		fake.Fail(func(call string) error {
			if call == "subscribe" {
				return errors.New("no more sockets")
			}
			return nil
		})
		r.after(5 * time.Second)
		fake.Lose()
		drop()
		r.expect(time.Minute, "subscription-lost", "failed", "repaired")
		r.reached(c)
		fake.Fail(nil)
		r.expect(5*time.Second, "recovered")
		drop()
		r.expect(100*time.Millisecond, "repaired")
	})
}

// TestEveryCallFails lets the nth call of the kernel fail, for every n, until the loop is done before it.
// Whatever fails, it comes to rest as wanted, and others' things stay.
func TestEveryCallFails(t *testing.T) {
	for n, untouched := 0, false; !untouched; n++ {
		synctest.Test(t, func(t *testing.T) {
			fake := kerneltest.New()
			fake.AddDevice(kerneltest.Device)
			kerneltest.AddForeign(t, kerneltest.FakeBench{Fake: fake})
			former := kerneltest.Example()
			former.Routes = append(former.Routes, plan.Route{Prefix: netip.MustParsePrefix("10.66.0.0/16")})
			former.Addresses = append(former.Addresses, netip.MustParsePrefix("10.255.0.66/32"))
			kerneltest.Reach(t, fake, former)
			before := fake.Snapshot()
			var calls atomic.Int64
			fake.Fail(func(string) error {
				if int(calls.Add(1)) == n+1 {
					return fmt.Errorf("call %d broken on purpose", n+1)
				}
				return nil
			})
			r := start(t, fake)
			defer r.stop()
			c := kerneltest.Example()
			c.Guards = append(c.Guards, netip.MustParsePrefix("10.99.0.0/16"))
			c.Mark = 7
			r.set(c)
			r.after(900 * time.Millisecond)
			untouched = int(calls.Load()) <= n
			r.after(Grace + 2*Interval)
			fake.Fail(nil)
			r.reached(c)
			kerneltest.CheckForeign(t, r.found())
			if untouched && len(before.Routes) == 0 {
				t.Fatal("the former life left nothing")
			}
			if n > 200 {
				t.Fatal("never untouched")
			}
		})
	}
}

// TestNeverReadAsNothing: as long as the kernel cannot be read, nothing is changed.
func TestNeverReadAsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kerneltest.New()
		fake.AddDevice(kerneltest.Device)
		kerneltest.Reach(t, fake, kerneltest.Example())
		before := fake.Snapshot()
		fake.Fail(func(call string) error {
			switch call {
			case "rules":
				return errors.New("dump interrupted")
			case "apply":
				t.Error("a change was made")
			}
			return nil
		})
		r := start(t, fake)
		defer r.stop()
		r.set(plan.Config{Device: kerneltest.Device})
		r.expect(time.Hour, "failed") // said once
		if after := fake.Snapshot(); len(after.Routes) != len(before.Routes) {
			t.Fatalf("routes %v", after.Routes)
		}
	})
}

// TestRestart: a successor adopts what it finds. Nothing goes before its first Set, nor at its end; routes
// that it has not asked for yet stay for a time of grace.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kerneltest.New()
		fake.AddDevice(kerneltest.Device)
		full := kerneltest.Example()
		r := start(t, fake)
		r.set(full)
		r.after(5 * time.Second)
		r.stop()
		r.reached(full)

		var changes atomic.Int64
		fake.Fail(func(call string) error {
			if call == "apply" {
				changes.Add(1)
			}
			return nil
		})
		r = start(t, fake)
		r.expect(time.Minute)
		r.set(full)
		r.expect(10*time.Second, "device")
		if n := changes.Load(); n != 0 {
			t.Fatalf("%d changes to adopt what was right", n)
		}
		r.stop()

		r = start(t, fake)
		defer r.stop()
		early := full
		early.Routes, early.Guards = full.Routes[:1], full.Guards[:4]
		r.set(early)
		r.expect(Grace-2*time.Second, "device", "applied") // the guard that is no longer wanted
		if s := r.r.Status(); len(kerneltest.Ours(r.found())) != len(full.Routes)+5 || s.Held != 3 {
			t.Fatalf("%d routes, %d held", len(kerneltest.Ours(r.found())), s.Held)
		}
		mid := full
		mid.Routes = full.Routes[:2]
		r.set(mid)
		r.after(Grace)
		r.reached(mid)
	})
}

// TestLocalIsNotHeld: grace does not keep traffic of this site going round through the overlay.
func TestLocalIsNotHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kerneltest.New()
		fake.AddDevice(kerneltest.Device)
		kerneltest.Reach(t, fake, kerneltest.Example())
		r := start(t, fake)
		defer r.stop()
		c := kerneltest.Example()
		c.Local, c.Routes = append(c.Local, c.Routes[0].Prefix), c.Routes[1:]
		r.set(c)
		r.after(time.Second)
		r.reached(c)
	})
}

func TestDeletionsAreCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kerneltest.New()
		fake.AddDevice(kerneltest.Device)
		c := plan.Config{Device: kerneltest.Device}
		for i := range 2*plan.MaxDeletes + 10 {
			c.Routes = append(c.Routes, plan.Route{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0}), 24)})
		}
		r := start(t, fake)
		defer r.stop()
		r.set(c)
		r.after(time.Second)
		r.reached(c)
		r.set(plan.Config{Device: kerneltest.Device})
		r.after(10 * time.Millisecond)
		if n := len(r.found().Routes); n != plan.MaxDeletes+10 {
			t.Fatalf("%d routes after one pass", n)
		}
		r.after(5 * time.Second)
		r.reached(plan.Config{Device: kerneltest.Device})
	})
}

func TestWithoutNFTables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kerneltest.New()
		fake.AddDevice(kerneltest.Device)
		fake.ForbidFilter("operation not permitted")
		r := start(t, fake)
		defer r.stop()
		r.set(kerneltest.Example())
		r.expect(time.Hour, "device", "filter-missing", "applied") // said once, and on it goes
		r.reached(kerneltest.Example())
		if s := r.r.Status(); !s.InStep || s.NoFilter == "" {
			t.Fatalf("status %+v", s)
		}
	})
}

func TestInTheWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kerneltest.New()
		fake.AddForeign(kerneltest.Device, "bridge")
		r := start(t, fake)
		defer r.stop()
		r.set(kerneltest.Example())
		r.expect(time.Hour, "device", "conflict", "applied")
		f := r.found()
		if f.Device.MTU != 1500 || f.Device.Up || len(f.Device.Addresses) > 0 {
			t.Fatalf("somebody else's bridge was touched: %+v", f.Device)
		}
		if s := r.r.Status(); s.InStep {
			t.Fatalf("in step with a bridge: %+v", s)
		}
	})
}

// TestOneFamilyFails: where IPv6 is switched off, IPv4 goes on, deletions included, and nothing is said twice.
func TestOneFamilyFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := kerneltest.New()
		fake.AddDevice(kerneltest.Device)
		fake.FailChanges(func(c plan.Change) error {
			if c.Family() == 6 {
				return errors.New("permission denied")
			}
			return nil
		})
		r := start(t, fake)
		defer r.stop()
		c := kerneltest.Example()
		r.set(c)
		r.expect(time.Hour, "device", "applied", "failed")
		if n := r.r.Status().Passes; n > 400 {
			t.Fatalf("%d passes in an hour", n)
		}
		c.Routes = c.Routes[1:]
		r.set(c)
		r.expect(time.Minute, "applied")
		for _, e := range kerneltest.Ours(r.found()) {
			if e.Prefix.String() == "10.5.0.0/16" && e.Kind == plan.Unicast {
				t.Fatal("a failure of IPv6 keeps an IPv4 route alive")
			}
		}
	})
}

func TestSetRefuses(t *testing.T) {
	r := New(kerneltest.New(), nil)
	if err := r.Set(plan.Config{Device: "galleon0", MTU: 600}); err == nil || r.Status().Configured {
		t.Fatalf("%v, %+v", err, r.Status())
	}
}
