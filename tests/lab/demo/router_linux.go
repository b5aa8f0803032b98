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
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/tests/lab"
)

// router is a galleond in its namespace, and how to speak to it.
type router struct {
	place  place
	ns     *lab.NS
	bin    string
	dir    string // configuration, data, sockets
	log    string // file
	failed func(error)

	process *lab.Process
	ending  *atomic.Bool // its end is no surprise
	token   string       // with which it joined
	member  bool
}

// config is what the demo sets of the daemon's configuration; all else is the default.
type daemonConfig struct {
	DataDir string `yaml:"data_dir"`
	RunDir  string `yaml:"run_dir"`
	Listen  struct {
		S3 string `yaml:"s3"`
	} `yaml:"listen"`
	Fabric struct {
		ProbeInterval time.Duration `yaml:"probe_interval"`
	} `yaml:"fabric"`
}

// probeInterval is twice the daemon's default: here seven routers and all that they serve share a few cores, and a
// process that waits for one is not a link that is down.
const probeInterval = 100 * time.Millisecond

// openPlace builds a data centre, in the lab or as an addition to it, and starts its router.
func (d *demo) openPlace(ctx context.Context, p place) (*router, error) {
	site, err := d.lab.AddSite(p.site(d.v6))
	if err != nil {
		return nil, err
	}
	if d.v6 {
		if err := linkLocals(site); err != nil {
			return nil, err
		}
	}
	r := &router{
		place: p, ns: site.Router, bin: d.bin, dir: d.work.path(p.name), log: filepath.Join(d.work.logs(), p.name+".log"),
		failed: d.abort,
	}
	if err := r.configure(); err != nil {
		return nil, err
	}
	d.routers = append(d.routers, r)
	if err := r.start(); err != nil {
		return nil, err
	}
	return r, r.answers(ctx)
}

// linkLocals gives both ends of the cable the IPv6 address that every interface has outside of the lab: without one
// a router does not ask for the neighbour to whom it forwards (RFC 4861, section 7.2.2).
func linkLocals(site *lab.Site) error {
	const bits = 64
	err := site.Router.AddAddress(lab.LANInterface+"0", netip.PrefixFrom(netip.MustParseAddr("fe80::1"), bits))
	if err == nil {
		err = site.Hosts[0].AddAddress(lab.HostIface, netip.PrefixFrom(netip.MustParseAddr("fe80::10"), bits))
	}
	return err
}

func (r *router) configure() error {
	var c daemonConfig
	c.DataDir, c.RunDir, c.Listen.S3 = filepath.Join(r.dir, "data"), filepath.Join(r.dir, "run"), fmt.Sprintf(":%d", s3Port)
	c.Fabric.ProbeInterval = probeInterval
	b, err := yaml.Marshal(c)
	if err == nil {
		err = os.Mkdir(r.dir, 0o755)
	}
	if err == nil {
		err = os.WriteFile(r.configPath(), b, 0o644)
	}
	if err != nil {
		return fmt.Errorf("configure %s: %w", r.place.name, err)
	}
	return nil
}

func (r *router) configPath() string { return filepath.Join(r.dir, "galleond.yaml") }
func (r *router) socket() string     { return filepath.Join(r.dir, "run", "galleon.sock") }

// start runs the daemon as the leader of a session: of a process group, so that all of it can be killed at once, and
// of a scheduling group (sched_autogroup), so that a router that is busy does not take another one's share.
func (r *router) start() error {
	log, err := os.OpenFile(r.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("start %s: %w", r.place.name, err)
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(r.bin, "galleond"), "--config", r.configPath())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if r.process, err = r.ns.Start(cmd); err != nil {
		return err
	}
	r.ending = new(atomic.Bool)
	go func(p *lab.Process, ending *atomic.Bool) {
		err := p.Wait()
		if !ending.Load() {
			r.failed(fmt.Errorf("galleond of %s ended by itself (%v); the end of %s:\n%s", r.place.name, err, r.log, tail(r.log, 8)))
		}
	}(r.process, r.ending)
	return nil
}

// expectEnd says that the end of the process is wanted.
func (r *router) expectEnd() {
	if r.ending != nil {
		r.ending.Store(true)
	}
}

// kill ends the supervisor and both of its children at once, as a loss of power would.
func (r *router) kill() error {
	r.expectEnd()
	if err := unix.Kill(-r.process.PID(), unix.SIGKILL); err != nil {
		return fmt.Errorf("kill the router in %s: %w", r.place.name, err)
	}
	<-r.process.Done()
	return nil
}

// childStarted is the supervisor's line about a child.
var childStarted = regexp.MustCompile(`msg="child started".* role=(\w+) pid=(\d+)`)

// control is the process ID of the control process, from the supervisor's log: /proc may be that of outside.
func (r *router) control() (int, error) {
	b, err := os.ReadFile(r.log)
	if err != nil {
		return 0, fmt.Errorf("find the control process in %s: %w", r.place.name, err)
	}
	found := childStarted.FindAllSubmatch(b, -1)
	for i := len(found) - 1; i >= 0; i-- {
		if string(found[i][1]) == "control" {
			return strconv.Atoi(string(found[i][2]))
		}
	}
	return 0, fmt.Errorf("find the control process in %s: %s does not tell", r.place.name, r.log)
}

// client calls the daemon's API directly, for what is asked several times a second.
func (r *router) client() *admin.Client { return admin.NewUnixClient(r.socket()) }

// answers waits until the daemon's socket answers.
func (r *router) answers(ctx context.Context) error {
	c := r.client()
	defer c.Close()
	err := until(ctx, 50*time.Millisecond, func() error {
		_, err := c.ClusterStatus(ctx, admin.ClusterStatusRequest{})
		return err
	})
	if err != nil {
		return fmt.Errorf("wait for galleond of %s; the end of its log:\n%s\n%w", r.place.name, tail(r.log, 5), err)
	}
	return nil
}

// galleon runs the CLI for this router, as its operator would, and reads its JSON into reply, which may be nil.
func (r *router) galleon(ctx context.Context, reply any, args ...string) error {
	out, err := r.run(ctx, append([]string{"--json"}, args...))
	if err != nil || reply == nil {
		return err
	}
	if err := json.Unmarshal(out, reply); err != nil {
		return fmt.Errorf("read what `galleon %s` printed: %w", strings.Join(redact(args), " "), err)
	}
	return nil
}

// text runs the CLI for people's eyes.
func (r *router) text(ctx context.Context, args ...string) (string, error) {
	out, err := r.run(ctx, args)
	return string(out), err
}

func (r *router) run(ctx context.Context, args []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(r.bin, "galleon"), args...)
	cmd.Env = append(os.Environ(), "GALLEON_SOCKET="+r.socket())
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && ctx.Err() == nil {
		return nil, &refusal{r.place.name, redact(args), strings.TrimPrefix(strings.TrimSpace(errs.String()), "galleon: ")}
	}
	if err != nil {
		return nil, fmt.Errorf("run galleon in %s: %w", r.place.name, err)
	}
	return out.Bytes(), nil
}

// refusal is a command that the CLI ended with an error.
type refusal struct {
	place string
	args  []string
	said  string
}

func (e *refusal) Error() string {
	return fmt.Sprintf("in %s, `galleon %s` says: %s", e.place, strings.Join(e.args, " "), e.said)
}
