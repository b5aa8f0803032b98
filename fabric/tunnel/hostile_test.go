package tunnel

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/keys/keystest"
)

// raw dials with a TLS configuration that keeps to no rule of ours.
func (s *sim) raw(to *node, conf *tls.Config, qc *quic.Config) (*quic.Conn, func(), error) {
	conf.InsecureSkipVerify, conf.VerifyConnection = true, nil
	c, unplug := s.conn(netip.MustParseAddrPort("10.66.6.6:666"))
	tr := &quic.Transport{Conn: c}
	conn, err := tr.Dial(s.Context(), net.UDPAddrFromAddrPort(to.addr), conf, qc)
	return conn, func() {
		if conn != nil {
			_ = conn.CloseWithError(0, "")
		}
		_ = tr.Close()
		unplug()
	}, err
}

// Whoever cannot show a chain to our root gets a bare TLS alert, no words, and no handler ever runs.
func TestStrangersAreToldNothing(t *testing.T) {
	for _, c := range []struct {
		name  string
		conf  func(s *sim) *tls.Config
		alert quic.TransportErrorCode
		want  error // in the event; nil when TLS itself ends it
	}{
		{"another cluster", func(s *sim) *tls.Config {
			return keystest.New("atlantic", time.Now()).Join(1, time.Now(), time.Hour).TLS([]string{ALPNControl}, nil, false)
		}, alertBadCertificate, keys.ErrWrongCluster},
		{"another root under our name", func(s *sim) *tls.Config {
			forged := keystest.New("pacific", time.Now().Add(time.Second))
			cred := forged.Join(1, time.Now().Add(2*time.Second), time.Hour)
			cred.Chain[2] = s.cluster.Root.Certificate()
			return cred.TLS([]string{ALPNControl}, nil, false)
		}, alertBadCertificate, keys.ErrStranger},
		{"no certificate", func(*sim) *tls.Config { return &tls.Config{NextProtos: []string{ALPNControl}} }, 0x100 + 116, nil},
		{"two protocols, one of them joining", func(*sim) *tls.Config { return &tls.Config{NextProtos: []string{ALPNJoin, ALPNControl}} }, alertInternal, nil},
		{"no protocol", func(*sim) *tls.Config { return &tls.Config{NextProtos: []string{}} }, 0, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			inSim(t, func(s *sim) {
				b := s.start(2, withJoin(func(context.Context, netip.AddrPort, net.Conn) { s.Error("joined") }), func(c *Config) {
					c.Handlers = map[string]Handler{ALPNControl: func(context.Context, *Session) { s.Error("served") }}
				})
				conf := c.conf(s)
				conn, end, err := s.raw(b, conf, nil)
				defer end()
				if err == nil {
					<-conn.Context().Done()
					err = context.Cause(conn.Context())
				}
				var te *quic.TransportError
				if !errors.As(err, &te) || c.alert != 0 && (te.ErrorCode != c.alert || !te.Remote) {
					s.Errorf("%v", err)
				}
				for _, e := range s.events.all {
					if r, ok := e.(Refused); ok && c.want != nil && !errors.Is(r.Err, c.want) {
						s.Errorf("event: %v", r.Err)
					}
				}
				if n := count[Refused](s.events); c.want != nil && n != 1 {
					s.Errorf("%d events", n)
				}
				if len(b.Sessions()) != 0 {
					s.Error("there is a session")
				}
			})
		})
	}
}

// A client that wants to resume gets nothing to resume with, on any protocol.
func TestNoResumption(t *testing.T) {
	for _, alpn := range []string{ALPNControl, ALPNJoin} {
		inSim(t, func(s *sim) {
			b := s.start(2, withJoin(welcomeAll))
			cred := s.cluster.Join(1, time.Now(), time.Hour)
			conf := cred.TLS([]string{alpn}, nil, false)
			cache := &countingCache{}
			conf.ClientSessionCache, conf.SessionTicketsDisabled = cache, false
			conn, end, err := s.raw(b, conf, &quic.Config{MaxIncomingUniStreams: 1})
			if err != nil {
				s.Fatal(err)
			}
			<-time.After(time.Second)
			if cache.puts.Load() != 0 || conn.ConnectionState().TLS.DidResume || conn.ConnectionState().Used0RTT {
				s.Errorf("%s: %d tickets came", alpn, cache.puts.Load())
			}
			end()
		})
	}
}

type countingCache struct{ puts atomic.Int64 }

func (c *countingCache) Get(string) (*tls.ClientSessionState, bool) { return nil, false }
func (c *countingCache) Put(_ string, s *tls.ClientSessionState) {
	if s != nil {
		c.puts.Add(1)
	}
}

// What a revoked router sends along with the end of its handshake reaches nobody.
func TestRevokedPeersDataIsNotServed(t *testing.T) {
	inSim(t, func(s *sim) {
		b := s.start(2, func(c *Config) {
			c.Handlers = map[string]Handler{ALPNControl: func(context.Context, *Session) { s.Error("served") }}
		})
		cred := s.cluster.Join(1, time.Now(), time.Hour)
		s.cluster.Revoke(1)
		conn, end, err := s.raw(b, cred.TLS([]string{ALPNControl}, nil, false), &quic.Config{MaxIncomingUniStreams: 1})
		defer end()
		if err != nil {
			s.Fatal(err)
		}
		q, err := conn.OpenStream()
		if err != nil {
			s.Fatal(err)
		}
		_, _ = q.Write([]byte("transfer all the gold"))
		<-conn.Context().Done()
		var app *quic.ApplicationError
		if err := context.Cause(conn.Context()); !errors.As(err, &app) || Code(app.ErrorCode) != CodeRevoked {
			s.Errorf("%v", err)
		}
	})
}

// A router in the place of the one that was dialled can neither welcome nor be spoken to.
func TestDiallerRefusesAnImpostor(t *testing.T) {
	inSim(t, func(s *sim) {
		a := s.start(1)
		// A stranger's server: it says yes to everything.
		other := keystest.New("atlantic", time.Now()).Join(2, time.Now(), time.Hour)
		c, unplug := s.conn(simAddr(2))
		defer unplug()
		tr := &quic.Transport{Conn: c}
		defer tr.Close()
		conf := other.TLS([]string{ALPNControl}, nil, true)
		conf.VerifyConnection = nil
		l, err := tr.Listen(conf, nil)
		if err != nil {
			s.Fatal(err)
		}
		_, err = a.Dial(s.Context(), 2, simAddr(2), ALPNControl)
		if !errors.Is(err, keys.ErrWrongCluster) {
			s.Errorf("%v", err)
		}
		_ = l.Close()
	})
}

// A peer of ours that is silent after the handshake, instead of welcoming, costs its time and no more.
func TestDialWaitsNotForeverForTheWelcome(t *testing.T) {
	inSim(t, func(s *sim) {
		a := s.start(1)
		cred := s.cluster.Join(2, time.Now(), time.Hour)
		c, unplug := s.conn(simAddr(2))
		defer unplug()
		tr := &quic.Transport{Conn: c}
		l, err := tr.Listen(cred.TLS([]string{ALPNControl}, nil, true), nil)
		if err != nil {
			s.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			conn, err := l.Accept(s.Context())
			if err == nil {
				<-conn.Context().Done()
			}
		})
		began := time.Now()
		_, err = a.Dial(s.Context(), 2, simAddr(2), ALPNControl)
		if took := time.Since(began); !errors.Is(err, ErrUnreachable) || took > welcomeTimeout+2*rtt {
			s.Errorf("%v after %v", err, took)
		}
		wg.Wait()
		_ = l.Close()
		_ = tr.Close()
	})
}
