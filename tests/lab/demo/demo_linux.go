package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/tests/lab"
)

// demo is a run: what the steps share.
type demo struct {
	options
	work   *workspace
	screen *screen
	lab    *lab.Lab
	v6     bool                    // the kernel has IPv6
	abort  context.CancelCauseFunc // ends the run when a router ends by itself

	unserve context.CancelFunc // ends the lab's control socket

	routers []*router // in the order in which they opened
	store   *store    // from the step that makes the access key on
	report  report
	welcome []item // put before Mexico opened
	moving  input  // what the demo moves
	later   []item // put in Hangzhou by further steps
	ledger  []item // put in Singapore
	remarks []row  // for the table at the end
}

// inside is the run in the lab. It gives the exit code.
func inside(ctx context.Context, o options) int {
	if n, err := sweep(false); err != nil {
		fmt.Fprintln(os.Stderr, "demo: remove what earlier runs left:", err)
	} else if n > 0 {
		fmt.Fprintf(os.Stderr, "demo: removed what %d crashed runs left in %s\n", n, os.TempDir())
	}
	work, err := newWorkspace()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		return exitFailed
	}
	running, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	d := &demo{
		options: o, work: work, screen: newScreen(os.Stdout, columns(os.Stdout), time.Now()), v6: hasIPv6(), abort: abort,
		report: report{Demo: "ok"}, unserve: func() {},
	}
	return d.end(ctx, d.play(running, story))
}

// end reports, keeps or removes, and gives the exit code.
func (d *demo) end(ctx context.Context, err error) int {
	interrupted := ctx.Err() != nil
	failed := err != nil && !interrupted
	if err == nil {
		d.printReport()
	}
	if failed {
		d.printFailure(err)
	}
	if d.keep && !interrupted {
		d.printKeep()
	}
	switch {
	case err == nil:
		d.screen.write(jsonLine(d.report))
	case failed:
		d.screen.write(jsonLine(d.broken(err)))
	default:
		fmt.Fprintln(os.Stderr, "demo: interrupted; cleaning up")
	}
	if d.keep && !interrupted {
		<-ctx.Done()
		fmt.Fprintln(os.Stderr, "demo: cleaning up")
	}
	return d.tidy(failed && !d.keep, exitCode(failed, interrupted && err != nil))
}

// tidy ends all that runs and removes what is not to be kept.
func (d *demo) tidy(keepLogs bool, code int) int {
	for _, r := range d.routers {
		r.expectEnd()
	}
	var err error
	if d.lab != nil {
		d.unserve()
		err = d.lab.Close()
	}
	if keepLogs {
		err = errors.Join(err, d.work.keepLogs())
	} else {
		err = errors.Join(err, d.work.remove())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo: clean up:", err)
	}
	return code
}

func exitCode(failed, interrupted bool) int {
	switch {
	case failed:
		return exitFailed
	case interrupted:
		return exitInterrupted
	}
	return 0
}

// printFailure says which step, what was expected, what was seen, and where to look.
func (d *demo) printFailure(err error) {
	b := d.broken(err)
	d.screen.write(fmt.Sprintf("\nFAILED    %s\nexpected  %s\ngot       %s\nlogs      %s", b.Step, b.Expected, strings.ReplaceAll(b.Got, "\n", "\n          "), b.Logs))
}

func (d *demo) broken(err error) broken {
	b := broken{Demo: "failed", Step: "setting up", Expected: "a lab", Got: err.Error(), Logs: d.work.logs()}
	var f *failure
	if errors.As(err, &f) {
		b.Step, b.Expected, b.Got = f.step, f.expected, f.err.Error()
	}
	return b
}

// router finds the router of a place.
func (d *demo) router(p place) *router {
	for _, r := range d.routers {
		if r.place == p {
			return r
		}
	}
	panic("demo: no router in " + p.name)
}

// host is the namespace of the server in a place.
func (d *demo) host(p place) *lab.Host { return d.lab.Site(p.name).Hosts[0] }

// columns is the width of the terminal, 0 when f is none.
func columns(f *os.File) int {
	ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return max(20, int(ws.Col))
}

func hasIPv6() bool {
	_, err := os.Stat("/proc/sys/net/ipv6")
	return err == nil
}

// every calls f at intervals until it says that it is done, fails, or the context ends. progress, which may be
// nil, is what to say when it never is.
func every(ctx context.Context, interval time.Duration, f func() (done bool, err error)) error {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		done, err := f()
		if done || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// until is every for what may fail for a while: the last error tells why it never came to be.
func until(ctx context.Context, interval time.Duration, f func() error) error {
	var last error
	err := every(ctx, interval, func() (bool, error) {
		e := f()
		if e != nil && ctx.Err() == nil {
			last = e // once the context has ended, errors tell only that
		}
		return e == nil, nil
	})
	if err != nil && last != nil {
		return fmt.Errorf("%w: %w", err, last)
	}
	return err
}
