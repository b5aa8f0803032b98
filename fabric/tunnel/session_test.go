package tunnel

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/keys/keystest"
)

func TestSessionAndStream(t *testing.T) {
	inSim(t, func(s *sim) {
		a, b := s.start(1), s.start(2)
		began := time.Now()
		x := s.dial(a, b, ALPNControl)
		if took := time.Since(began); took != 2*rtt {
			s.Errorf("dial took %v, want two round trips: handshake and welcome", took)
		}
		if x.Peer() != s.cluster.Identity(2) || !x.PeerKey().Equal(b.cred.Key.Public()) || !x.Dialed() || x.ALPN() != ALPNControl || x.RemoteAddr() != b.addr {
			s.Errorf("session says peer %v dialed %v alpn %s addr %v", x.Peer(), x.Dialed(), x.ALPN(), x.RemoteAddr())
		}
		began = time.Now()
		got, err := ask(s.Context(), x, "hello")
		if err != nil || got != "hello" {
			s.Errorf("%q, %v", got, err)
		}
		if took := time.Since(began); took > rtt+50*time.Millisecond {
			s.Errorf("question and answer took %v, want about %v", took, rtt)
		}
		if st := x.Stats(); st.RTT < rtt || st.RTT > 2*rtt || st.PacketsSent == 0 || st.PacketsReceived == 0 {
			s.Errorf("stats: %+v", st)
		}
		big := strings.Repeat("galleon ", 1<<18) // 2 MiB, through windows that begin at 64 KiB
		c, err := x.Open(s.Context())
		if err != nil {
			s.Fatal(err)
		}
		go func() {
			_, _ = io.WriteString(c, big)
			_ = c.(*Stream).CloseWrite()
		}()
		if got, err := io.ReadAll(c); err != nil || string(got) != big {
			s.Errorf("2 MiB: %d bytes came back, %v", len(got), err)
		}
		_ = c.Close()
	})
}

// Both ends derive the same secret, another for every label and context, and another in every session.
func TestExport(t *testing.T) {
	inSim(t, func(s *sim) {
		served := make(chan *Session, 2)
		hold := func(ctx context.Context, x *Session) { served <- x; <-ctx.Done() }
		a, b := s.start(1), s.start(2, func(c *Config) { c.Handlers = map[string]Handler{ALPNPair: hold} })
		x1, x2 := s.dial(a, b, ALPNPair), s.dial(a, b, ALPNPair)
		y1 := <-served
		export := func(x *Session, label, ctx string) []byte {
			k, err := x.Export(label, []byte(ctx), 32)
			if err != nil {
				s.Fatal(err)
			}
			return k
		}
		if !bytes.Equal(export(x1, "l", "c"), export(y1, "l", "c")) {
			s.Error("the two ends derive different secrets")
		}
		for _, other := range [][]byte{export(x1, "m", "c"), export(x1, "l", "d"), export(x2, "l", "c")} {
			if bytes.Equal(export(x1, "l", "c"), other) {
				s.Error("the same secret for another label, context or session")
			}
		}
		if y1.Dialed() || y1.Peer().Router != 1 {
			s.Error("the acceptor's end says it dialled")
		}
	})
}

