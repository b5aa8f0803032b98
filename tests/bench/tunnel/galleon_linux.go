package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/tests/lab"
)

// router is a galleond and how its operator speaks to it.
type router struct {
	s       *system
	at      *end
	name    string
	process *lab.Process
}

func (r *router) dir() string    { return filepath.Join(r.s.dir, r.name) }
func (r *router) socket() string { return filepath.Join(r.dir(), "run", "galleon.sock") }

// startGalleon makes a cluster of a and b.
func (s *system) startGalleon(ctx context.Context) error {
	s.a.addr, s.b.addr = overA, overB
	a, err := s.router(ctx, s.a, "a")
	if err != nil {
		return err
	}
	b, err := s.router(ctx, s.b, "b")
	if err != nil {
		return err
	}
	if err := a.found(ctx); err != nil {
		return err
	}
	return b.join(ctx, a)
}

// router starts a galleond whose host is its own namespace: the address that it announces is on the loopback.
func (s *system) router(ctx context.Context, at *end, name string) (*router, error) {
	r := &router{s: s, at: at, name: name}
	if err := at.ns.AddAddress("lo", netip.PrefixFrom(at.addr, at.addr.BitLen())); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(r.dir(), 0o755); err != nil {
		return nil, err
	}
	config := filepath.Join(r.dir(), "galleond.yaml")
	text := fmt.Sprintf("data_dir: %s\nrun_dir: %s\n", filepath.Join(r.dir(), "data"), filepath.Join(r.dir(), "run"))
	if s.probe != 0 {
		text += fmt.Sprintf("fabric: {probe_interval: %s}\n", s.probe)
	}
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	var err error
	if r.process, err = s.daemon(at, "galleond-"+name, filepath.Join(s.env.bin, "galleond"), "--config", config); err != nil {
		return nil, err
	}
	s.routers = append(s.routers, r)
	before := s.finish
	s.finish = func() {
		if before != nil {
			before()
		}
		// The supervisor's children end with it, but a moment later, and until then they write into the directory.
		pids := descendants(r.process.PID())
		_ = r.process.Kill()
		<-r.process.Done()
		gone(pids)
	}
	return r, r.awake(ctx)
}

// awake waits until the admin API answers.
func (r *router) awake(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	c := admin.NewUnixClient(r.socket())
	defer c.Close()
	for {
		_, err := c.ClusterStatus(ctx, admin.ClusterStatusRequest{})
		if err == nil {
			return nil
		}
		if pause(ctx, answerPoll) != nil {
			return fmt.Errorf("wait for galleond %s: %w%s", r.name, err, r.s.logs())
		}
	}
}

// place names the region and zone of a router and the prefix that it announces.
func (r *router) place() []string {
	prefix := netip.PrefixFrom(r.at.addr, overBits).Masked()
	return []string{"--region", "bench-" + r.name, "--zone", "bench-" + r.name + "-a", "--prefix", prefix.String()}
}

// found makes a cluster with this router as its first.
func (r *router) found(ctx context.Context) error {
	return r.galleon(ctx, nil, append([]string{"cluster", "init"}, r.place()...)...)
}

// join makes this router a member of another one's cluster.
func (r *router) join(ctx context.Context, of *router) error {
	var made admin.TokenCreateReply
	if err := of.galleon(ctx, &made, append([]string{"token", "create", "--ttl", "10m"}, r.place()...)...); err != nil {
		return err
	}
	return r.galleon(ctx, nil, "join", made.Token)
}

// galleon runs the CLI for this router and reads its JSON into reply, which may be nil.
func (r *router) galleon(ctx context.Context, reply any, args ...string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(r.s.env.bin, "galleon"), append([]string{"--json"}, args...)...)
	cmd.Env = append(os.Environ(), "GALLEON_SOCKET="+r.socket())
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return errors.Join(fmt.Errorf("galleon %s %s at %s: %w: %s", args[0], args[min(1, len(args)-1)], r.name, err, strings.TrimSpace(errs.String())), context.Cause(ctx))
	}
	if reply == nil {
		return nil
	}
	return json.Unmarshal(out.Bytes(), reply)
}

// forwardPID finds the forward process of a galleond.
func (r *router) forwardPID() (int, error) {
	for _, p := range descendants(r.process.PID()) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p))
		if args := strings.Split(string(b), "\x00"); err == nil && len(args) > 1 && args[1] == "forward" {
			return p, nil
		}
	}
	return 0, fmt.Errorf("galleond %s has no forward process", r.name)
}
