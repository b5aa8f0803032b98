package tunnel

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"github.com/galleon-net/galleon/fabric/keys"
)

func TestListenRefuses(t *testing.T) {
	inSim(t, func(s *sim) {
		pc, unplug := s.conn(simAddr(1))
		defer unplug()
		good := Config{Conn: pc, Credential: func() (*keys.Credential, error) { return nil, keys.ErrNoCredential }}
		for name, change := range map[string]func(*Config){
			"no conn":       func(c *Config) { c.Conn = nil },
			"no credential": func(c *Config) { c.Credential = nil },
			"small budget":  func(c *Config) { c.ReceiveBudget = 1 },
			"no sessions":   func(c *Config) { c.MaxSessions = -1 },
			"no streams": func(c *Config) {
				c.Limits = map[string]Limits{ALPNPair: {StreamWindow: 1 << 20, SessionWindow: 1 << 20}}
			},
			"small window": func(c *Config) { c.Limits = map[string]Limits{ALPNPair: {Streams: 1}} },
			"no handler":   func(c *Config) { c.Handlers = map[string]Handler{ALPNPair: nil} },
			"join handled": func(c *Config) { c.Handlers = map[string]Handler{ALPNJoin: echo} },
		} {
			cfg := good
			change(&cfg)
			if e, err := Listen(cfg); err == nil {
				_ = e.Close()
				s.Errorf("%s: accepted", name)
			}
		}
	})
}

// An endpoint can be closed without having run, twice, and does not run afterwards.
func TestCloseWithoutRun(t *testing.T) {
	inSim(t, func(s *sim) {
		pc, unplug := s.conn(simAddr(1))
		defer unplug()
		cred := s.cluster.Join(1, s.cluster.Root.NotAfter().Add(-keys.RootLife), keys.Backdate)
		e, err := Listen(Config{Conn: pc, Credential: func() (*keys.Credential, error) { return cred, nil }})
		if err != nil {
			s.Fatal(err)
		}
		b := s.start(2)
		x, err := e.Dial(s.Context(), 2, b.addr, ALPNControl)
		if err != nil {
			s.Fatal(err)
		}
		for _, bad := range []netip.AddrPort{{}, netip.AddrPortFrom(b.addr.Addr(), 0)} {
			if _, err := e.Dial(s.Context(), 2, bad, ALPNControl); err == nil {
				s.Errorf("dialled %v", bad)
			}
		}
		for range 2 {
			if err := e.Close(); err != nil {
				s.Error(err)
			}
		}
		if x.Err() == nil {
			s.Error("a session outlived its endpoint")
		}
		if err := e.Run(s.Context()); err != nil {
			s.Errorf("Run after Close: %v", err)
		}
	})
}

// When the socket dies under the endpoint, Run says so rather than wait for ever.
func TestRunEndsWithItsSocket(t *testing.T) {
	inSim(t, func(s *sim) {
		pc, unplug := s.conn(simAddr(1))
		e, err := Listen(Config{Conn: pc, Credential: func() (*keys.Credential, error) { return nil, keys.ErrNoCredential }})
		if err != nil {
			s.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- e.Run(s.Context()) }()
		unplug()
		if err := <-done; err == nil || errors.Is(err, context.Canceled) {
			s.Errorf("%v", err)
		}
		_ = e.Close()
	})
}
