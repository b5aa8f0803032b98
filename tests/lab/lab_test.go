//go:build linux

package lab

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/galleon-net/galleon/tests/lab/wan"
)

func TestLabPings(t *testing.T) {
	l := twoSites(t)
	for _, to := range l.Site("tokyo").Spec.Addresses {
		r, err := l.Site("hangzhou").Router.Ping(t.Context(), PingConfig{To: to, Count: 10, Interval: 10 * time.Millisecond})
		if err != nil || r.Received != 10 {
			t.Fatalf("%v: %v (%v)", to, r, err)
		}
		if got := quantile(r.RTTs, 0); got < 36*time.Millisecond || got > 37*time.Millisecond { // the least is not the busy machine's doing
			t.Errorf("%v: round trip of %v, the table says 36 ms", to, got)
		}
	}
	// The host behind the router reaches it, by its default route.
	web := l.Site("hangzhou").Hosts[0]
	for _, to := range addrs("198.18.1.1", "fd10:1::1") {
		if r, err := web.Ping(t.Context(), PingConfig{To: to, Count: 2, Interval: time.Millisecond}); err != nil || r.Received != 2 {
			t.Errorf("from the host to %v: %v (%v)", to, r, err)
		}
	}
	if a := web.Addr(true); a != netip.MustParseAddr("fd10:1::10") {
		t.Errorf("the host's IPv6 address is %v", a)
	}
}

