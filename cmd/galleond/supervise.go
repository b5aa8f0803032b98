package main

import (
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/galleon-net/galleon/cmd/config"
)

const (
	roleForward = "forward"
	roleControl = "control"

	// stopGrace is how long a child may take to end before it is killed.
	stopGrace = 10 * time.Second
	// A child that ends is started again after minBackoff, twice as long each time up to maxBackoff,
	// and from the beginning once it ran for steady.
	minBackoff = 50 * time.Millisecond
	maxBackoff = 10 * time.Second
	steady     = 30 * time.Second
)

// supervisor keeps two children running. All its methods run on the process's first thread.
type supervisor struct {
	config   config.Config
	path     string // of the configuration file
	binary   string
	files    map[string]held
	children []*child // forward, control: started in this order, stopped in the other
	exits    chan *child
	beats    chan beat
	log      *slog.Logger
}

func supervise(c config.Config, path string) error {
	binary, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find the daemon's own binary: %w", err)
	}
	files, err := handed()
	if err != nil {
		return err
	}
	former := os.Getenv(childrenVar)
	os.Unsetenv(childrenVar)
	log := newLogger(c.Log).With("process", "supervisor")
	if err := open(c, files, len(files) > 0, log); err != nil {
		return err
	}
	s := &supervisor{
		config: c, path: path, binary: strings.TrimSuffix(binary, " (deleted)"), files: files,
		exits: make(chan *child, 4), beats: make(chan beat, 16), log: log,
	}
	s.children = []*child{
		{role: roleForward, fds: []string{fdLock, fdForwardUDP, fdTun, fdForwardSock}},
		{role: roleControl, fds: []string{fdLock, fdControlUDP, fdAdminSock, fdS3, fdMetrics}},
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	for _, ch := range s.children {
		if pid := childPID(former, ch.role); pid != 0 && s.adopt(ch, pid) == nil {
			continue
		}
		if err := s.start(ch); err != nil {
			s.stopAll()
			return err
		}
	}
	return s.loop(signals)
}

// loop runs until a signal says that it is enough.
func (s *supervisor) loop(signals chan os.Signal) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	ready := false
	for {
		select {
		case ch := <-s.exits:
			s.ended(ch)
		case b := <-s.beats:
			if b.child != nil && b.generation == b.child.generation {
				b.child.heard = time.Now()
				b.child.ready = true
			}
		case <-tick.C:
			notifyWatchdog()
		case sig := <-signals:
			if sig == syscall.SIGHUP {
				if err := s.upgrade(); err != nil {
					s.log.Error("upgrade failed; the running version and configuration go on", "err", err)
					notify("READY=1")
				}
				continue
			}
			s.log.Info("stopping", "signal", sig.String())
			notify("STOPPING=1")
			s.stopAll()
			for _, n := range []string{fdForwardSock, fdAdminSock} {
				_ = os.Remove(s.files[n].spec)
			}
			return nil
		}
		s.renew()
		for _, ch := range s.children {
			s.keep(ch)
		}
		if !ready && s.children[0].ready && s.children[1].ready {
			ready = true
			notify("READY=1")
		}
	}
}

// ended notes the end of a child's process and when there shall be another.
func (s *supervisor) ended(ch *child) {
	asked := !ch.killAt.IsZero()
	ch.running, ch.ready, ch.former, ch.killAt = false, false, false, time.Time{}
	if asked {
		ch.next = time.Now()
		s.log.Info("child ended as it was told", "role", ch.role, "how", ch.how)
		return
	}
	if time.Since(ch.started) > steady {
		ch.backoff = 0
	}
	ch.backoff = min(max(2*ch.backoff, minBackoff), maxBackoff)
	ch.next = time.Now().Add(ch.backoff)
	s.log.Warn("child ended; it will be started again", "role", ch.role, "how", ch.how, "in", ch.backoff)
	time.AfterFunc(ch.backoff, func() { s.beats <- beat{} })
}

// keep starts a child that does not run, and kills one that does not end or does not answer.
func (s *supervisor) keep(ch *child) {
	now := time.Now()
	switch {
	case !ch.running && !now.Before(ch.next):
		if err := s.start(ch); err != nil {
			s.log.Error("start child", "role", ch.role, "err", err)
			ch.next = now.Add(maxBackoff)
		}
	case ch.running && !ch.killAt.IsZero() && now.After(ch.killAt):
		s.log.Error("child did not end in time; killing it", "role", ch.role, "grace", stopGrace)
		ch.signal(syscall.SIGKILL)
		ch.killAt = now.Add(stopGrace)
	case ch.running && !ch.former && now.Sub(ch.heard) > s.config.Watchdog:
		s.log.Error("child is silent; killing it", "role", ch.role, "for", s.config.Watchdog)
		ch.signal(syscall.SIGKILL)
		ch.heard = now
	}
}

// stopAll ends control first, since it still needs the paths that forward gives it.
func (s *supervisor) stopAll() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for i := len(s.children) - 1; i >= 0; i-- {
		ch := s.children[i]
		if ch.running {
			ch.end()
		}
		for ch.running {
			select {
			case done := <-s.exits:
				done.running = false
			case <-s.beats:
			case <-tick.C:
				notifyWatchdog()
			}
			if ch.running && time.Now().After(ch.killAt) {
				s.log.Error("child did not end in time; killing it", "role", ch.role, "grace", stopGrace)
				ch.signal(syscall.SIGKILL)
				ch.killAt = time.Now().Add(stopGrace)
			}
		}
	}
}

// childPID finds a child in a list of role=number pairs.
func childPID(list, role string) int {
	for _, pair := range strings.Split(list, ",") {
		if r, p, ok := strings.Cut(pair, "="); ok && r == role {
			pid, _ := strconv.Atoi(p)
			return pid
		}
	}
	return 0
}
