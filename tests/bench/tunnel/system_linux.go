package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/galleon-net/galleon/tests/lab"
)

// The two ends: underlay addresses (RFC 2544's range for tests) and those inside of the tunnel.
var (
	underA, underB, underC = netip.MustParseAddr("198.18.0.1"), netip.MustParseAddr("198.18.0.2"), netip.MustParseAddr("198.18.1.3")
	underB2                = netip.MustParseAddr("198.18.1.2") // of b, towards c
	overA, overB, overC    = netip.MustParseAddr("10.71.0.1"), netip.MustParseAddr("10.72.0.1"), netip.MustParseAddr("10.73.0.1")
)

const (
	underBits = 24
	overBits  = 24
	underMTU  = 1500
	cableEnd  = "eth0" // the interface to the other end
)

// end is one side of what is measured: a namespace, the address that load uses there, and the daemon's processes.
type end struct {
	ns   *lab.NS
	addr netip.Addr
	pids []int // roots; their descendants count too
}

// system is one that is set up and carries packets from a to b.
type system struct {
	name string
	a, b *end
	dir  string // files of this run of it
	env  *environment
	all  []*lab.NS

	// Galleon's.
	routers []*router
	probe   time.Duration // interval of their probes; 0 is the default
	// finish, which may be nil, ends daemons in order before the namespaces go.
	finish func()
}

// environment is what all systems share.
type environment struct {
	options
	self string // this binary, for gen and sink
	work string // directory for everything of this run
}

// open makes the two namespaces with their cable and starts a system in them. It answers when it returns.
func (e *environment) open(ctx context.Context, name string) (*system, error) {
	s := &system{name: name, env: e}
	err := s.cable()
	if err == nil {
		switch name {
		case sysRaw:
			s.a.addr, s.b.addr = underA, underB
		case sysGalleon:
			err = s.startGalleon(ctx)
		case sysWireGuard:
			err = s.startWireGuard(ctx)
		case sysNebula:
			err = s.startNebula(ctx)
		}
	}
	if err == nil {
		err = s.answers(ctx, s.b)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set up %s: %w", name, err), s.close())
	}
	return s, nil
}

func (s *system) cable() error {
	var err error
	if s.dir, err = os.MkdirTemp(s.env.work, s.name+"-"); err != nil {
		return err
	}
	if s.a, err = s.namespace("a"); err != nil {
		return err
	}
	if s.b, err = s.namespace("b"); err != nil {
		return err
	}
	if err := lab.Veth(s.a.ns, cableEnd, s.b.ns, cableEnd, underMTU); err != nil {
		return err
	}
	return errors.Join(
		s.a.ns.AddAddress(cableEnd, netip.PrefixFrom(underA, underBits)),
		s.b.ns.AddAddress(cableEnd, netip.PrefixFrom(underB, underBits)))
}

func (s *system) namespace(name string) (*end, error) {
	ns, err := lab.NewNS(s.name + "-" + name)
	if err != nil {
		return nil, err
	}
	s.all = append(s.all, ns)
	return &end{ns: ns}, nil
}

// apart is how every program of a system is started: in a process group of its own, so that it can be ended with all that
// descends from it; with -sessions in a session of its own.
func (e *environment) apart() *syscall.SysProcAttr {
	if e.sessions {
		return &syscall.SysProcAttr{Setsid: true}
	}
	return &syscall.SysProcAttr{Setpgid: true}
}

// daemon starts a program at an end.
func (s *system) daemon(e *end, log string, path string, args ...string) (*lab.Process, error) {
	f, err := os.Create(filepath.Join(s.dir, log+".log"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = s.dir, f, f
	cmd.SysProcAttr = s.env.apart()
	if s.env.profile != "" {
		cmd.Env = append(os.Environ(), profileVar+"="+s.dir)
	}
	p, err := e.ns.Start(cmd)
	if err != nil {
		return nil, err
	}
	e.pids = append(e.pids, p.PID())
	return p, nil
}

// Limits of waiting for a system.
const (
	answerWithin = 30 * time.Second
	answerPoll   = 50 * time.Millisecond
	// settleFor is how long a system that answers is left alone before it is measured: handshakes, elections and the
	// discovery of path MTUs are no part of any figure.
	settleFor = time.Second
)

// answers waits until a packet goes from a to another end and back.
func (s *system) answers(ctx context.Context, to *end) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	for {
		r, err := s.a.ns.Ping(ctx, lab.PingConfig{To: to.addr, From: s.a.addr, Timeout: 200 * time.Millisecond})
		if err == nil && r.Received > 0 {
			return pause(ctx, settleFor)
		}
		if err := pause(ctx, answerPoll); err != nil {
			return fmt.Errorf("wait for an answer of %v at %v: %w%s", to.addr, s.a.addr, err, s.logs())
		}
	}
}

// close ends the daemons and lets go of the namespaces.
func (s *system) close() error {
	if s.finish != nil {
		s.finish()
	}
	var errs []error
	for _, ns := range s.all {
		errs = append(errs, ns.Close())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}

// logs are the ends of the daemons' logs, for an error.
func (s *system) logs() string {
	const most = 1500
	found, err := filepath.Glob(filepath.Join(s.dir, "*.log"))
	if err != nil {
		return ""
	}
	var out string
	for _, path := range found {
		b, err := os.ReadFile(path)
		if err == nil {
			out += fmt.Sprintf("\n%s ends with:\n%s", filepath.Base(path), b[max(0, len(b)-most):])
		}
	}
	return out
}

// pause waits, but not longer than ctx.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
