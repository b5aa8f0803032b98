package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/tests/lab"
)

// Exit codes beside 0.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // as a shell says it of Ctrl-C
)

// modes are what this binary is when the first argument names one: programs that make and take load.
var modes = map[string]func(args []string) error{"gen": genMain, "sink": sinkMain, "peers": peerMain}

func main() { os.Exit(start(os.Args[1:])) }

func start(args []string) int {
	if len(args) > 0 && modes[args[0]] != nil {
		if err := modes[args[0]](args[1:]); err != nil {
			fmt.Fprintf(os.Stderr, "bench-tunnel %s: %v\n", args[0], err)
			return exitFailed
		}
		return 0
	}
	o, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-tunnel:", err)
		return exitUsage
	}
	if !lab.Inside() {
		if err := prepare(o); err != nil {
			fmt.Fprintln(os.Stderr, "bench-tunnel:", err)
			return exitFailed
		}
	}
	if err := lab.Enter(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench-tunnel:", err)
		return exitFailed
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	switch err := inside(ctx, o); {
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "bench-tunnel: interrupted; everything is cleaned up")
		return exitInterrupted
	case err != nil:
		fmt.Fprintln(os.Stderr, "bench-tunnel:", err)
		return exitFailed
	}
	return 0
}

// inside is the run in the namespaces.
func inside(ctx context.Context, o options) error {
	f, err := learned()
	if err != nil {
		return fmt.Errorf("read %s: %w", foundMark, err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "galleon-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := mountRun(); err != nil {
		return err
	}
	for _, dir := range []string{o.profile, filepath.Dir(o.json)} {
		if dir != "" && dir != "." {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
		}
	}
	e := &environment{options: o, self: self, work: work}
	b := newBench(e, f)
	err = b.play(ctx)
	if err != nil || ctx.Err() != nil {
		return err
	}
	return b.tell()
}

// mountRun gives this mount namespace an empty /run, where wireguard-go wants to put its socket.
func mountRun() error {
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount an empty /run: %w", err)
	}
	return nil
}
