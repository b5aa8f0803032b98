//go:build linux

package lab

import (
	"bytes"
	"context"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// namespaces makes two that a cable joins.
func namespaces(t *testing.T) (a, b *NS) {
	t.Helper()
	needLab(t)
	var all [2]*NS
	for i, name := range []string{"a", "b"} {
		ns, err := newNS(name, hostV4, hostV6)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ns.Close() })
		all[i] = ns
	}
	a, b = all[0], all[1]
	if err := Veth(a, "eth0", b, "eth0", 1400); err != nil {
		t.Fatal(err)
	}
	for ns, addr := range map[*NS][]string{a: {"10.9.0.1/24", "fd09::1/64"}, b: {"10.9.0.2/24", "fd09::2/64"}} {
		for _, text := range addr {
			if err := ns.AddAddress("eth0", netip.MustParsePrefix(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return a, b
}

func TestNamespacesAreApart(t *testing.T) {
	a, b := namespaces(t)
	l, err := a.Listen("tcp", "127.0.0.1:7777")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if c, err := b.Dial(t.Context(), "tcp", "127.0.0.1:7777"); err == nil {
		c.Close()
		t.Error("a loopback is reached from another namespace")
	}
	c, err := a.Dial(t.Context(), "tcp", "127.0.0.1:7777")
	if err != nil {
		t.Fatal("the loopback of the own namespace: ", err)
	}
	c.Close()
	if err := a.Sysctl(map[string]string{"net.ipv4.ip_forward": "1"}); err != nil {
		t.Fatal(err)
	}
	for ns, want := range map[*NS]string{a: "1", b: "0"} {
		if got, err := ns.ReadSysctl("net.ipv4.ip_forward"); got != want {
			t.Errorf("ip_forward in %s is %q (%v), want %s", ns.Name(), got, err, want)
		}
	}
	if err := a.Sysctl(map[string]string{"net.ipv4.no_such": "1"}); err == nil || !strings.Contains(err.Error(), "net.ipv4.no_such=1 in a") {
		t.Errorf("a setting that is not there: %v", err)
	}
	if _, err := a.Dial(t.Context(), "tcp", "example.org:80"); err == nil {
		t.Error("a name was dialled")
	}
}

func TestCable(t *testing.T) {
	a, b := namespaces(t)
	for _, to := range []string{"10.9.0.2", "fd09::2"} {
		r, err := a.Ping(t.Context(), PingConfig{To: netip.MustParseAddr(to), Count: 3, Interval: time.Millisecond})
		if err != nil || r.Received != 3 || r.Loss() != 0 {
			t.Errorf("ping %s: %v (%v)", to, r, err)
		}
		// Larger than the cable's MTU, and may not be fragmented.
		r, err = a.Ping(t.Context(), PingConfig{To: netip.MustParseAddr(to), Count: 2, Size: 1401, Interval: time.Millisecond, Timeout: 20 * time.Millisecond})
		if err != nil || r.Received != 0 || r.SendErrors != 2 || r.Loss() != 1 {
			t.Errorf("ping %s with 1,401 bytes through a cable of 1,400: %+v (%v)", to, r, err)
		}
	}
	if err := b.Down("eth0"); err != nil {
		t.Fatal(err)
	}
	r, err := a.Ping(t.Context(), PingConfig{To: netip.MustParseAddr("10.9.0.2"), Count: 2, Timeout: 20 * time.Millisecond})
	if err != nil || r.Received != 0 {
		t.Errorf("ping through an interface that is down: %v (%v)", r, err)
	}
	if err := a.Up("eth9"); err == nil || !strings.Contains(err.Error(), "bring up eth9 in a") {
		t.Errorf("an interface that is not there: %v", err)
	}
}

func TestProcess(t *testing.T) {
	a, b := namespaces(t)
	var out bytes.Buffer
	cmd := exec.Command("cat", "/proc/self/net/fib_trie")
	cmd.Stdout = &out
	if err := a.Run(cmd); err != nil || !strings.Contains(out.String(), "10.9.0.1\n") || strings.Contains(out.String(), "10.9.0.2\n") {
		t.Errorf("a process in a sees the routes\n%s(%v)", out.String(), err)
	}
	if _, err := a.Start(exec.Command("/no/such/program")); err == nil || !strings.Contains(err.Error(), "start /no/such/program in a") {
		t.Errorf("a program that is not there: %v", err)
	}

	// Stop asks first.
	p, err := b.Start(exec.Command("cat", "/dev/zero"))
	if err == nil {
		err = p.Stop(time.Second)
	}
	if err == nil || !strings.Contains(err.Error(), "terminated") {
		t.Errorf("stopped with %v", err)
	}
	// What does not hear is killed.
	r, w := io.Pipe()
	deaf := exec.Command("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done")
	deaf.Stdout = w
	if p, err = b.Start(deaf); err != nil {
		t.Fatal(err)
	}
	r.Read(make([]byte, 6))
	go io.Copy(io.Discard, r)
	if err := p.Stop(50 * time.Millisecond); err == nil || !strings.Contains(err.Error(), "had to be killed") {
		t.Errorf("a deaf process stopped with %v", err)
	}

	// Close of a namespace ends what runs in it.
	hold := helper("hold")
	p, err = b.Start(hold)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	select {
	case <-p.Done():
	default:
		t.Error("a process outlives its namespace")
	}
	if len(b.procs) != 0 || len(a.procs) != 0 {
		t.Error("ended processes are remembered")
	}
	if p, err := b.Start(exec.Command("true")); err == nil {
		p.Wait()
		t.Error("a process was started in a namespace that is closed")
	}
}

func TestHTTP(t *testing.T) {
	a, b := namespaces(t)
	dir := t.TempDir()
	content := bytes.Repeat([]byte("galleon "), 100000)
	if err := os.WriteFile(dir+"/f", content, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := b.ServeFiles("[fd09::2]:80", dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := a.Fetch(t.Context(), "http://[fd09::2]/f")
	if err != nil || f.Bytes != int64(len(content)) || f.Took <= 0 {
		t.Errorf("fetched %+v (%v)", f, err)
	}
	if _, err := a.Fetch(t.Context(), "http://[fd09::2]/g"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := a.Fetch(t.Context(), "http://[fd09::2]/f"); err == nil {
		t.Error("a closed server answers")
	}
}

func TestStream(t *testing.T) {
	a, b := namespaces(t)
	s, err := StartStream(t.Context(), a, b, StreamConfig{To: netip.MustParseAddrPort("10.9.0.2:0"), Rate: 2000, For: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	r := s.Wait()
	if r.Received == 0 || r.Received+r.Overrun != r.Sent || r.Reordered+r.Duplicates != 0 || r.Loss() != 0 || r.Bytes != 200*r.Received {
		t.Errorf("over a cable: %v", r)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, err = StartStream(ctx, a, b, StreamConfig{To: netip.MustParseAddrPort("10.9.0.2:0")})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "packets arrive", func() bool { return s.Report().Received > 20 })
	cancel()
	s.Wait()
	if _, err := StartStream(t.Context(), a, b, StreamConfig{To: netip.MustParseAddrPort("10.9.0.3:0")}); err == nil {
		t.Error("received at an address of nobody")
	}
}

func TestCapture(t *testing.T) {
	a, b := namespaces(t)
	capture := func(cfg CaptureConfig) *Capture {
		t.Helper()
		cfg.Interface = "eth0"
		c, err := b.Capture(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	prefix := func(text ...string) (p []netip.Prefix) {
		for _, s := range text {
			p = append(p, netip.MustParsePrefix(s))
		}
		return p
	}
	all := capture(CaptureConfig{})
	v4 := capture(CaptureConfig{Prefixes: prefix("192.168.0.0/16", "10.9.0.1/32")})
	v6 := capture(CaptureConfig{Prefixes: prefix("fd09::/33")})
	none := capture(CaptureConfig{Prefixes: prefix("10.9.0.128/25", "fd09:0:0:1::/64", "10.8.0.0/16")})
	secret := capture(CaptureConfig{Contains: [][]byte{[]byte("attack at dawn")}})
	zero := capture(CaptureConfig{Prefixes: prefix("0.0.0.0/0"), Keep: 1})

	in, err := b.ListenPacket("udp", "10.9.0.2:5000")
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := a.Dial(t.Context(), "udp", "10.9.0.2:5000")
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	for _, word := range []string{"we attack at dawn", "we do not attack"} {
		if _, err := out.Write([]byte(word)); err != nil {
			t.Fatal(err)
		}
		in.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, _, err := in.ReadFrom(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := a.Ping(t.Context(), PingConfig{To: netip.MustParseAddr("fd09::2"), Count: 5, Interval: time.Millisecond}); err != nil || r.Received != 5 {
		t.Fatalf("%v (%v)", r, err)
	}
	for name, c := range map[string]struct {
		*Capture
		least, most uint64
	}{
		"everything":    {all, 12, 1000},
		"an address":    {v4, 2, 2 + 4},   // ARP is no IP, but its payload may look like one
		"IPv6":          {v6, 10, 10 + 4}, // and neighbour discovery
		"other subnets": {none, 0, 0},
		"the secret":    {secret, 1, 1},
		"all of IPv4":   {zero, 2, 2 + 4},
	} {
		r := c.Stop()
		if r.Matched < c.least || r.Matched > c.most || r.Dropped != 0 {
			t.Errorf("%s: %d packets matched of %d, %d dropped; want %d to %d", name, r.Matched, r.Seen, r.Dropped, c.least, c.most)
		}
		for _, k := range r.Kept {
			if name == "the secret" && (k.Outgoing || k.Packet[0] != 0x45) {
				t.Errorf("the secret was kept as %+v", k)
			}
		}
	}
	if _, err := b.Capture(CaptureConfig{Interface: "eth7"}); err == nil || !strings.Contains(err.Error(), "eth7 in b") {
		t.Errorf("capture on an interface that is not there: %v", err)
	}
	if _, err := b.Capture(CaptureConfig{Interface: "eth0", Prefixes: make([]netip.Prefix, maxPrefixes+1)}); err == nil {
		t.Error("a filter without bound was taken")
	}
}
