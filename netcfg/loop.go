package netcfg

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/galleon-net/galleon/netcfg/kernel"
	"github.com/galleon-net/galleon/netcfg/plan"
)

// loop is the memory of one Run: none of it decides what to do, but for the stale routes.
type loop struct {
	*Reconciler
	started  time.Time
	looked   bool              // stale has been filled
	stale    map[plan.Key]bool // routes found at the start that no Set has asked for
	applied  uint64            // serial of the config that the last pass without error carried out
	failure  string            // the last one reported
	noted    map[string]bool   // conflicts reported and still there
	failures int               // passes in a row that failed
	device   int               // its index at the last pass; 0: not there
	filter   string            // the reason last reported for having none

	events <-chan kernel.Event // nil: to be subscribed to
	table  int                 // whose routes events are about
	cancel context.CancelFunc  // ends the subscription
}

func (l *loop) run(ctx context.Context) error {
	pass := time.NewTimer(0) // the next look at the kernel
	due := time.Now()        // when that is
	defer pass.Stop()
	defer func() { l.cancel() }()
	// soon brings the next look forward; it never puts one off.
	soon := func(d time.Duration) {
		if at := time.Now().Add(d); at.Before(due) {
			due = at
			pass.Reset(d)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.kick:
			soon(0)
		case _, ok := <-l.events:
			if !ok {
				// The rest of the burst that ended it may still be going on.
				l.events = nil
				if ctx.Err() == nil {
					l.emit(SubscriptionLost{"the kernel's event queue overflowed or was closed"})
				}
				soon(retryAfter)
				continue
			}
			soon(debounce)
		case <-pass.C:
			next := Interval
			want, serial := l.wanted()
			if want != nil {
				// First subscribe, then look: what changes after the look makes an event.
				if err := l.subscribe(ctx, want.Scope().Table); err != nil {
					l.fail(err)
					next = retryAfter
				}
				again, ok := l.pass(ctx, *want, serial)
				switch {
				case !ok: // what fails for ever is not tried every second for ever
					next = min(retryAfter<<min(l.failures, 8), Interval)
					l.failures++
				case again:
					next = retryAfter
				}
				if ok {
					l.failures = 0
				}
			}
			due = time.Now().Add(next)
			pass.Reset(next)
		}
	}
}

// subscribe has the kernel tell of changes, if it does not yet.
func (l *loop) subscribe(ctx context.Context, table int) error {
	if l.events != nil && table == l.table {
		return nil
	}
	l.cancel()
	ctx, l.cancel = context.WithCancel(ctx)
	var err error
	l.events, err = l.kernel.Events(ctx, table)
	l.table = table
	return err
}

func (l *loop) wanted() (*plan.Config, uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.want, l.serial
}

// pass looks at the kernel once and takes the steps. It says whether to come back soon, and whether all
// went well.
func (l *loop) pass(ctx context.Context, want plan.Config, serial uint64) (again, ok bool) {
	found, err := l.kernel.Observe(ctx, want.Scope())
	if err != nil {
		l.fail(fmt.Errorf("observe the kernel: %w", err))
		l.finish(func(s *Status) { s.InStep = false })
		return true, false
	}
	fresh := l.notice(want, found) || l.applied != serial
	p := plan.Diff(want, found)
	held := l.hold(want, found, &p)
	for _, c := range p.Conflicts {
		if !l.noted[c] {
			l.emit(Conflict{c})
		}
	}
	l.noted = map[string]bool{}
	for _, c := range p.Conflicts {
		l.noted[c] = true
	}
	done, err := l.take(ctx, p.Changes)
	if len(done) > 0 {
		if fresh {
			l.emit(Applied{done})
		} else {
			l.emit(Repaired{done})
		}
	}
	if err == nil {
		l.applied = serial
		if l.events != nil { // or the failed subscription is what is reported
			l.mend()
		}
	} else if ctx.Err() == nil {
		l.fail(err)
	}
	l.finish(func(s *Status) {
		s.InStep = err == nil && p.More == 0 && len(p.Conflicts) == 0
		s.Conflicts, s.NoFilter, s.Device = p.Conflicts, l.filter, found.Device
		s.Routes, s.Held = len(found.Routes), held
		for _, text := range done {
			s.Recent = append(s.Recent, Step{time.Now(), text})
		}
		if n := len(s.Recent) - recentMost; n > 0 {
			s.Recent = slices.Delete(s.Recent, 0, n)
		}
	})
	// A step that was taken is looked at again: one deletion may have taken others along (routes go with
	// the address that they name as source), and two in step agree.
	return p.More > 0 || len(done) > 0, err == nil
}

