package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"
)

// child is one of the two processes.
type child struct {
	role string
	fds  []string // descriptors that it is handed, where there are such

	pid        int
	process    *os.Process
	running    bool
	ready      bool
	generation int
	started    time.Time
	heard      time.Time
	how        string // how it ended last
	backoff    time.Duration
	next       time.Time
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
	names := slices.DeleteFunc(slices.Clone(ch.fds), func(n string) bool { return s.files[n] == nil })
	cmd := exec.Command(s.binary, ch.role, "--config", s.path)
	for _, n := range names {
		cmd.ExtraFiles = append(cmd.ExtraFiles, s.files[n])
	}
	names = append(names, fdStatus)
	cmd.ExtraFiles = append(cmd.ExtraFiles, w)
	cmd.Env = append(os.Environ(), fdList(names, func(i int) int { return 3 + i }))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	err = cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return fmt.Errorf("start %s: %w", ch.role, err)
	}
	ch.generation++
	ch.pid, ch.process, ch.running, ch.ready = cmd.Process.Pid, cmd.Process, true, false
	ch.started, ch.heard = time.Now(), time.Now()
	s.log.Info("child started", "role", ch.role, "pid", ch.pid)
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

// listen turns each line of a child's status pipe into a beat, until the child closes it.
func (s *supervisor) listen(ch *child, generation int, r *os.File) {
	defer r.Close()
	for lines := bufio.NewScanner(r); lines.Scan(); {
		s.beats <- beat{ch, generation}
	}
}

func (c *child) signal(sig syscall.Signal) { _ = c.process.Signal(sig) }
