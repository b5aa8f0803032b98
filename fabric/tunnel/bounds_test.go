package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Open waits for a free slot, and gives up with its context.
func TestOpenWaitsForASlot(t *testing.T) {
	inSim(t, func(s *sim) {
		few := func(c *Config) {
			c.Limits = map[string]Limits{ALPNControl: {Streams: 2, StreamWindow: 1 << 20, SessionWindow: 1 << 20}}
		}
		a, b := s.start(1, few), s.start(2, few)
		x := s.dial(a, b, ALPNControl)
		var open []net.Conn
		for range 2 {
			c, err := x.Open(s.Context())
			if err != nil {
				s.Fatal(err)
			}
			open = append(open, c)
		}
		ctx, cancel := context.WithTimeout(s.Context(), time.Second)
		defer cancel()
		if _, err := x.Open(ctx); !errors.Is(err, context.DeadlineExceeded) {
			s.Errorf("a third: %v", err)
		}
		_ = open[0].Close()
		if c, err := x.Open(s.Context()); err != nil {
			s.Errorf("after one was closed: %v", err)
		} else {
			_ = c.Close()
		}
		_ = open[1].Close()
	})
}

// A peer that does not keep to the limit of its protocol has its streams reset, and the session goes on.
func TestStreamsBeyondTheLimitAreReset(t *testing.T) {
	inSim(t, func(s *sim) {
		const most = 3
		var held atomic.Int64
		hoard := func(ctx context.Context, x *Session) {
			for {
				c, err := x.Accept(ctx)
				if err != nil {
					return
				}
				held.Add(1)
				go func() { <-ctx.Done(); _ = c.Close() }()
			}
		}
		a, b := s.start(1), s.start(2, func(c *Config) {
			c.Limits = map[string]Limits{ALPNControl: {Streams: most, StreamWindow: 1 << 20, SessionWindow: 1 << 20}}
			// Another protocol's limit is what QUIC itself enforces.
			c.Handlers = map[string]Handler{ALPNControl: hoard, ALPNRepl: hoard}
		})
		x := s.dial(a, b, ALPNControl)
		var refused int
		for range 20 {
			c, err := x.Open(s.Context())
			if err != nil {
				s.Fatal(err)
			}
			defer c.Close()
			_, _ = io.WriteString(c, "x")
			_ = c.SetReadDeadline(time.Now().Add(time.Second))
			if _, err := c.Read(make([]byte, 1)); errors.Is(err, ErrBusy) {
				refused++
			}
		}
		if held.Load() != acceptSlack*most || refused != 20-acceptSlack*most {
			s.Errorf("%d streams held, %d refused; want %d held", held.Load(), refused, acceptSlack*most)
		}
		if n := count[StreamRefused](s.events); n != refused {
			s.Errorf("%d events", n)
		}
	})
}

// Peers that send into streams that nobody reads make the endpoint hold no more than its budget, and leave room for others.
func TestReceiveBudgetHolds(t *testing.T) {
	inSim(t, func(s *sim) {
		const budget = 4 << 20
		stall := func(ctx context.Context, x *Session) { <-ctx.Done() }
		reading := func(ctx context.Context, x *Session) { // fast, so that windows want to grow
			for {
				c, err := x.Accept(ctx)
				if err != nil {
					return
				}
				go func() { _, _ = io.Copy(io.Discard, c); _ = c.Close() }()
			}
		}
		server := s.start(100, func(c *Config) {
			c.ReceiveBudget = budget
			c.Handlers = map[string]Handler{ALPNControl: stall, ALPNRepl: reading}
		})
		var wg sync.WaitGroup
		var received atomic.Int64
		for id := topo.RouterID(1); id <= 6; id++ {
			n := s.start(id)
			x := s.dial(n, server, ALPNRepl)
			wg.Go(func() {
				c, err := x.Open(s.Context())
				if err != nil {
					s.Error(err)
					return
				}
				_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
				written, _ := c.Write(make([]byte, 64<<20))
				received.Add(int64(written))
				_ = c.Close()
			})
		}
		wg.Wait()
		used := server.budget.load()
		if used > budget || used < budget/2 {
			s.Errorf("%d bytes of windows, budget %d", used, budget)
		}
		if count[BudgetSpent](s.events) == 0 {
			s.Error("nobody was told that the budget is spent")
		}
		if received.Load() < 8<<20 {
			s.Errorf("only %d bytes passed", received.Load())
		}
		late := s.start(50)
		x := s.dial(late, server, ALPNControl)
		x.Close(CodeDone, "bye")
		for _, x := range server.Sessions() {
			x.Close(CodeDone, "bye")
		}
		<-time.After(time.Second)
		if used := server.budget.load(); used != 0 {
			s.Errorf("%d bytes of windows without a session", used)
		}
	})
}

func (b *budget) load() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// A window never grows past the limit of its own protocol, though QUIC is configured with the largest of all.
func TestWindowIsOfTheProtocol(t *testing.T) {
	b := newBudget(1<<30, func(int64) {})
	a, ok := b.open(initialSessionWindow)
	if !ok {
		t.Fatal("no room")
	}
	c := new(quic.Conn)
	if b.grow(c, 1) {
		t.Error("grew before it was known whose it is")
	}
	b.attach(a, c, controlLimits.SessionWindow)
	for b.grow(c, uint64(a.window)) {
	}
	if a.window != controlLimits.SessionWindow {
		t.Errorf("window is %d, want %d", a.window, controlLimits.SessionWindow)
	}
	if b.grow(c, 1<<63) {
		t.Error("grew by a number that overflows")
	}
	b.close(a)
	b.close(a)
	if b.used != 0 || len(b.conns) != 0 {
		t.Errorf("%d bytes, %d connections left", b.used, len(b.conns))
	}
	b.attach(a, c, 1)
	if len(b.conns) != 0 {
		t.Error("attached after its end")
	}
}