// TestStray: what should be in a tunnel and is not, is not carried, and shows: in the network's counts and in a capture.
func TestStray(t *testing.T) {
	l := twoSites(t)
	site := l.Site("hangzhou")
	overlay := netip.MustParsePrefix("10.0.0.0/8")
	c, err := site.Router.Capture(CaptureConfig{Interface: WANInterface, Prefixes: []netip.Prefix{overlay}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := site.Hosts[0].Ping(t.Context(), PingConfig{To: netip.MustParseAddr("10.2.0.10"), Count: 3, Interval: time.Millisecond, Timeout: 50 * time.Millisecond})
	if err != nil || r.Received != 0 {
		t.Fatalf("%v (%v)", r, err)
	}
	var st wan.Stats
	eventually(t, "the network counts strays", func() bool {
		if st, err = l.Network().Stats(); err != nil {
			t.Fatal(err)
		}
		return st.StrayPackets == 3
	})
	want := wan.Stray{Site: "hangzhou", Src: netip.MustParseAddr("10.1.0.10"), Dst: netip.MustParseAddr("10.2.0.10"), Protocol: 1, Packets: 3}
	if len(st.Strays) != 1 || st.Strays[0] != want {
		t.Errorf("strays %+v, want %+v", st.Strays, want)
	}
	// A forged source is a stray too, though its destination is a site.
	if err := site.Router.AddAddress("lo", netip.MustParsePrefix("203.0.113.9/32")); err != nil {
		t.Fatal(err)
	}
	r, err = site.Router.Ping(t.Context(), PingConfig{From: netip.MustParseAddr("203.0.113.9"), To: netip.MustParseAddr("198.18.2.1"), Count: 1, Timeout: 50 * time.Millisecond})
	if err != nil || r.Received != 0 {
		t.Errorf("with a forged source: %v (%v)", r, err)
	}
	if seen := c.Stop(); seen.Matched != 3 || !seen.Kept[0].Outgoing {
		t.Errorf("the capture saw %+v", seen)
	}
}

// TestChangesWhileItRuns: sites come and go, links are cut and set.
func TestChangesWhileItRuns(t *testing.T) {
	l := twoSites(t)
	ping := func(from string, to netip.Addr) (r PingReport) {
		t.Helper()
		r, err := l.Site(from).Router.Ping(t.Context(), PingConfig{To: to, Count: 3, Interval: time.Millisecond, Timeout: 500 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	bangkok := SiteSpec{Name: "bangkok", Zone: "ap-bangkok-b", Addresses: addrs("198.18.3.1", "198.18.3.2")}
	if _, err := l.AddSite(bangkok); err != nil {
		t.Fatal(err)
	}
	if _, err := l.AddSite(bangkok); err == nil || !strings.Contains(err.Error(), "one of that name") {
		t.Errorf("the same site again: %v", err)
	}
	if _, err := l.AddSite(SiteSpec{Name: "thief", Addresses: addrs("198.18.3.2")}); err == nil || !strings.Contains(err.Error(), "belongs to site bangkok") {
		t.Errorf("a site with another's address: %v", err)
	}
	for _, a := range bangkok.Addresses {
		if r := ping("tokyo", a); r.Received != 3 {
			t.Errorf("a new site does not answer at %v: %v", a, r)
		}
	}
	if err := l.Isolate("bangkok", true); err != nil {
		t.Fatal(err)
	}
	if r := ping("tokyo", bangkok.Addresses[0]); r.Received != 0 {
		t.Errorf("an isolated site answers: %v", r)
	}
	if err := l.Isolate("bangkok", false); err != nil {
		t.Fatal(err)
	}
	if err := l.Network().SetBoth("tokyo", "bangkok", "delay=1ms"); err != nil {
		t.Fatal(err)
	}
	if r := ping("tokyo", bangkok.Addresses[0]); r.Received != 3 || quantile(r.RTTs, 0) > 20*time.Millisecond {
		t.Errorf("a site that came back, 1 ms away: %v", r)
	}
	if _, err := l.Network().Set("tokyo", "tokyo", "cut"); err == nil {
		t.Error("a site has a link to itself")
	}
	if err := l.RemoveSite("bangkok"); err != nil {
		t.Fatal(err)
	}
	if r := ping("tokyo", bangkok.Addresses[0]); r.Received != 0 {
		t.Errorf("a removed site answers: %v", r)
	}
	// Its name and addresses are free again.
	if _, err := l.AddSite(bangkok); err != nil {
		t.Error(err)
	}
	if sites, err := l.Network().Sites(); err != nil || strings.Join(sites, " ") != "bangkok hangzhou tokyo" {
		t.Errorf("sites %v (%v)", sites, err)
	}
}

// TestControl speaks to a lab over its socket.
func TestControl(t *testing.T) {
	l := twoSites(t)
	path := filepath.Join(t.TempDir(), "lab.sock")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.ServeControl(ctx, path) }()
	ask := func(req Request, files ...*os.File) (Answer, error) { return Ask(path, req, files...) }
	eventually(t, "the socket answers", func() bool {
		_, err := ask(Request{Op: "sites"})
		return err == nil
	})
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket's mode is %v (%v)", info.Mode(), err)
	}
	if err := l.ServeControl(t.Context(), path); err == nil || !strings.Contains(err.Error(), "running already") {
		t.Errorf("a second lab on the socket: %v", err)
	}
	if a, err := ask(Request{Op: "sites"}); err != nil || strings.Join(a.Sites, " ") != "hangzhou hangzhou/web tokyo" {
		t.Errorf("sites %v (%v)", a.Sites, err)
	}
	if a, err := ask(Request{Op: "set", From: "hangzhou", To: "tokyo", Change: "rate=1gbit loss=1%", Both: true}); err != nil || a.Text != "delay=18ms rate=1gbit loss=1%" {
		t.Errorf("set: %q (%v)", a.Text, err)
	}
	if p, err := l.Network().Params("tokyo", "hangzhou"); err != nil || p.Loss != 0.01 {
		t.Errorf("the way back is %v (%v)", p, err)
	}
	if a, err := ask(Request{Op: "stats"}); err != nil || len(a.Stats.Paths) != 2 || len(a.Dropped) != 2 {
		t.Errorf("stats %+v (%v)", a, err)
	}
	if _, err := ask(Request{Op: "isolate", Where: "tokyo"}); err != nil {
		t.Error(err)
	}
	if p, err := l.Network().Params("hangzhou", "tokyo"); err != nil || !p.Cut {
		t.Errorf("isolated, the link is %v (%v)", p, err)
	}
	for _, req := range []Request{{Op: "dance"}, {Op: "set", From: "mars", To: "tokyo"}, {Op: "isolate", Where: "mars"}, {Op: "exec", Where: "tokyo/mars"}, {Op: "exec", Where: "tokyo"},
		{Op: "set", From: "hangzhou", To: "tokyo", Change: "warp=9"}} {
		if _, err := ask(req); err == nil {
			t.Errorf("%+v was done", req)
		}
	}
	testExec(t, ask)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := ask(Request{Op: "sites"}); err == nil || !strings.Contains(err.Error(), "is one running") {
		t.Errorf("no lab, and yet: %v", err)
	}
}

func testExec(t *testing.T, ask func(Request, ...*os.File) (Answer, error)) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	req := Request{Op: "exec", Where: "hangzhou/web", Args: []string{"sh", "-c", "echo $WORD; cat /proc/self/net/fib_trie; exit 5"}, Env: []string{"WORD=hello"}, Dir: "/"}
	a, err := ask(req, os.Stdin, w, os.Stderr)
	w.Close()
	var out bytes.Buffer
	out.ReadFrom(r)
	if err != nil || a.Exit != 5 || !strings.HasPrefix(out.String(), "hello\n") || !strings.Contains(out.String(), "10.1.0.10\n") {
		t.Errorf("exec: exit %d (%v), printed %s", a.Exit, err, out.String())
	}
}

// TestNoLabWithoutEnter: outside there is no process that could carry packets.
func TestNoLabWithoutEnter(t *testing.T) {
	t.Setenv(insideMark, "")
	if _, err := New(Topology{}); err == nil || !strings.Contains(err.Error(), "lab.Enter") {
		t.Errorf("%v", err)
	}
}

// TestCarrierDies: without the process that carries packets, calls say so, and Close still ends all.
func TestCarrierDies(t *testing.T) {
	needLab(t)
	l, err := New(Topology{Sites: []SiteSpec{{Name: "a", Addresses: addrs("198.18.1.1")}, {Name: "b", Addresses: addrs("198.18.2.1")}}})
	if err != nil {
		t.Fatal(err)
	}
	l.network.cmd.Process.Kill()
	eventually(t, "calls fail", func() bool {
		_, err := l.Network().Stats()
		return err != nil && strings.Contains(err.Error(), "process that carries packets")
	})
	if err := l.Close(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("closed with %v", err)
	}
}

// TestTool runs galleon-lab as a person does.
func TestTool(t *testing.T) {
	needLab(t)
	dir := t.TempDir()
	tool := filepath.Join(dir, "galleon-lab")
	if out, err := exec.Command("go", "build", "-o", tool, "./cmd/galleon-lab").CombinedOutput(); err != nil {
		t.Skipf("no Go here to build it with: %v %s", err, out)
	}
	socket := filepath.Join(dir, "s")
	up := exec.Command(tool, "-socket", socket, "up", "testdata/pacific.yaml")
	var upOut bytes.Buffer
	up.Stdout, up.Stderr = &upOut, &upOut
	if err := up.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { up.Process.Kill() })
	do := func(want string, args ...string) {
		t.Helper()
		out, err := exec.Command(tool, append([]string{"-socket", socket}, args...)...).CombinedOutput()
		if !strings.Contains(string(out), want) {
			t.Errorf("galleon-lab %v (%v), want %q:\n%s", args, err, want, out)
		}
	}
	eventually(t, "the tool's lab answers", func() bool {
		return exec.Command(tool, "-socket", socket, "sites").Run() == nil
	})
	do("queretaro/client", "sites")
	do("hangzhou to bangkok-a: delay=40ms rate=100mbit queue=8MB", "both", "hangzhou", "bangkok-a", "rtt=80ms")
	do("late by", "stats")
	do(`"params":"delay=101.1ms rate=1gbit queue=8MB loss=0.1%"`, "stats", "-json")
	do("fd10:1::", "exec", "hangzhou/web", "sh", "-c", "cat /proc/self/net/if_inet6 | sed 's/^fd1000010*10 .*/fd10:1::/'")
	do("usage:", "set", "hangzhou")
	do("no site", "isolate", "mars")
	if err := up.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := up.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v\n%s", err, upOut.String())
	}
	do("is one running", "sites")
}
