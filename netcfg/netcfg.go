// Package netcfg keeps the kernel's network configuration as it is wanted. Set may be called at any time with
// anything; a loop looks at what is there, lets netcfg/plan write the steps, and takes them:
//
//	Set ──────────────┐
//	kernel events ────┤ gathered for 50 ms
//	every 10 s ───────┼──► observe ──► plan ──► apply ──► status, events
//	a failed pass ────┘ again after 1 s
//
// It works by level, not by edge: a pass looks at everything and needs no memory of the last one, so that
// nothing is lost with a lost event, a failed step or a restart. What a former process left is adopted
// where it fits; what does not fit is swept only after a first Set, and routes that the new process has
// not asked for yet only after a time of grace, since it may still be meeting its peers. At exit
// everything stays in place: packets go on while a successor starts, and the guards hold when none does.
package netcfg

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/galleon-net/galleon/netcfg/kernel"
	"github.com/galleon-net/galleon/netcfg/plan"
)

const (
	// Interval is how often the kernel is looked at without a reason.
	Interval = 10 * time.Second
	// Grace is how long routes of a former process are kept that this one has not asked for.
	Grace = 30 * time.Second

	debounce   = 50 * time.Millisecond // a link that comes up makes a dozen events
	retryAfter = time.Second           // a failed pass, a rest of deletions, a lost subscription
	recentMost = 32                    // steps that Status remembers
)

// Reconciler is the loop. Make it with New, run it with Run.
type Reconciler struct {
	kernel kernel.Kernel
	emit   func(Event)
	kick   chan struct{} // capacity 1: Set was called

	mu     sync.Mutex
	want   *plan.Config // nil before the first Set; never changed, only replaced
	serial uint64       // counts Sets
	status Status
}

// Status is what the loop knows.
type Status struct {
	Configured bool      // Set has been called
	Passes     uint64    // looks at the kernel so far
	InStep     bool      // the last pass found or left everything as wanted
	LastPass   time.Time // when it ended
	Error      string    // of the last pass
	Conflicts  []string  // what is in the way and not ours
	NoFilter   string    // why nftables does nothing for us; empty: it does what is wanted
	Device     plan.Device
	Routes     int // in our table, ours and others'
	Held       int // routes of a former process kept in grace
	Recent     []Step
}

// Step is a change that was made.
type Step struct {
	At   time.Time
	Text string
}

// New makes a loop over a kernel. Emit gets the events, from the goroutine of Run; nil drops them.
func New(k kernel.Kernel, emit func(Event)) *Reconciler {
	if emit == nil {
		emit = func(Event) {}
	}
	return &Reconciler{kernel: k, emit: emit, kick: make(chan struct{}, 1)}
}

// Set says what is wanted from now on. It refuses a config that cannot be meant, and then nothing changes.
// The config is not to be changed afterwards.
func (r *Reconciler) Set(c plan.Config) error {
	if err := c.Check(); err != nil {
		return fmt.Errorf("network configuration: %w", err)
	}
	r.mu.Lock()
	r.want, r.status.Configured = &c, true
	r.serial++
	r.mu.Unlock()
	select {
	case r.kick <- struct{}{}:
	default:
	}
	return nil
}

// Status returns what is known now.
func (r *Reconciler) Status() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	s.Recent = append([]Step(nil), s.Recent...)
	return s
}

// Event is something that happened; its Name is for metrics, its LogValue for logs.
type Event interface {
	Name() string
	slog.LogValuer
}

// Applied reports changes that followed a Set, or the first look; Repaired those that somebody else's hand
// made necessary.
type (
	Applied  struct{ Changes []string }
	Repaired struct{ Changes []string }
)

// Failed reports that the kernel could not be read or a step could not be taken. It is repeated only when
// the reason changes.
type Failed struct{ Err error }

// Recovered follows Failed, when a pass went through.
type Recovered struct{}

// Conflict reports, once, something in the way that is not Galleon's.
type Conflict struct{ What string }

// FilterMissing reports, once, that nftables cannot be used: overlay addresses are then kept off the
// underlay only by the routes, and TCP connections that are forwarded learn the MTU from "too big" alone.
type FilterMissing struct{ Why string }

// SubscriptionLost reports that kernel events were lost; a pass follows.
type SubscriptionLost struct{ Why string }

// DeviceChanged reports that the overlay's device came or went.
type DeviceChanged struct {
	Device  string
	Present bool
}

// Name gives the event's name.
func (Applied) Name() string          { return "netcfg-applied" }
func (Repaired) Name() string         { return "netcfg-repaired" }
func (Failed) Name() string           { return "netcfg-failed" }
func (Recovered) Name() string        { return "netcfg-recovered" }
func (Conflict) Name() string         { return "netcfg-conflict" }
func (FilterMissing) Name() string    { return "netcfg-filter-missing" }
func (SubscriptionLost) Name() string { return "netcfg-subscription-lost" }
func (DeviceChanged) Name() string    { return "netcfg-device" }

// LogValue gives the event's fields.
func (e Applied) LogValue() slog.Value          { return changesValue(e.Changes) }
func (e Repaired) LogValue() slog.Value         { return changesValue(e.Changes) }
func (e Failed) LogValue() slog.Value           { return slog.GroupValue(slog.String("error", e.Err.Error())) }
func (e Recovered) LogValue() slog.Value        { return slog.GroupValue() }
func (e Conflict) LogValue() slog.Value         { return slog.GroupValue(slog.String("what", e.What)) }
func (e FilterMissing) LogValue() slog.Value    { return slog.GroupValue(slog.String("why", e.Why)) }
func (e SubscriptionLost) LogValue() slog.Value { return slog.GroupValue(slog.String("why", e.Why)) }
func (e DeviceChanged) LogValue() slog.Value {
	return slog.GroupValue(slog.String("device", e.Device), slog.Bool("present", e.Present))
}

// changesValue is bounded: a line of a log is for people.
func changesValue(changes []string) slog.Value {
	const most = 8
	return slog.GroupValue(slog.Int("count", len(changes)), slog.Any("first", changes[:min(len(changes), most)]))
}

// Run is the loop. It returns when ctx ends, and leaves the kernel as it is.
func (r *Reconciler) Run(ctx context.Context) error {
	l := &loop{Reconciler: r, started: time.Now(), cancel: func() {}}
	return l.run(ctx)
}
