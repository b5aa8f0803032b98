package tunnel

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
)

// pool makes a pool of a's that reaches routers at the given addresses.
func (s *sim) pool(a *node, addrs map[topo.RouterID][]netip.AddrPort) *Pool {
	p := NewPool(PoolConfig{Endpoint: a.Endpoint, Emit: s.events.emit, Addrs: func(r topo.RouterID) []netip.AddrPort { return addrs[r] }})
	s.Cleanup(p.Close)
	return p
}

// say opens a stream through the pool and has a message sent back.
func (s *sim) say(p *Pool, to topo.RouterID, msg string) error {
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	c, err := p.Open(ctx, to, ALPNControl)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.WriteString(c, msg); err != nil {
		return err
	}
	got := make([]byte, len(msg))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if string(got) != msg {
		return fmt.Errorf("%q came back", got)
	}
	return nil
}

// Callers that come at once share one dial, and later ones its session.
func TestPoolSharesOneSession(t *testing.T) {
	inSim(t, func(s *sim) {
		a, b := s.start(1), s.start(2)
		p := s.pool(a, map[topo.RouterID][]netip.AddrPort{2: {b.addr, b.addr}})
		for range 2 {
			var wg sync.WaitGroup
			for i := range 20 {
				wg.Go(func() {
					if err := s.say(p, 2, fmt.Sprint(i)); err != nil {
						s.Error(err)
					}
				})
			}
			wg.Wait()
		}
		if n := len(b.Sessions()); n != 1 {
			s.Errorf("%d sessions", n)
		}
		if got, ok := p.RTT(2); !ok || got < rtt || got > rtt*3/2 {
			s.Errorf("RTT %v %v", got, ok)
		}
		if _, ok := p.RTT(3); ok {
			s.Error("an RTT to nobody")
		}
	})
}

// An address that does not answer delays the next by half a second, one that refuses not at all.
func TestPoolTriesAddressesInOrder(t *testing.T) {
	dead1, dead2 := netip.MustParseAddrPort("10.50.0.1:7000"), netip.MustParseAddrPort("10.50.0.2:7000")
	for _, c := range []struct {
		name  string
		addrs func(b, other *node) []netip.AddrPort
		took  time.Duration
	}{
		{"first answers", func(b, _ *node) []netip.AddrPort { return []netip.AddrPort{b.addr, dead1} }, 2 * rtt},
		{"first is dead", func(b, _ *node) []netip.AddrPort { return []netip.AddrPort{dead1, b.addr} }, addressHead + 2*rtt},
		{"two are dead", func(b, _ *node) []netip.AddrPort { return []netip.AddrPort{dead1, dead2, b.addr} }, 2*addressHead + 2*rtt},
		{"first is another router", func(b, o *node) []netip.AddrPort { return []netip.AddrPort{o.addr, b.addr} }, rtt + 2*rtt},
	} {
		t.Run(c.name, func(t *testing.T) {
			inSim(t, func(s *sim) {
				a, b, other := s.start(1), s.start(2), s.start(3)
				p := s.pool(a, map[topo.RouterID][]netip.AddrPort{2: c.addrs(b, other)})
				began := time.Now()
				x, err := p.Session(s.Context(), 2, ALPNControl)
				if err != nil {
					s.Fatal(err)
				}
				if took := time.Since(began); took < c.took || took > c.took+20*time.Millisecond {
					s.Errorf("took %v, want %v", took, c.took)
				}
				if x.RemoteAddr() != b.addr {
					s.Errorf("reached at %v", x.RemoteAddr())
				}
				<-time.After(addressTime + idleTimeout)
				if n := len(b.Sessions()); n != 1 || x.Err() != nil {
					s.Errorf("%d sessions in the end, %v", n, x.Err())
				}
			})
		})
	}
}

// When the address in use goes dead, the pool comes back by the next one.
func TestPoolMovesToAnotherAddress(t *testing.T) {
	inSim(t, func(s *sim) {
		a, b := s.start(1), s.start(2)
		// The same router is also reached at another address, as over the overlay: another socket of the same router.
		again, unplug := s.conn(netip.MustParseAddrPort("10.60.0.2:7000"))
		defer unplug()
		over, err := Listen(Config{Name: "over", Conn: again, Verify: s.cluster.Verify, Handlers: map[string]Handler{ALPNControl: echo},
			Credential: func() (*keys.Credential, error) { return b.cred, nil }})
		if err != nil {
			s.Fatal(err)
		}
		ctx, cancel := context.WithCancel(s.Context())
		done := make(chan error, 1)
		go func() { done <- over.Run(ctx) }()
		defer func() { cancel(); <-done; _ = over.Close() }()

		p := s.pool(a, map[topo.RouterID][]netip.AddrPort{2: {b.addr, over.LocalAddr()}})
		if err := s.say(p, 2, "by the first"); err != nil {
			s.Fatal(err)
		}
		s.cutOff(b.addr, true)
		began := time.Now()
		for s.say(p, 2, "by the second") != nil {
		}
		if took := time.Since(began); took > silence+2*watchPeriod+addressHead+4*rtt {
			s.Errorf("took %v", took)
		}
		if n := count[Silent](s.events); n != 1 {
			s.Errorf("told %d times of the silence", n)
		}
		s.cutOff(b.addr, false)
	})
}

