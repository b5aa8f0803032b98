//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/tests/lab"
)

// daemon is a galleond in a namespace.
type daemon struct {
	t       *testing.T
	ns      *lab.NS
	dir     string
	process *lab.Process
	log     *record
	api     *admin.Client
}

// record keeps a daemon's structured log.
type record struct {
	mu    sync.Mutex
	rest  []byte
	lines []map[string]any
	other []string // lines that are not of the log
}

func (r *record) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rest = append(r.rest, b...)
	for {
		i := bytes.IndexByte(r.rest, '\n')
		if i < 0 {
			return len(b), nil
		}
		var line map[string]any
		if json.Unmarshal(r.rest[:i], &line) == nil {
			r.lines = append(r.lines, line)
		} else {
			r.other = append(r.other, string(r.rest[:i]))
		}
		r.rest = r.rest[i+1:]
	}
}

// find gives the last line with a message and, where role is not empty, a role.
func (r *record) find(msg, role string) (map[string]any, int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found map[string]any
	n := 0
	for _, l := range r.lines {
		if l["msg"] == msg && (role == "" || l["role"] == role) {
			found, n = l, n+1
		}
	}
	return found, n
}

func (r *record) tail() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, l := range r.lines[max(0, len(r.lines)-40):] {
		j, _ := json.Marshal(l)
		fmt.Fprintf(&b, "%s\n", j)
	}
	return b.String() + strings.Join(r.other, "\n")
}

// newDaemon prepares a directory with a configuration; extra is added to it.
func newDaemon(t *testing.T, ns *lab.NS, extra string) *daemon {
	t.Helper()
	// The path of a Unix socket has little room, so not t.TempDir.
	dir, err := os.MkdirTemp("", "galleond")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := &daemon{t: t, ns: ns, dir: dir}
	d.configure(extra)
	d.api = admin.NewUnixClient(filepath.Join(dir, "run", "galleon.sock"))
	t.Cleanup(d.api.Close)
	return d
}

func (d *daemon) config() string { return filepath.Join(d.dir, "galleond.yaml") }

func (d *daemon) configure(extra string) {
	d.t.Helper()
	text := fmt.Sprintf("data_dir: %[1]s/data\nrun_dir: %[1]s/run\nwatchdog: 5s\nstore: {min_free: 0}\nlog: {format: json}\n%[2]s\n", d.dir, extra)
	if err := os.WriteFile(d.config(), []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

func (d *daemon) command(env ...string) *exec.Cmd {
	self, err := os.Executable()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd := exec.Command(self, "--config", d.config())
	cmd.Env = append(os.Environ(), append(env, asDaemon+"=1")...)
	cmd.WaitDelay = 5 * time.Second
	return cmd
}

func (d *daemon) start(env ...string) {
	d.t.Helper()
	d.log = &record{}
	cmd := d.command(env...)
	cmd.Stderr = d.log
	var err error
	if d.process, err = d.ns.Start(cmd); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { d.log.check(d.t) })
}

// check fails a test whose daemon panicked, or was found by the race detector to race.
func (r *record) check(t *testing.T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, l := range r.other {
		if strings.HasPrefix(l, "panic:") || strings.HasPrefix(l, "fatal error:") || strings.Contains(l, "DATA RACE") {
			t.Errorf("the daemon's log has:\n%s", strings.Join(r.other[i:min(len(r.other), i+60)], "\n"))
			return
		}
	}
}

// refusal runs a daemon that shall not start, and gives what it says.
func (d *daemon) refusal(env ...string) string {
	d.t.Helper()
	var out bytes.Buffer
	cmd := d.command(env...)
	cmd.Stderr = &out
	p, err := d.ns.Start(cmd)
	if err != nil {
		d.t.Fatal(err)
	}
	select {
	case <-p.Done():
	case <-time.After(5 * time.Second):
		p.Kill()
		d.t.Fatalf("it started; log:\n%s", out.String())
	}
	if p.Wait() == nil {
		d.t.Error("exit 0, want a failure")
	}
	return out.String()
}

// child gives the process of a role as the supervisor started it last.
func (d *daemon) child(role string) int {
	l, _ := d.log.find("child started", role)
	pid, _ := l["pid"].(float64)
	return int(pid)
}

func (d *daemon) kill(role string, sig syscall.Signal) (pid int) {
	d.t.Helper()
	pid = d.child(role)
	if pid == 0 {
		d.t.Fatalf("no %s runs", role)
	}
	if err := syscall.Kill(pid, sig); err != nil {
		d.t.Fatalf("signal %v to %s (%d): %v", sig, role, pid, err)
	}
	return pid
}

// eventually waits until ok.
func (d *daemon) eventually(what string, within time.Duration, ok func() bool) {
	d.t.Helper()
	for deadline := time.Now().Add(within); !ok(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Fatalf("%s: not within %v; log:\n%s", what, within, d.log.tail())
		}
	}
}

