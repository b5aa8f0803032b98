package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is one that was started in a namespace. It is killed when the namespace is closed or this process ends,
// however it ends.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // valid once done is closed
}

// Start starts a command in the namespace. Everything of cmd is the caller's but for Pdeathsig.
func (n *NS) Start(cmd *exec.Cmd) (*Process, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = unix.SIGKILL
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The kernel sends Pdeathsig when the thread ends, not the process; so this thread stays to wait.
		runtime.LockOSThread()
		err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = cmd.Start()
		}
		if err == nil {
			n.remember(p)
		}
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			n.forget(p)
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s in %s: %w", cmd.Path, n.name, err)
	}
	return p, nil
}

func (n *NS) remember(p *Process) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.procs = append(n.procs, p)
}

func (n *NS) forget(p *Process) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.procs = slices.DeleteFunc(n.procs, func(q *Process) bool { return p == q })
}

// Run starts a command in the namespace and waits for it.
func (n *NS) Run(cmd *exec.Cmd) error {
	p, err := n.Start(cmd)
	if err != nil {
		return err
	}
	return p.Wait()
}

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the end and gives the error of exec.Cmd.Wait.
func (p *Process) Wait() error {
	<-p.done
	return p.err
}

// Signal sends a signal; to a process that has ended, nothing.
func (p *Process) Signal(s os.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal %v to process %d: %w", s, p.PID(), err)
	}
	return nil
}

// Kill ends the process at once.
func (p *Process) Kill() error { return p.Signal(unix.SIGKILL) }

// Stop asks the process to end, and kills it if it has not within grace. It gives the process's error.
func (p *Process) Stop(grace time.Duration) error {
	if err := p.Signal(unix.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(grace):
		p.Kill()
		<-p.done
		return fmt.Errorf("process %d had to be killed: it did not end within %v of being asked", p.PID(), grace)
	}
	return p.err
}
