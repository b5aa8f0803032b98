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
	// silenceLimit is how long a child may be silent before it counts as hung.
	silenceLimit = 30 * time.Second
	// A child that ends is started again after minBackoff, twice as long each time up to maxBackoff,
	// and from the beginning once it ran for steady.
	minBackoff = 50 * time.Millisecond
	maxBackoff = 10 * time.Second
	steady     = 30 * time.Second

	// childrenVar carries role=pid pairs over an upgrade.
	childrenVar = "GALLEON_CHILDREN"
)

// supervisor keeps two children running. All its methods run on the process's first thread.
type supervisor struct {
	config   config.Config
	path     string // of the configuration file
	binary   string
	files    map[string]*os.File
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
	if err := open(c, files); err != nil {
		return err
	}
	s := &supervisor{
		config: c, path: path, binary: strings.TrimSuffix(binary, " (deleted)"), files: files,
		exits: make(chan *child, 4), beats: make(chan beat, 16), log: newLogger(c.Log).With("process", "supervisor"),
	}
	s.children = []*child{
		{role: roleForward, fds: []string{fdForwardUDP, fdTun, fdForwardSock}},
		{role: roleControl, fds: []string{fdControlUDP, fdAdminSock, fdS3, fdMetrics}},
	}
	adopted := os.Getenv(childrenVar)
	os.Unsetenv(childrenVar)

	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	for _, ch := range s.children {
		if pid := adoptedPID(adopted, ch.role); pid != 0 {
			s.replace(ch, pid)
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
			ch.running = false
			if time.Since(ch.started) > steady {
				ch.backoff = 0
			}
			ch.backoff = min(max(2*ch.backoff, minBackoff), maxBackoff)
			ch.next = time.Now().Add(ch.backoff)
			s.log.Warn("child ended; it will be started again", "role", ch.role, "how", ch.how, "in", ch.backoff)
			time.AfterFunc(ch.backoff, func() { s.beats <- beat{} })
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
					s.log.Error("upgrade failed; the running version goes on", "err", err)
				}
				continue
			}
			s.log.Info("stopping", "signal", sig.String())
			notify("STOPPING=1")
			s.stopAll()
			return nil
		}
		for _, ch := range s.children {
			switch {
			case !ch.running && !time.Now().Before(ch.next):
				if err := s.start(ch); err != nil {
					s.log.Error("start child", "role", ch.role, "err", err)
					ch.next = time.Now().Add(maxBackoff)
				}
			case ch.running && time.Since(ch.heard) > silenceLimit:
				s.log.Error("child is silent; killing it", "role", ch.role, "for", silenceLimit)
				ch.signal(syscall.SIGKILL)
				ch.heard = time.Now()
			}
		}
		if !ready && s.children[0].ready && s.children[1].ready {
			ready = true
			notify("READY=1")
		}
	}
}

// stopAll ends control first, since it still needs the paths that forward gives it.
func (s *supervisor) stopAll() {
	for i := len(s.children) - 1; i >= 0; i-- {
		if ch := s.children[i]; ch.running {
			s.stop(ch)
		}
	}
}

func (s *supervisor) stop(ch *child) {
	ch.signal(syscall.SIGTERM)
	deadline := time.NewTimer(stopGrace)
	defer deadline.Stop()
	for ch.running {
		select {
		case done := <-s.exits:
			done.running = false
		case <-s.beats:
		case <-deadline.C:
			s.log.Error("child did not end in time; killing it", "role", ch.role, "grace", stopGrace)
			ch.signal(syscall.SIGKILL)
			deadline.Reset(stopGrace)
		}
	}
}

// upgrade executes the binary on disk in this process. Descriptors and children stay.
func (s *supervisor) upgrade() error {
	if _, err := config.Load(s.path); err != nil {
		return err
	}
	names := make([]string, 0, len(s.files))
	for n, f := range s.files {
		if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, f.Fd(), syscall.F_SETFD, 0); errno != 0 {
			return fmt.Errorf("keep descriptor %s open: %w", n, errno)
		}
		names = append(names, n)
	}
	env := append(os.Environ(), fdList(names, func(i int) int { return int(s.files[names[i]].Fd()) }))
	var pids []string
	for _, ch := range s.children {
		if ch.running {
			pids = append(pids, ch.role+"="+strconv.Itoa(ch.pid))
		}
	}
	env = append(env, childrenVar+"="+strings.Join(pids, ","))
	s.log.Info("upgrading", "binary", s.binary)
	return syscall.Exec(s.binary, os.Args, env)
}

// replace ends a child of the version before and starts its successor.
func (s *supervisor) replace(ch *child, pid int) {
	p, err := os.FindProcess(pid)
	if err == nil {
		_ = p.Signal(syscall.SIGTERM)
		timer := time.AfterFunc(stopGrace, func() { _ = p.Kill() })
		_, _ = p.Wait()
		timer.Stop()
	}
	if err := s.start(ch); err != nil {
		s.log.Error("start child", "role", ch.role, "err", err)
		ch.next = time.Now().Add(minBackoff)
	}
}

func adoptedPID(list, role string) int {
	for _, pair := range strings.Split(list, ",") {
		if r, p, ok := strings.Cut(pair, "="); ok && r == role {
			pid, _ := strconv.Atoi(p)
			return pid
		}
	}
	return 0
}