// answers waits until control serves and knows that forward does.
func (d *daemon) answers(state string) (st admin.ClusterStatusReply) {
	d.t.Helper()
	d.eventually("the daemon answers as "+state, 20*time.Second, func() bool {
		var err error
		st, err = d.api.ClusterStatus(d.t.Context(), admin.ClusterStatusRequest{})
		return err == nil && st.State == state && (st.Forward == "up" || st.State != "member")
	})
	return st
}

func (d *daemon) device() (index int) {
	if l, err := d.ns.Netlink().LinkByName("galleon0"); err == nil {
		index = l.Attrs().Index
	}
	return index
}

// routes lists the destinations in Galleon's table that lead to its device.
func (d *daemon) routes() (out []string) {
	list, err := d.ns.Netlink().RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: 201, LinkIndex: d.device()}, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_OIF)
	if err != nil {
		d.t.Error(err)
	}
	for _, r := range list {
		out = append(out, r.Dst.String())
	}
	slices.Sort(out)
	return out
}

// notices listens where systemd would.
func notices(t *testing.T) (env []string, got func(word string) bool) {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var all []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		for b := make([]byte, 4096); ; {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			mu.Lock()
			all = append(all, strings.Split(string(b[:n]), "\n")...)
			mu.Unlock()
		}
	}()
	t.Cleanup(func() { c.Close(); <-done; os.RemoveAll(dir) })
	return []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=3000000"}, func(word string) bool {
		mu.Lock()
		defer mu.Unlock()
		i := slices.Index(all, word)
		if i >= 0 {
			all = slices.Delete(all, i, i+1)
		}
		return i >= 0
	}
}

// pair makes two namespaces that see each other.
func pair(t *testing.T) (a, b *lab.NS) {
	t.Helper()
	needLab(t)
	var list [2]*lab.NS
	for i := range list {
		ns, err := lab.NewNS(fmt.Sprintf("site%d", i+1))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ns.Close() })
		list[i] = ns
	}
	if err := lab.Veth(list[0], "wan0", list[1], "wan0", 1500); err != nil {
		t.Fatal(err)
	}
	for i, ns := range list {
		if err := ns.AddAddress("wan0", netip.PrefixFrom(netip.AddrFrom4([4]byte{198, 18, 0, byte(i + 1)}), 24)); err != nil {
			t.Fatal(err)
		}
		if err := ns.Up("wan0"); err != nil {
			t.Fatal(err)
		}
	}
	return list[0], list[1]
}

// cluster makes a cluster of two daemons that run.
func cluster(t *testing.T, env ...string) (a, b *daemon) {
	t.Helper()
	left, right := pair(t)
	a, b = newDaemon(t, left, ""), newDaemon(t, right, "")
	a.start(env...)
	b.start()
	a.answers("uninitialised")
	b.answers("uninitialised")
	if _, err := a.api.ClusterInit(t.Context(), admin.ClusterInitRequest{Region: "cn-hangzhou", Zone: "cn-hangzhou-a", Prefixes: prefix("10.1.0.0/24")}); err != nil {
		t.Fatal(err)
	}
	a.answers("member")
	var token admin.TokenCreateReply
	a.eventually("a token", 20*time.Second, func() (ok bool) {
		var err error
		token, err = a.api.TokenCreate(t.Context(), admin.TokenCreateRequest{Region: "mx-queretaro", Zone: "mx-queretaro-a", Prefixes: prefix("10.2.0.0/24")})
		return err == nil
	})
	if _, err := b.api.ClusterJoin(t.Context(), admin.ClusterJoinRequest{Token: token.Token}); err != nil {
		t.Fatal(err)
	}
	b.answers("member")
	want := []string{"10.2.0.0/24", "100.127.0.2/32"}
	a.eventually("routes", 20*time.Second, func() bool { return slices.Equal(a.routes(), want) })
	return a, b
}

func prefix(s string) []topo.SegPrefix {
	return []topo.SegPrefix{{Prefix: netip.MustParsePrefix(s)}}
}