// A peer that cannot be reached is tried again, ever more rarely but never more rarely than every two seconds and a bit; and
// callers in between are told at once.
func TestPoolBacksOff(t *testing.T) {
	inSim(t, func(s *sim) {
		a := s.start(1)
		p := s.pool(a, map[topo.RouterID][]netip.AddrPort{2: {simAddr(2)}})
		end := time.Now().Add(time.Minute)
		calls := 0
		for time.Now().Before(end) {
			began := time.Now()
			_, err := p.Open(s.Context(), 2, ALPNControl)
			if !errors.Is(err, ErrUnreachable) {
				s.Fatal(err)
			}
			if took := time.Since(began); took > addressTime {
				s.Fatalf("a call took %v", took)
			}
			calls++
			<-time.After(10 * time.Millisecond)
		}
		if n := count[DialFailed](s.events); n < 10 || n > 20 {
			s.Errorf("%d dials in a minute, by %d calls", n, calls)
		}
		b := s.start(2)
		began := time.Now()
		for s.say(p, 2, "back") != nil {
			<-time.After(10 * time.Millisecond)
		}
		if took := time.Since(began); took > backoffMax*6/5+4*rtt {
			s.Errorf("noticed %v after it came back", took)
		}
		b.end()
		if _, err := p.Open(s.Context(), 9, ALPNControl); err == nil || !strings.Contains(err.Error(), "no address") {
			s.Errorf("a router of which nothing is known: %v", err)
		}
	})
}

func TestPoolSaysWhyItIsRefused(t *testing.T) {
	inSim(t, func(s *sim) {
		a, b := s.start(1, believing), s.start(2)
		p := s.pool(a, map[topo.RouterID][]netip.AddrPort{2: {b.addr, simAddr(77)}})
		if err := s.say(p, 2, "hello"); err != nil {
			s.Fatal(err)
		}
		s.cluster.Revoke(1)
		if gone := b.Recheck(); len(gone) != 1 {
			s.Errorf("closed %v", gone)
		}
		<-time.After(rtt)
		if err := s.say(p, 2, "hello"); !errors.Is(err, keys.ErrRevoked) {
			s.Errorf("%v", err)
		}
		if gone := p.Recheck(); len(gone) != 0 {
			s.Errorf("our own recheck closed %v", gone)
		}
	})
}

// A caller's patience ends without ending the dial for others.
func TestPoolCallerGivesUp(t *testing.T) {
	inSim(t, func(s *sim) {
		a, b := s.start(1), s.start(2)
		p := s.pool(a, map[topo.RouterID][]netip.AddrPort{2: {b.addr}})
		ctx, cancel := context.WithTimeout(s.Context(), oneWay)
		defer cancel()
		if _, err := p.Open(ctx, 2, ALPNControl); !errors.Is(err, context.DeadlineExceeded) {
			s.Errorf("%v", err)
		}
		began := time.Now()
		if err := s.say(p, 2, "still dialling"); err != nil {
			s.Error(err)
		}
		if took := time.Since(began); took > 3*rtt {
			s.Errorf("took %v, so it began anew", took)
		}
	})
}

func TestPoolCloseEndsDials(t *testing.T) {
	inSim(t, func(s *sim) {
		a := s.start(1)
		p := s.pool(a, map[topo.RouterID][]netip.AddrPort{2: {simAddr(2), simAddr(3)}})
		got := make(chan error, 1)
		go func() {
			_, err := p.Open(s.Context(), 2, ALPNControl)
			got <- err
		}()
		<-time.After(time.Second)
		began := time.Now()
		p.Close()
		if err := <-got; !errors.Is(err, ErrClosed) || time.Since(began) > 0 {
			s.Errorf("%v after %v", err, time.Since(began))
		}
		if _, err := p.Open(s.Context(), 2, ALPNControl); !errors.Is(err, ErrClosed) {
			s.Errorf("%v", err)
		}
	})
}

func TestPoolForgets(t *testing.T) {
	p := NewPool(PoolConfig{Addrs: func(topo.RouterID) []netip.AddrPort { return nil }})
	for r := topo.RouterID(1); r < 3*maxPoolEntries; r++ {
		_, _ = p.Session(t.Context(), r, ALPNControl)
	}
	if n := len(p.entries); n > maxPoolEntries {
		t.Errorf("%d entries", n)
	}
	p.Close()
}

// An idle session that lives is not dialled anew, and one that is silent everywhere is kept until it ends: it may recover.
func TestPoolKeepsWhatItHas(t *testing.T) {
	inSim(t, func(s *sim) {
		a, b := s.start(1), s.start(2)
		p := s.pool(a, map[topo.RouterID][]netip.AddrPort{2: {b.addr}})
		if err := s.say(p, 2, "hello"); err != nil {
			s.Fatal(err)
		}
		<-time.After(time.Hour)
		if n := count[Silent](s.events); n != 0 {
			s.Errorf("an idle session was taken for silent %d times", n)
		}
		s.cutOff(b.addr, true)
		<-time.After(silence + 3*time.Second)
		s.cutOff(b.addr, false)
		<-time.After(addressTime)
		if n := count[Silent](s.events); n == 0 {
			s.Error("silence was not noticed")
		}
		if err := s.say(p, 2, "again"); err != nil {
			s.Error(err)
		}
		if n := len(b.Sessions()); n != 1 {
			s.Errorf("%d sessions", n)
		}
	})
}
