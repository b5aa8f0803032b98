package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// child is one of the two processes. Its fields belong to the supervisor's thread, but for how, which belongs
// to the goroutine that waits until it has put the child into exits.
type child struct {
	role string
	fds  []string // descriptors that it is handed, where there are such

	process    *os.Process
	running    bool
	ready      bool
	former     bool // it runs the version before an upgrade
	generation int
	started    time.Time
	heard      time.Time
	killAt     time.Time // it was told to end; zero: it was not
	how        string    // how it ended last
	backoff    time.Duration
	next       time.Time // when it is started again
}

// beat is a sign of life; without a child it only wakes the loop.
type beat struct {
	child      *child
	generation int
}

// start runs a child on this thread. It dies with the supervisor.
func (s *supervisor) start(ch *child) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("start %s: %w", ch.role, err)
	}
	defer w.Close()
	conf, err := s.configFile()
	if err != nil {
		r.Close()
		return fmt.Errorf("start %s: %w", ch.role, err)
	}
	defer conf.Close()
	cmd := exec.Command(s.binary, ch.role, "--config", s.path)
	var entries []string
	hand := func(name string, files ...*os.File) {
		for i, f := range files {
			entries = append(entries, fdEntry(name, i, 3+len(cmd.ExtraFiles), ""))
			cmd.ExtraFiles = append(cmd.ExtraFiles, f)
		}
	}
	for _, n := range ch.fds {
		if h, ok := s.files[n]; ok {
			hand(n, h.all()...)
		}
	}
	hand(fdConfig, conf)
	hand(fdStatus, w)
	cmd.Env = append(os.Environ(), fdsVar+"="+strings.Join(entries, ","))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		r.Close()
		return fmt.Errorf("start %s: %w", ch.role, err)
	}
	s.runs(ch, cmd.Process)
	s.log.Info("child started", "role", ch.role, "pid", cmd.Process.Pid)
	go s.listen(ch, ch.generation, r)
	go func() {
		err := cmd.Wait()
		ch.how = "exit 0"
		if err != nil {
			ch.how = err.Error()
		}
		s.exits <- ch
	}()
	return nil
}

// adopt takes over a child of the version before, which cannot be heard any more: its pipe ended with that.
func (s *supervisor) adopt(ch *child, pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return fmt.Errorf("adopt %s: %w", ch.role, err)
	}
	s.runs(ch, p)
	ch.former = true
	go func() {
		state, err := p.Wait()
		ch.how = "it was gone"
		if err == nil {
			ch.how = state.String()
		}
		s.exits <- ch
	}()
	return nil
}

func (s *supervisor) runs(ch *child, p *os.Process) {
	ch.generation++
	ch.process, ch.running, ch.ready, ch.former, ch.killAt = p, true, false, false, time.Time{}
	ch.started, ch.heard = time.Now(), time.Now()
}

// configFile gives the configuration as the supervisor has read it, in memory: a file that is being edited
// does not reach a child that happens to be started again.
func (s *supervisor) configFile() (*os.File, error) {
	fd, err := unix.MemfdCreate("galleond.yaml", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("hand over the configuration: %w", err)
	}
	f := os.NewFile(uintptr(fd), fdConfig)
	err = s.config.Print(f)
	if err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("hand over the configuration: %w", err)
	}
	return f, nil
}

// listen turns each line of a child's status pipe into a beat, until the child closes it.
func (s *supervisor) listen(ch *child, generation int, r *os.File) {
	defer r.Close()
	for lines := bufio.NewScanner(r); lines.Scan(); {
		s.beats <- beat{ch, generation}
	}
}

// end asks a child to end, and has the loop kill it when it does not.
func (ch *child) end() {
	ch.killAt = time.Now().Add(stopGrace)
	ch.signal(syscall.SIGTERM)
}

func (ch *child) signal(sig syscall.Signal) { _ = ch.process.Signal(sig) }
