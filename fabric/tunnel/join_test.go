package tunnel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/keys/keystest"
)

// joinAddr is where the router that joins is.
var joinAddr = netip.MustParseAddrPort("10.99.0.1:9000")

func (s *sim) join(b *node, hash [32]byte) (net.Conn, func(), error) {
	pc, unplug := s.conn(joinAddr)
	c, err := DialJoin(s.Context(), pc, b.addr, hash)
	return c, unplug, err
}

func withJoin(h JoinHandler) func(*Config) { return func(c *Config) { c.Join = h } }

// welcomeAll answers a request, read to its end.
func welcomeAll(_ context.Context, _ netip.AddrPort, c net.Conn) {
	req, err := io.ReadAll(c)
	if err != nil {
		return
	}
	_, _ = c.Write(append([]byte("welcome, "), req...))
}

func TestJoin(t *testing.T) {
	inSim(t, func(s *sim) {
		b := s.start(2, withJoin(func(ctx context.Context, from netip.AddrPort, c net.Conn) {
			if from != joinAddr {
				s.Errorf("from %v", from)
			}
			welcomeAll(ctx, from, c)
		}))
		c, unplug, err := s.join(b, s.cluster.Root.Hash())
		if err != nil {
			s.Fatal(err)
		}
		defer unplug()
		_, _ = io.WriteString(c, "r7")
		_ = c.(interface{ CloseWrite() error }).CloseWrite()
		got, err := io.ReadAll(c)
		if err != nil || string(got) != "welcome, r7" {
			s.Errorf("%q, %v", got, err)
		}
		_ = c.Close()
		<-time.After(rtt)
		if n := len(b.joins); n != 0 {
			s.Errorf("%d joins under way after it", n)
		}
	})
}

func TestJoinRefusals(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(s *sim) error
		want error
		says string
	}{
		{"the token is of another cluster", func(s *sim) error {
			_, unplug, err := s.join(s.start(2, withJoin(welcomeAll)), keystest.New("atlantic", time.Now()).Root.Hash())
			unplug()
			return err
		}, ErrWrongAuthority, "seed addresses"},
		{"the router takes no part in joining", func(s *sim) error {
			_, unplug, err := s.join(s.start(2), s.cluster.Root.Hash())
			unplug()
			return err
		}, ErrNotServed, ""},
		{"nobody is there", func(s *sim) error {
			b := s.start(2, withJoin(welcomeAll))
			s.cutOff(b.addr, true)
			_, unplug, err := s.join(b, s.cluster.Root.Hash())
			unplug()
			s.cutOff(b.addr, false)
			return err
		}, ErrUnreachable, "UDP"},
		{"the seed's certificate expired", func(s *sim) error {
			b := s.startAs(2, s.cluster.Join(2, time.Now(), time.Hour), withJoin(welcomeAll))
			<-time.After(2 * time.Hour)
			_, unplug, err := s.join(b, s.cluster.Root.Hash())
			unplug()
			return err
		}, nil, "check the clock"},
		{"a request without end", func(s *sim) error {
			said := make(chan error, 1)
			b := s.start(2, withJoin(func(_ context.Context, _ netip.AddrPort, c net.Conn) {
				n, err := io.Copy(io.Discard, c)
				if n > maxJoinBytes {
					s.Errorf("%d bytes were read", n)
				}
				said <- err
			}))
			c, unplug, err := s.join(b, s.cluster.Root.Hash())
			if err != nil {
				return err
			}
			_, _ = io.Copy(c, bytes.NewReader(make([]byte, 1<<20)))
			_ = c.Close()
			unplug()
			return <-said
		}, errJoinTooLong, ""},
		{"a client that says nothing", func(s *sim) error {
			ended := make(chan struct{})
			b := s.start(2, withJoin(func(ctx context.Context, _ netip.AddrPort, c net.Conn) {
				s.Error("served")
				close(ended)
			}))
			c, unplug, err := s.join(b, s.cluster.Root.Hash())
			if err != nil {
				return err
			}
			defer unplug()
			defer c.Close()
			<-time.After(joinTime + time.Second)
			if n := len(b.joins); n != 0 {
				s.Errorf("%d joins under way after its time", n)
			}
			_, err = c.Read(make([]byte, 1))
			return err
		}, nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			inSim(t, func(s *sim) {
				err := c.do(s)
				if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
					s.Fatalf("error %v\nwant %v, with %q in it", err, c.want, c.says)
				}
				s.Log(err)
			})
		})
	}
}

// A client can neither stay longer than its time nor come with more than a few others.
func TestJoinBounds(t *testing.T) {
	inSim(t, func(s *sim) {
		b := s.start(2, withJoin(func(ctx context.Context, _ netip.AddrPort, c net.Conn) {
			_, err := io.ReadAll(c)
			if err == nil {
				s.Error("a request that never ended was read")
			}
		}))
		var wg sync.WaitGroup
		var mu sync.Mutex
		busy := 0
		for i := range maxJoins + 3 {
			pc, unplug := s.conn(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 98, byte(i), 1}), 9000))
			wg.Go(func() {
				defer unplug()
				c, err := DialJoin(s.Context(), pc, b.addr, s.cluster.Root.Hash())
				if err != nil {
					s.Error(err)
					return
				}
				defer c.Close()
				_, _ = io.WriteString(c, "x")
				_ = c.SetDeadline(time.Time{})
				began := time.Now()
				_, err = c.Read(make([]byte, 1))
				if took := time.Since(began); took > joinTime+joinLinger+rtt {
					s.Errorf("held for %v", took)
				}
				if errors.Is(err, ErrBusy) {
					mu.Lock()
					busy++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if busy != 3 {
			s.Errorf("%d were told to come again, want 3", busy)
		}
		<-time.After(joinLinger)
		if n := len(b.joins); n != 0 {
			s.Errorf("%d joins under way after all have left", n)
		}
	})
}
