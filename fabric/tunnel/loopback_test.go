package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/keys/keystest"
	"github.com/galleon-net/galleon/fabric/topo"
)

// Real sockets and real time: what the simulation cannot show is that the fast paths of quic-go work too, and that
// nothing of ours is left when all is closed.
func TestLoopback(t *testing.T) {
	before := ours()
	cluster := keystest.New("pacific", time.Now())
	start := func(r topo.RouterID, ip string) (*Endpoint, func()) {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 0)))
		if err != nil {
			t.Fatal(err)
		}
		cred := cluster.Join(r, time.Now(), time.Hour)
		e, err := Listen(Config{Name: "test", Conn: conn, Key: cred.Key, Verify: cluster.Verify, Join: welcomeAll,
			Credential: func() (*keys.Credential, error) { return cred, nil }, Handlers: map[string]Handler{ALPNRepl: echo}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		return e, func() {
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
			_ = conn.Close()
		}
	}
	for _, ip := range []string{"127.0.0.1", "::1"} {
		t.Run(ip, func(t *testing.T) {
			if ip == "::1" && !hasIPv6() {
				t.Skip("this machine has no IPv6 loopback")
			}
			a, endA := start(1, ip)
			b, endB := start(2, ip)
			defer endA()
			defer endB()
			pool := NewPool(PoolConfig{Endpoint: a, Addrs: func(topo.RouterID) []netip.AddrPort { return []netip.AddrPort{b.LocalAddr()} }})
			defer pool.Close()
			var wg sync.WaitGroup
			for i := range 8 {
				wg.Go(func() {
					if err := pump(t.Context(), pool, 4<<20, byte(i)); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if n := len(b.Sessions()); n != 1 {
				t.Errorf("%d sessions", n)
			}
			c, err := DialJoin(t.Context(), nil, b.LocalAddr(), cluster.Root.Hash())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(c, "r9")
			_ = c.(interface{ CloseWrite() error }).CloseWrite()
			if got, err := io.ReadAll(c); err != nil || string(got) != "welcome, r9" {
				t.Errorf("%q, %v", got, err)
			}
			_ = c.Close()
		})
	}
	deadline := time.Now().Add(10 * time.Second)
	for now := ours(); ; now = ours() {
		if len(now) <= len(before) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines are left:\n%s", len(now)-len(before), strings.Join(now, "\n\n"))
		}
		runtime.Gosched()
	}
}

// pump sends n bytes through an echo and checks what comes back.
func pump(ctx context.Context, p *Pool, n int, seed byte) error {
	c, err := p.Open(ctx, 2, ALPNRepl)
	if err != nil {
		return err
	}
	defer c.Close()
	sent := make(chan error, 1)
	go func() {
		buf := make([]byte, 32<<10)
		for i := 0; i < n; i += len(buf) {
			for j := range buf {
				buf[j] = byte(i>>15) + seed
			}
			if _, err := c.Write(buf); err != nil {
				sent <- err
				return
			}
		}
		sent <- c.(*Stream).CloseWrite()
	}()
	got := make([]byte, 32<<10)
	for i := 0; i < n; i += len(got) {
		if _, err := io.ReadFull(c, got); err != nil {
			return err
		}
		for j := range got {
			if got[j] != byte(i>>15)+seed {
				return fmt.Errorf("byte %d is wrong", i+j)
			}
		}
	}
	if m, err := c.Read(got); m != 0 || err != io.EOF {
		return fmt.Errorf("after the end: %d, %v", m, err)
	}
	return <-sent
}

func hasIPv6() bool {
	c, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// ours lists the goroutines that run this package or quic-go, those of the test itself apart.
func ours() (all []string) {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	for g := range strings.SplitSeq(string(buf), "\n\n") {
		if (strings.Contains(g, "quic-go") || strings.Contains(g, "fabric/tunnel.")) && !strings.Contains(g, "testing.tRunner") {
			all = append(all, g)
		}
	}
	return all
}