// refusals: what each fault of either end looks like at the end that dials.
func TestRefusals(t *testing.T) {
	day := 24 * time.Hour
	for _, c := range []struct {
		name string
		do   func(s *sim) error // dials, and returns what came of it
		want error
		says string
	}{
		{"another router at the address", func(s *sim) error {
			a, b := s.start(1), s.start(2)
			_, err := a.Dial(s.Context(), 3, b.addr, ALPNControl)
			return err
		}, ErrWrongRouter, "it is r2 (test-2)"},
		{"nobody at the address", func(s *sim) error {
			a := s.start(1)
			_, err := a.Dial(s.Context(), 3, simAddr(3), ALPNControl)
			return err
		}, ErrUnreachable, "UDP"},
		{"itself", func(s *sim) error {
			a := s.start(1)
			_, err := a.Dial(s.Context(), 1, a.addr, ALPNControl)
			return err
		}, nil, "itself"},
		{"we revoked the peer", func(s *sim) error {
			a, b := s.start(1), s.start(2)
			s.cluster.Revoke(2)
			_, err := a.Dial(s.Context(), 2, b.addr, ALPNControl)
			return err
		}, keys.ErrRevoked, ""},
		{"the peer knows that we are revoked", func(s *sim) error {
			a, b := s.start(1, believing), s.start(2)
			s.cluster.Revoke(1)
			_, err := a.Dial(s.Context(), 2, b.addr, ALPNControl)
			return err
		}, keys.ErrRevoked, "the peer says"},
		{"the peer does not know us", func(s *sim) error {
			a, b := s.start(1, believing), s.start(2)
			s.cluster.Remove(1)
			_, err := a.Dial(s.Context(), 2, b.addr, ALPNControl)
			return err
		}, keys.ErrUnknownRouter, "retry"},
		{"the catalog has another key for us", func(s *sim) error {
			a, b := s.start(1, believing), s.start(2)
			s.cluster.Set(1, func(m *keys.Member) { m.PublicKey = b.cred.Key.Public() })
			_, err := a.Dial(s.Context(), 2, b.addr, ALPNControl)
			return err
		}, keys.ErrWrongKey, "the peer says"},
		{"our certificate expired", func(s *sim) error {
			a, b := s.startAs(1, s.cluster.Join(1, time.Now(), time.Hour)), s.start(2)
			<-time.After(2 * time.Hour)
			_, err := a.Dial(s.Context(), 2, b.addr, ALPNControl)
			return err
		}, keys.ErrExpired, "the peer says"},
		{"the peer's certificate expired", func(s *sim) error {
			a, b := s.start(1), s.startAs(2, s.cluster.Join(2, time.Now(), time.Hour))
			<-time.After(2 * time.Hour)
			_, err := a.Dial(s.Context(), 2, b.addr, ALPNControl)
			return err
		}, keys.ErrExpired, "let it renew"},
		{"our clock an hour and a half slow", func(s *sim) error {
			slow := s.cluster.Join(1, time.Now(), day)
			slow.Now = func() time.Time { return time.Now().Add(-90 * time.Minute) }
			a, b := s.startAs(1, slow), s.start(2)
			_, err := a.Dial(s.Context(), 2, b.addr, ALPNControl)
			return err
		}, keys.ErrNotYetValid, "check the clocks"},
		{"the peer's clock an hour and a half slow", func(s *sim) error {
			slow := s.cluster.Join(2, time.Now(), day)
			slow.Now = func() time.Time { return time.Now().Add(-90 * time.Minute) }
			a, b := s.start(1), s.startAs(2, slow)
			_, err := a.Dial(s.Context(), 2, b.addr, ALPNControl)
			return err
		}, keys.ErrNotYetValid, "the peer says"},
		{"both of an earlier incarnation than the peer", func(s *sim) error {
			old := s.cluster.Join(1, time.Now(), day)
			s.cluster.Restore()
			a, b := s.startAs(1, old, believing), s.start(2)
			_, err := a.Dial(s.Context(), 2, b.addr, ALPNControl)
			return err
		}, keys.ErrWrongIncarnation, "restored"},
		{"another cluster's router dials", func(s *sim) error {
			other := keystest.New("atlantic", time.Now()).Join(1, time.Now(), day)
			a, b := s.startAs(1, other), s.start(2)
			_, err := a.Dial(s.Context(), 2, b.addr, ALPNControl)
			return err
		}, keys.ErrWrongCluster, "pacific"},
		{"a protocol that the peer does not serve", func(s *sim) error {
			a, b := s.start(1), s.start(2)
			_, err := a.Dial(s.Context(), 2, b.addr, ALPNRepl)
			return err
		}, ErrNotServed, ALPNRepl},
		{"joining as a member", func(s *sim) error {
			a, b := s.start(1), s.start(2)
			_, err := a.Dial(s.Context(), 2, b.addr, ALPNJoin)
			return err
		}, ErrNotServed, ""},
		{"a protocol that is not for us", func(s *sim) error {
			a := s.start(1)
			b := s.start(2, func(c *Config) {
				c.Admit = func(id keys.Identity, alpn string) error {
					if alpn == ALPNRaft {
						return errors.New("r1 is no voter")
					}
					return nil
				}
			})
			if _, err := a.Dial(s.Context(), 2, b.addr, ALPNControl); err != nil {
				s.Error(err)
			}
			_, err := a.Dial(s.Context(), 2, b.addr, ALPNRaft)
			return err
		}, ErrNotAdmitted, "no voter"},
		{"the peer has no certificate yet", func(s *sim) error {
			a, b := s.start(1), s.start(2, func(c *Config) {
				c.Credential = func() (*keys.Credential, error) { return nil, keys.ErrNoCredential }
			})
			_, err := a.Dial(s.Context(), 2, b.addr, ALPNControl)
			return err
		}, ErrBusy, "no certificate yet"},
		{"we have no certificate yet", func(s *sim) error {
			a, b := s.start(1, func(c *Config) {
				c.Credential = func() (*keys.Credential, error) { return nil, keys.ErrNoCredential }
			}), s.start(2)
			_, err := a.Dial(s.Context(), 2, b.addr, ALPNControl)
			return err
		}, keys.ErrNoCredential, "token"},
		{"the peer has too many sessions", func(s *sim) error {
			a, b, c := s.start(1), s.start(2, func(c *Config) { c.MaxSessions = 1 }), s.start(3)
			s.dial(c, b, ALPNControl)
			_, err := a.Dial(s.Context(), 2, b.addr, ALPNControl)
			return err
		}, ErrBusy, "the most it has"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inSim(t, func(s *sim) {
				began := time.Now()
				err := c.do(s)
				if err == nil || c.want != nil && !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
					s.Fatalf("error %v\nwant %v, with %q in it", err, c.want, c.says)
				}
				if took := time.Since(began) % time.Hour; took > handshakeTimeout {
					s.Errorf("took %v", took)
				}
				s.Log(err)
			})
		})
	}
}

