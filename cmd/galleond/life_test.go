//go:build linux

package main

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/tests/lab"
)

// TestLife takes one router through what may happen to its processes, while a ping runs through it and its
// neighbour stays as it is.
func TestLife(t *testing.T) {
	env, notified := notices(t)
	a, _ := cluster(t, env...)
	a.eventually("READY=1", 10*time.Second, func() bool { return notified("READY=1") })
	a.eventually("WATCHDOG=1", 10*time.Second, func() bool { return notified("WATCHDOG=1") })
	other := lab.PingConfig{To: netip.MustParseAddr("100.127.0.2"), Interval: 20 * time.Millisecond}
	ping := func(t *testing.T) *lab.Ping {
		t.Helper()
		p, err := a.ns.StartPing(t.Context(), other)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	passes := func(what string) {
		t.Helper()
		a.eventually(what+": packets pass again", 15*time.Second, func() bool {
			c := other
			c.Count = 1
			r, err := a.ns.Ping(t.Context(), c)
			return err == nil && r.Received == 1
		})
	}
	passes("at first")
	device, routes := a.device(), a.routes()

	t.Run("control is killed", func(t *testing.T) {
		forward := a.child(roleForward)
		p := ping(t)
		old := a.kill(roleControl, syscall.SIGKILL)
		a.eventually("another control", 10*time.Second, func() bool { return a.child(roleControl) != old })
		a.eventually("the new control knows what the old one knew", 20*time.Second, func() bool { return a.answers("member").Routers == 2 })
		if r := p.Stop(); len(r.Lost) > 0 && r.Lost[0] < r.Sent-2 { // the last may still be under way
			t.Errorf("packets were lost: %v", r)
		}
		if a.child(roleForward) != forward {
			t.Error("forward was replaced too")
		}
	})

	t.Run("forward is killed", func(t *testing.T) {
		control := a.child(roleControl)
		old := a.kill(roleForward, syscall.SIGKILL)
		a.eventually("another forward", 10*time.Second, func() bool { return a.child(roleForward) != old })
		passes("forward was killed")
		a.answers("member")
		if a.device() != device || !slices.Equal(a.routes(), routes) {
			t.Errorf("device %d with routes %v, want %d with %v", a.device(), a.routes(), device, routes)
		}
		if a.child(roleControl) != control {
			t.Error("control was replaced too")
		}
	})

	for _, role := range []string{roleControl, roleForward} {
		t.Run(role+" hangs", func(t *testing.T) {
			old := a.kill(role, syscall.SIGSTOP)
			a.eventually("another "+role, 30*time.Second, func() bool { return a.child(role) != old })
			if _, n := a.log.find("child is silent; killing it", role); n == 0 {
				t.Error("it was replaced, but not for its silence")
			}
			a.answers("member")
			passes(role + " hung")
		})
	}

	t.Run("an upgrade with a configuration that cannot be", func(t *testing.T) {
		children := [2]int{a.child(roleForward), a.child(roleControl)}
		a.configure("watchdg: 3s")
		a.process.Signal(syscall.SIGHUP)
		a.eventually("the refusal", 10*time.Second, func() bool {
			l, _ := a.log.find("upgrade failed; the running version and configuration go on", "")
			err, _ := l["err"].(string)
			return strings.Contains(err, "unknown key watchdg")
		})
		a.kill(roleControl, syscall.SIGKILL) // starts again with what was read, not with what is there now
		a.eventually("another control", 10*time.Second, func() bool { return a.child(roleControl) != children[1] })
		a.answers("member")
		if a.child(roleForward) != children[0] {
			t.Error("forward was replaced")
		}
		a.configure("")
	})

	t.Run("an upgrade", func(t *testing.T) {
		children := [2]int{a.child(roleForward), a.child(roleControl)}
		notified("READY=1")
		a.configure("listen: {metrics: '127.0.0.1:9471'}")
		a.process.Signal(syscall.SIGHUP)
		a.eventually("new children", 20*time.Second, func() bool {
			return a.child(roleForward) != children[0] && a.child(roleControl) != children[1]
		})
		a.eventually("READY=1", 10*time.Second, func() bool { return notified("READY=1") })
		a.answers("member")
		passes("upgrade")
		if a.device() != device || !slices.Equal(a.routes(), routes) {
			t.Errorf("device %d with routes %v, want %d with %v", a.device(), a.routes(), device, routes)
		}
		for address, want := range map[string]bool{"127.0.0.1:9470": false, "127.0.0.1:9471": true, "127.0.0.1:9000": true} {
			c, err := a.ns.Dial(t.Context(), "tcp", address)
			if (err == nil) != want {
				t.Errorf("%s after the upgrade: %v", address, err)
			}
			if err == nil {
				c.Close()
			}
		}
	})

	t.Run("a second one", func(t *testing.T) {
		if s := a.refusal(); !strings.Contains(s, "in use by another galleond, process ") {
			t.Errorf("with the same data_dir it says: %s", s)
		}
		other := newDaemon(t, a.ns, "")
		if s := other.refusal(); !strings.Contains(s, "listen.forward: [::]:4700 is in use by another program") {
			t.Errorf("with the same ports it says: %s", s)
		}
		other.configure("listen: {forward: '[::]:4710', control: '[::]:4711', s3: '', metrics: ''}\nfabric: {device: galleon0}")
		if s := other.refusal(); !strings.Contains(s, "fabric.device: ") || !strings.Contains(s, "galleon0") {
			t.Errorf("with the same device it says: %s", s)
		}
		a.answers("member")
	})

	t.Run("the supervisor is killed", func(t *testing.T) {
		old := a.log
		a.process.Kill()
		<-a.process.Done()
		a.start(env...)
		a.eventually("the catalog", 20*time.Second, func() bool { return a.answers("member").Routers == 2 })
		passes("a crash")
		if t.Failed() {
			t.Log(old.tail())
		}
	})

	t.Run("SIGTERM", func(t *testing.T) {
		began := time.Now()
		if err := a.process.Stop(stopGrace); err != nil {
			t.Errorf("it ended with %v; log:\n%s", err, a.log.tail())
		}
		t.Logf("ended within %v", time.Since(began).Round(time.Millisecond))
		if a.device() != 0 {
			t.Error("the device is still there")
		}
		for _, name := range []string{"galleon.sock", "forward.sock"} {
			if _, err := os.Stat(filepath.Join(a.dir, "run", name)); err == nil {
				t.Errorf("%s is still there", name)
			}
		}
		if _, n := a.log.find("child did not end in time; killing it", ""); n > 0 {
			t.Error("a child had to be killed")
		}
		if _, err := a.api.ClusterStatus(t.Context(), admin.ClusterStatusRequest{}); err == nil {
			t.Error("it still answers")
		}
	})
}

// TestRefusals starts a daemon where one cannot run.
func TestRefusals(t *testing.T) {
	needLab(t)
	ns, err := lab.NewNS("site")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	d := newDaemon(t, ns, "")
	l, err := ns.Listen("tcp", "127.0.0.1:9470")
	if err != nil {
		t.Fatal(err)
	}
	if s := d.refusal(); !strings.Contains(s, "listen.metrics: 127.0.0.1:9470 is in use by another program; stop that one, or choose another port") {
		t.Errorf("with a port in use it says: %s", s)
	}
	l.Close()
	d.configure("listen: {froward: '[::]:1'}")
	if s := d.refusal(); !strings.Contains(s, "unknown key froward") {
		t.Errorf("with an unknown key it says: %s", s)
	}
	d.configure("listen: {s3: '192.0.2.1:9000'}")
	if s := d.refusal(); !strings.Contains(s, "listen.s3: listen on 192.0.2.1:9000") {
		t.Errorf("with a strange address it says: %s", s)
	}
	d.configure("")
	if err := syscall.Mount("tmpfs", "/dev/net", "tmpfs", 0, ""); err != nil {
		t.Skipf("hide /dev/net/tun: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount("/dev/net", syscall.MNT_DETACH) })
	if s := d.refusal(); !strings.Contains(s, "/dev/net/tun") || strings.Count(s, "\n") > 2 {
		t.Errorf("without /dev/net/tun it says: %s", s)
	}
	for _, name := range []string{"galleon.sock", "forward.sock"} {
		if c, err := ns.Dial(t.Context(), "tcp", "127.0.0.1:9470"); err == nil {
			c.Close()
			t.Errorf("%s: something still listens", name)
		}
	}
}

// TestFlags runs what ends at once and needs nothing.
func TestFlags(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("watchdog: 1s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		ok   bool
		want string
	}{
		{[]string{"--print-config"}, true, "# where this router listens"},
		{[]string{"--check-config"}, true, "can be used"},
		{[]string{"--check-config", "--config", bad}, false, "watchdog 1s: want 3s to 1h"},
		{[]string{"--version"}, true, "galleond "},
		{[]string{"--config", filepath.Join(t.TempDir(), "none")}, false, "no such file"},
		{[]string{"stray"}, false, `unexpected "stray"`},
		{[]string{"control"}, false, "started by galleond, not by hand"},
		{[]string{"forward"}, false, "started by galleond, not by hand"},
	} {
		cmd := exec.Command(self, c.args...)
		cmd.Env = append(os.Environ(), asDaemon+"=1")
		out, err := cmd.CombinedOutput()
		if (err == nil) != c.ok || !strings.Contains(string(out), c.want) {
			t.Errorf("galleond %v: %v, %q; want %q in it", c.args, err, out, c.want)
		}
	}
}
