//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func playing() *demo {
	return &demo{screen: newScreen(io.Discard, 0, time.Now()), work: &workspace{dir: "/tmp/x"}}
}

// TestFailureNamesTheStep: whatever ends a step, the report says which, what was expected, and the reason rather than
// how it was noticed.
func TestFailureNamesTheStep(t *testing.T) {
	for name, c := range map[string]struct {
		run           func(*demo, context.Context) error
		expected, got string
	}{
		"an error":      {func(*demo, context.Context) error { return errors.New("no route") }, "peace", "no route"},
		"knows better":  {func(*demo, context.Context) error { return fmt.Errorf("x: %w", expected("20 pings", "%d", 19)) }, "20 pings", "x: 19"},
		"took too long": {func(_ *demo, ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, "peace", "not done within 1m0s"},
		"what it saw too": {func(_ *demo, ctx context.Context) error {
			return until(ctx, time.Second, func() error { return errors.New("not yet") })
		}, "peace", "not yet"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := playing()
				err := d.play(t.Context(), []step{
					{"first", "nothing", 0, func(*demo, context.Context) error { return nil }},
					{"second", "peace", time.Minute, c.run},
					{"third", "never", 0, func(*demo, context.Context) error { t.Error("played"); return nil }},
				})
				b := d.broken(err)
				if b.Step != "second" || b.Expected != c.expected || !strings.Contains(b.Got, c.got) || b.Logs != "/tmp/x/logs" {
					t.Errorf("%+v", b)
				}
			})
		})
	}
}

// TestAbortEndsAStep: a router that ends by itself is the reason, not the call that failed because of it.
func TestAbortEndsAStep(t *testing.T) {
	ctx, abort := context.WithCancelCause(t.Context())
	d := playing()
	err := d.play(ctx, []step{{"step", "peace", time.Minute, func(_ *demo, ctx context.Context) error {
		abort(errors.New("galleond of ap-tokyo ended by itself"))
		<-ctx.Done()
		return ctx.Err()
	}}})
	if got := d.broken(err).Got; !strings.HasPrefix(got, "galleond of ap-tokyo ended by itself") {
		t.Errorf("%q", got)
	}
}

func TestInParallel(t *testing.T) {
	var sum atomic.Int64
	if err := inParallel(t.Context(), 4, 100, func(_ context.Context, i int) error { sum.Add(int64(i)); return nil }); err != nil || sum.Load() != 4950 {
		t.Errorf("%d, %v", sum.Load(), err)
	}
	bad := errors.New("bad")
	var calls atomic.Int64
	err := inParallel(t.Context(), 4, 1000, func(_ context.Context, i int) error {
		calls.Add(1)
		if i == 10 {
			return bad
		}
		return nil
	})
	if !errors.Is(err, bad) || calls.Load() == 1000 {
		t.Errorf("%v after %d calls", err, calls.Load())
	}
	if err := inParallel(t.Context(), 4, 0, nil); err != nil {
		t.Errorf("nothing to do: %v", err)
	}
}

func TestSome(t *testing.T) {
	if got := some([]string{"a", "b", "c", "d", "e"}); got != "a; b; c; and 2 more" {
		t.Errorf("%q", got)
	}
	if got := some([]string{"a"}); got != "a" {
		t.Errorf("%q", got)
	}
}

func TestControlIsFoundInTheLog(t *testing.T) {
	r := &router{log: t.TempDir() + "/log", place: tokyo}
	if _, err := r.control(); err == nil {
		t.Error("found in no log")
	}
	write(t, r.log, `time=2026-11-24T17:20:05.001Z level=INFO msg="child started" process=supervisor role=forward pid=11
time=2026-11-24T17:20:05.002Z level=INFO msg="child started" process=supervisor role=control pid=12
time=2026-11-24T17:20:06.000Z level=WARN msg="child ended; it will be started again" process=supervisor role=control how="signal: killed" in=50ms
time=2026-11-24T17:20:06.051Z level=INFO msg="child started" process=supervisor role=control pid=40
`)
	if pid, err := r.control(); pid != 40 || err != nil {
		t.Errorf("%d, %v", pid, err)
	}
}