// believing makes a router take everybody at their word, so that the other end's refusal is seen.
func believing(c *Config) { c.Verify = nil }

// Recheck ends live sessions of a router that was revoked, at both ends, and no others; both ends say why.
func TestRecheckEndsSessionsOfTheRevoked(t *testing.T) {
	inSim(t, func(s *sim) {
		a, b, c := s.start(1), s.start(2), s.start(3)
		toB, toC, fromC := s.dial(a, b, ALPNControl), s.dial(a, c, ALPNControl), s.dial(c, a, ALPNControl)
		if gone := a.Recheck(); len(gone) != 0 {
			s.Errorf("closed %v while all is well", gone)
		}
		s.cluster.Revoke(3)
		if gone := a.Recheck(); len(gone) != 2 || gone[0] != 3 || gone[1] != 3 {
			s.Errorf("closed %v, want both sessions of r3", gone)
		}
		if err := toC.Err(); !errors.Is(err, keys.ErrRevoked) || !errors.Is(err, ErrSessionClosed) {
			s.Errorf("our end says %v", err)
		}
		<-fromC.Done()
		var ce *ClosedError
		if err := fromC.Err(); !errors.Is(err, keys.ErrRevoked) || !errors.As(err, &ce) || !ce.Remote {
			s.Errorf("the other end says %v", err)
		}
		if _, err := ask(s.Context(), toB, "still there?"); err != nil {
			s.Errorf("a session of another router: %v", err)
		}
	})
}

// A session lives no longer than the certificate that it was made with; the endpoint sees to that by itself.
func TestSessionEndsWithItsCertificate(t *testing.T) {
	inSim(t, func(s *sim) {
		a, b := s.start(1), s.startAs(2, s.cluster.Join(2, time.Now(), time.Hour))
		x := s.dial(a, b, ALPNControl)
		<-time.After(59 * time.Minute)
		if x.Err() != nil {
			s.Fatalf("ended before its time: %v", x.Err())
		}
		<-time.After(2 * time.Minute)
		if err := x.Err(); !errors.Is(err, keys.ErrExpired) {
			s.Errorf("after its time: %v", err)
		}
	})
}

func TestSilentPeerIsNoticed(t *testing.T) {
	inSim(t, func(s *sim) {
		a, b := s.start(1), s.start(2)
		x := s.dial(a, b, ALPNControl)
		<-time.After(time.Hour) // keep-alives keep an idle session
		if x.Err() != nil {
			s.Fatal(x.Err())
		}
		s.cutOff(b.addr, true)
		began := time.Now()
		<-x.Done()
		if took := time.Since(began); took > idleTimeout+keepAlive+time.Second {
			s.Errorf("noticed after %v", took)
		}
		var timeout interface{ Timeout() bool }
		if err := x.Err(); !errors.Is(err, ErrSessionClosed) || errors.As(err, &timeout) && timeout.Timeout() || !strings.Contains(err.Error(), "silent") {
			s.Errorf("%v", err)
		}
		s.cutOff(b.addr, false)
	})
}

// A router that crashed and came back under the same key tells its peers within a round trip of their next packet.
func TestRestartedPeerIsNoticedAtOnce(t *testing.T) {
	inSim(t, func(s *sim) {
		a, b := s.start(1), s.start(2)
		x := s.dial(a, b, ALPNControl)
		if _, err := ask(s.Context(), x, "before"); err != nil {
			s.Fatal(err)
		}
		s.cutOff(b.addr, true) // so that its farewell is lost, as in a crash
		b.end()
		synctest.Wait()
		<-time.After(rtt)
		s.cutOff(b.addr, false)
		s.startAs(2, b.cred)
		began := time.Now()
		_, err := ask(s.Context(), x, "after")
		if took := time.Since(began); err == nil || took > 2*rtt {
			s.Errorf("noticed after %v: %v", took, err)
		}
		if !errors.Is(err, ErrSessionClosed) || !strings.Contains(err.Error(), "restarted") {
			s.Errorf("%v", err)
		}
	})
}

func TestShutdownSaysSo(t *testing.T) {
	inSim(t, func(s *sim) {
		a, b := s.start(1), s.start(2)
		x := s.dial(a, b, ALPNControl)
		b.end()
		<-x.Done()
		if err := x.Err(); !strings.Contains(err.Error(), "shutting down") {
			s.Errorf("%v", err)
		}
		if _, err := b.Dial(s.Context(), 1, a.addr, ALPNControl); !errors.Is(err, ErrClosed) {
			s.Errorf("dial from a closed endpoint: %v", err)
		}
		if up, down := count[SessionUp](s.events), count[SessionDown](s.events); up != 2 || down < 1 {
			s.Errorf("events: %d up, %d down", up, down)
		}
	})
}