// A peer that dials again and again keeps its newest sessions.
func TestSessionsPerPeer(t *testing.T) {
	inSim(t, func(s *sim) {
		a, b := s.start(1), s.start(2)
		var all []*Session
		for range maxSessionsPerPeer + 2 {
			all = append(all, s.dial(a, b, ALPNControl))
			<-time.After(rtt)
		}
		alive := 0
		for i, x := range all {
			if x.Err() == nil {
				alive++
			} else if i >= 2 {
				s.Errorf("session %d ended: %v", i, x.Err())
			}
		}
		if alive != maxSessionsPerPeer {
			s.Errorf("%d alive", alive)
		}
		other := s.dial(a, b, ALPNRaft)
		if other.Err() != nil || all[5].Err() != nil {
			s.Error("another protocol's sessions count too")
		}
	})
}

// Many clients that begin a handshake and never finish it make the endpoint ask for a Retry, and a good router still gets in.
func TestHandshakeFlood(t *testing.T) {
	inSim(t, func(s *sim) {
		b := s.start(2)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for i := range 300 {
			conn, unplug := s.conn(netip.AddrPortFrom(netip.AddrFrom4([4]byte{172, 16, byte(i >> 4), byte(i)}), 1))
			tr := &quic.Transport{Conn: conn}
			wg.Go(func() {
				defer unplug()
				defer tr.Close()
				ctx, cancel := context.WithTimeout(s.Context(), oneWay+time.Millisecond)
				defer cancel()
				conf := b.cred.TLS([]string{ALPNControl}, nil, false)
				_, _ = tr.Dial(ctx, net.UDPAddrFromAddrPort(b.addr), conf, nil)
				<-stop
			})
		}
		<-time.After(oneWay + 10*time.Millisecond)
		if n := b.door.handshakes.Load(); n == 0 || n > retryAbove {
			s.Errorf("%d handshakes of clients that have shown nothing, want at most %d", n, retryAbove)
		}
		began := time.Now()
		a := s.start(1)
		s.dial(a, b, ALPNControl)
		if took := time.Since(began); took != 3*rtt {
			s.Errorf("dial under load took %v, want three round trips, one of them for the Retry", took)
		}
		close(stop)
		wg.Wait()
		<-time.After(3 * handshakeTimeout)
		if n := b.door.handshakes.Load(); n != 0 {
			s.Errorf("%d handshakes under way when all have ended", n)
		}
		if used := b.budget.load(); used != initialSessionWindow {
			s.Errorf("%d bytes of windows for one session", used)
		}
	})
}

func TestSources(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := newSources()
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.200")
	for i := range sourceBurst {
		if !s.allow([]netip.Addr{a, b}[i%2], now) {
			t.Fatalf("refused at %d", i)
		}
	}
	if s.allow(b, now) {
		t.Error("a burst is without end")
	}
	if !s.allow(netip.MustParseAddr("192.0.3.1"), now) || !s.allow(netip.MustParseAddr("2001:db8::1"), now) {
		t.Error("others pay for it")
	}
	if !s.allow(netip.MustParseAddr("::ffff:192.0.2.1"), now.Add(time.Second/sourceRate)) || s.allow(a, now.Add(time.Second/sourceRate)) {
		t.Error("does not refill by one in its time")
	}
	for i := range maxSources + 10 {
		s.allow(netip.MustParseAddr(fmt.Sprintf("10.%d.%d.1", i>>8, i&255)), now.Add(time.Second))
	}
	if len(s.buckets) > maxSources {
		t.Errorf("%d buckets", len(s.buckets))
	}
	if !s.allow(netip.MustParseAddr("203.0.113.1"), now.Add(time.Hour)) || len(s.buckets) > 10 {
		t.Errorf("after an hour of peace: %d buckets", len(s.buckets))
	}
	if !s.allow(netip.Addr{}, now) {
		t.Error("no address at all is refused at once")
	}
}

// The retry rule by source: whoever uses up the bucket without having shown its address is asked to.
func TestDoorAsksForRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(newBudget(1<<30, func(int64) {}))
		from := &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1}
		for range sourceBurst {
			if d.wantsRetry(from) {
				t.Fatal("asked at once")
			}
		}
		if !d.wantsRetry(from) {
			t.Error("not asked after the burst")
		}
		shown := &quic.ClientInfo{RemoteAddr: from, AddrVerified: true}
		for i := range sourceBurst {
			ctx, cancel := context.WithCancel(t.Context())
			if _, err := d.enter(ctx, shown); err != nil {
				t.Fatalf("refused at %d though it has shown its address: %v", i, err)
			}
			cancel()
			synctest.Wait()
		}
		if _, err := d.enter(t.Context(), shown); err == nil {
			t.Error("a source that has shown its address may do as it likes")
		}
		if d.handshakes.Load() != 0 || d.budget.load() != 0 {
			t.Errorf("%d handshakes, %d bytes left", d.handshakes.Load(), d.budget.load())
		}
	})
}