// take makes the changes, in order. A step that fails does not stop the additions after it, but nothing
// is deleted before everything wanted of its address family is in place: where IPv6 is switched off by the
// administrator, say, IPv4 must not suffer for it. The error is nil when nothing is left to do again.
func (l *loop) take(ctx context.Context, changes []plan.Change) (done []string, err error) {
	var errs []error
	failed := map[int]bool{}
	for _, c := range changes {
		if f := c.Family(); c.Deletes() && (failed[f] || failed[0] || f == 0 && len(errs) > 0) {
			continue
		}
		err := l.kernel.Apply(ctx, c)
		switch {
		case err == nil:
			done = append(done, c.String())
		case errors.Is(err, kernel.ErrNoFilter):
			l.withoutFilter(err.Error())
		case c.Deletes() && errors.Is(err, kernel.ErrGone): // went by itself, or by another's hand
		default:
			errs = append(errs, err)
			failed[c.Family()] = true
		}
		if ctx.Err() != nil {
			break
		}
	}
	const most = 4 // the same reason has usually hit them all
	if n := len(errs); n > most {
		errs = append(errs[:most], fmt.Errorf("and %d more", n-most))
	}
	return done, errors.Join(errs...)
}

// hold keeps routes of a former process that nobody has asked for yet.
func (l *loop) hold(want plan.Config, found plan.Found, p *plan.Plan) int {
	if !l.looked {
		l.looked, l.stale = true, map[plan.Key]bool{}
		for _, e := range found.Routes {
			if e.Protocol == want.Scope().Protocol && e.Kind == plan.Unicast && e.Link == found.Device.Index {
				l.stale[e.Key] = true
			}
		}
	}
	if time.Since(l.started) >= Grace {
		l.stale = nil
	}
	// What is announced here must not go round through the overlay for half a minute.
	for _, prefix := range want.Local {
		delete(l.stale, plan.Key{Prefix: prefix, Metric: plan.MetricRoute})
	}
	for _, r := range want.Routes {
		delete(l.stale, plan.Key{Prefix: r.Prefix, Metric: plan.MetricRoute})
	}
	if len(l.stale) == 0 {
		return 0
	}
	return p.Hold(l.stale)
}

// notice reports the device's coming and going, and a missing filter. It says whether the device is
// another than before.
func (l *loop) notice(want plan.Config, found plan.Found) (changed bool) {
	if index := found.Device.Index; index != l.device {
		changed, l.device = true, index
		l.emit(DeviceChanged{want.Device, index != 0})
	}
	switch {
	case found.Filter != nil:
		l.filter = ""
	case (len(want.Underlay) > 0 || want.Clamp) && found.NoFilter != "":
		l.withoutFilter(found.NoFilter)
	}
	return changed
}

func (l *loop) withoutFilter(why string) {
	if l.filter == "" {
		l.emit(FilterMissing{why})
	}
	l.filter = why
}

// fail reports a failure, if it is another than the last.
func (l *loop) fail(err error) {
	if err.Error() != l.failure {
		l.failure = err.Error()
		l.emit(Failed{err})
	}
}

func (l *loop) mend() {
	if l.failure != "" {
		l.failure = ""
		l.emit(Recovered{})
	}
}

func (l *loop) finish(f func(*Status)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.status.Passes++
	l.status.LastPass = time.Now()
	l.status.Error = l.failure
	f(&l.status)
}
