package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// childrenVar carries role=pid pairs over an upgrade.
const childrenVar = "GALLEON_CHILDREN"

// trialTime is how long the binary on disk may take to say that it accepts the configuration.
const trialTime = 10 * time.Second

// upgrade executes the binary on disk in this process. Descriptors and children stay; the successor then
// replaces the children one after the other (renew). It returns only when it failed, and then nothing has
// changed: the binary is first asked, in a process of its own, whether it runs here and takes the configuration.
func (s *supervisor) upgrade() error {
	args := []string{"--check-config"}
	if s.path != "" {
		args = append(args, "--config", s.path)
	}
	ctx, cancel := context.WithTimeout(context.Background(), trialTime)
	defer cancel()
	if out, err := exec.CommandContext(ctx, s.binary, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", s.binary, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	notify(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", monotonic().Microseconds()))
	var entries, pids []string
	for n, h := range s.files {
		for i, f := range h.all() {
			fd, err := keepOnExec(f, true)
			if err != nil {
				return fmt.Errorf("keep descriptor %s open: %w", n, err)
			}
			defer keepOnExec(f, false) //nolint:errcheck // it is closed with the process at the latest
			entries = append(entries, fdEntry(n, i, fd, h.spec))
		}
	}
	for _, ch := range s.children {
		if ch.running {
			pids = append(pids, ch.role+"="+strconv.Itoa(ch.process.Pid))
		}
	}
	env := append(os.Environ(), fdsVar+"="+strings.Join(entries, ","), childrenVar+"="+strings.Join(pids, ","))
	s.log.Info("upgrading", "binary", s.binary)
	return fmt.Errorf("execute %s: %w", s.binary, syscall.Exec(s.binary, os.Args, env))
}

// renew moves an upgrade on: the first child that still runs the version before is told to end, once those
// before it have successors that are ready.
func (s *supervisor) renew() {
	for _, ch := range s.children {
		if ch.running && ch.former {
			if ch.killAt.IsZero() {
				ch.end()
			}
			return
		}
		if !ch.ready {
			return
		}
	}
}

// keepOnExec has a descriptor outlive execve, or not, and gives its number. It does not use File.Fd, which makes
// the descriptor a blocking one, for the children as well that still work with it.
func keepOnExec(f *os.File, keep bool) (fd int, err error) {
	flag := unix.FD_CLOEXEC
	if keep {
		flag = 0
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	refused := raw.Control(func(n uintptr) {
		fd = int(n)
		_, err = unix.FcntlInt(n, unix.F_SETFD, flag)
	})
	return fd, errors.Join(refused, err)
}

// monotonic is the clock that systemd compares a reload with.
func monotonic() time.Duration {
	var t unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &t)
	return time.Duration(t.Nano())
}
