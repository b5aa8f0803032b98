package underlay

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	quicgo "github.com/quic-go/quic-go"
)

// TestQUICOverTheSocket lets quic-go itself speak through a socket: on loopback, over a simulated
// network, and carried through relays that exist in this test only.
func TestQUICOverTheSocket(t *testing.T) {
	t.Run("loopback", func(t *testing.T) {
		a, b := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
		talk(t, a, b, b.LocalAddr())
	})
	t.Run("simulated", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := simulated(t)
			talk(t, a, b, b.LocalAddr())
		})
	})
	t.Run("carried", func(t *testing.T) {
		a, b := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
		var longest atomic.Int64
		carry := func(to *Socket, from netip.AddrPort) func(netip.AddrPort, []byte) error {
			return func(_ netip.AddrPort, p []byte) error {
				longest.Store(max(longest.Load(), int64(len(p))))
				to.InjectQUIC(p, from)
				return nil
			}
		}
		a.SetCarrier(carry(b, VirtualAddr(1)))
		b.SetCarrier(carry(a, VirtualAddr(2)))
		talk(t, a, b, VirtualAddr(2))
		if n := longest.Load(); n == 0 || n > 1280 {
			t.Errorf("the longest carried packet has %d octets, want at most QUIC's initial 1,280", n)
		}
		if s := a.Stats(); s.CarriedOut == 0 || s.CarriedIn == 0 || s.QUICOut != 0 {
			t.Errorf("stats %+v", s)
		}
	})
}

// talk sends 300 kB from a to b and back over one QUIC stream.
func talk(t *testing.T, a, b *Socket, to netip.AddrPort) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	pumped := make(chan error, 2)
	for _, s := range []*Socket{a, b} {
		go func() { pumped <- s.Pump(ctx) }()
	}
	ta, tb := &quicgo.Transport{Conn: a.QUIC()}, &quicgo.Transport{Conn: b.QUIC()}
	server, client := selfSigned(t)
	l, err := tb.Listen(server, nil)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() {
		served <- func() error {
			c, err := l.Accept(ctx)
			if err != nil {
				return err
			}
			s, err := c.AcceptStream(ctx)
			if err != nil {
				return err
			}
			defer s.Close()
			_, err = io.Copy(s, s)
			return err
		}()
	}()
	c, err := ta.Dial(ctx, net.UDPAddrFromAddrPort(to), client, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.OpenStreamSync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sent := bytes.Repeat([]byte("galleon "), 300_000/8)
	go func() {
		s.Write(sent)
		s.Close()
	}()
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d of %d octets came back, %v", len(got), len(sent), err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	c.CloseWithError(0, "")
	ta.Close()
	tb.Close()
	cancel()
	for range 2 {
		if err := <-pumped; err != nil {
			t.Error(err)
		}
	}
}

func selfSigned(t *testing.T) (server, client *tls.Config) {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"peer"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"x"}}
	return server, &tls.Config{RootCAs: roots, ServerName: "peer", NextProtos: []string{"x"}}
}
