package underlay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// silent is a network on which nothing ever arrives.
type silent struct{ done chan struct{} }

func newSilent() *Socket { return Wrap(silent{make(chan struct{})}) }

func (s silent) ReadFrom([]byte) (int, net.Addr, error)    { <-s.done; return 0, nil, net.ErrClosed }
func (s silent) WriteTo(b []byte, _ net.Addr) (int, error) { return len(b), nil }
func (s silent) Close() error                              { close(s.done); return nil }
func (s silent) LocalAddr() net.Addr                       { return &net.UDPAddr{IP: net.IPv4zero, Port: 1} }
func (s silent) SetDeadline(time.Time) error               { return nil }
func (s silent) SetReadDeadline(time.Time) error           { return nil }
func (s silent) SetWriteDeadline(time.Time) error          { return nil }

func TestQUICQueueIsBounded(t *testing.T) {
	s := newSilent()
	defer s.Close()
	for i := range quicQueue + 100 {
		s.InjectQUIC(quic(fmt.Sprint(i)), VirtualAddr(7))
	}
	s.InjectQUIC(append(quic(""), make([]byte, maxQUIC)...), VirtualAddr(7))
	if st := s.Stats(); st.QueueDrops != 101 || st.CarriedIn != quicQueue+101 {
		t.Errorf("stats %+v", st)
	}
	buf := make([]byte, 100)
	for i := range quicQueue { // the oldest stay: QUIC's handshakes wait there
		n, _, err := s.QUIC().ReadFrom(buf)
		if err != nil || string(buf[:n]) != string(quic(fmt.Sprint(i))) {
			t.Fatalf("number %d is %q, %v", i, buf[:n], err)
		}
	}
	s.InjectQUIC(quic("room again"), VirtualAddr(7))
	if n, _, err := s.QUIC().ReadFrom(buf); err != nil || string(buf[:n]) != string(quic("room again")) {
		t.Fatalf("read %q, %v", buf[:n], err)
	}
}

func TestInjectRefusesWhatIsNotCarriedQUIC(t *testing.T) {
	s := newSilent()
	defer s.Close()
	s.InjectQUIC(nil, VirtualAddr(7))
	s.InjectQUIC(galleon("x"), VirtualAddr(7))
	s.InjectQUIC(quic("x"), netip.MustParseAddrPort("10.0.0.1:1"))
	if st := s.Stats(); st.Strange != 3 || st.CarriedIn != 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestQUICDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSilent()
		defer s.Close()
		c := s.QUIC()
		start := time.Now()
		readUntil := func(want time.Duration) {
			t.Helper()
			if _, _, err := c.ReadFrom(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("read: %v", err)
			}
			if got := time.Since(start); got != want {
				t.Fatalf("ended after %v, want %v", got, want)
			}
		}
		c.SetReadDeadline(start.Add(time.Second))
		readUntil(time.Second)
		readUntil(time.Second) // still past

		c.SetReadDeadline(start.Add(time.Hour)) // moved, while somebody waits, to an earlier time
		go func() {
			time.Sleep(time.Second)
			c.SetReadDeadline(start.Add(5 * time.Second))
		}()
		readUntil(5 * time.Second)

		c.SetReadDeadline(start.Add(6 * time.Second)) // and away
		go func() {
			time.Sleep(500 * time.Millisecond)
			c.SetReadDeadline(time.Time{})
			time.Sleep(time.Minute)
			s.InjectQUIC(quic("at last"), VirtualAddr(7))
		}()
		if n, _, err := c.ReadFrom(make([]byte, 100)); err != nil || n != len(quic("at last")) {
			t.Fatalf("read %d, %v", n, err)
		}
		c.SetReadDeadline(time.Now().Add(-time.Second)) // quic-go does so to stop its reader
		if _, _, err := c.ReadFrom(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read: %v", err)
		}
	})
}

func TestManyReadersOfTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSilent()
		defer s.Close()
		got := make(chan int, 10)
		for range 3 {
			go func() {
				for {
					n, _, err := s.QUIC().ReadFrom(make([]byte, 100))
					if err != nil {
						return
					}
					got <- n
				}
			}()
		}
		synctest.Wait()
		for range 10 {
			s.InjectQUIC(quic("x"), VirtualAddr(7))
		}
		synctest.Wait()
		if len(got) != 10 {
			t.Errorf("%d of 10 were read", len(got))
		}
	})
}

func TestPumpEndsWithItsContext(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Pump(ctx) }()
	mustWrite(t, s, Packet{Buf: galleon("for nobody"), Addr: s.LocalAddr()}, Packet{Buf: quic("x"), Addr: s.LocalAddr()})
	if _, _, err := s.QUIC().ReadFrom(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}

	go func() { ended <- s.Pump(t.Context()) }()
	s.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// failing is a network whose nth write fails.
type failing struct {
	silent
	n    *int
	sent *int
}

var errNth = errors.New("no")

func (f failing) WriteTo(b []byte, _ net.Addr) (int, error) {
	if *f.n--; *f.n == 0 {
		return 0, errNth
	}
	*f.sent++
	return len(b), nil
}

// TestNthWriteFails: for every n the rest of the batch goes out, until n is larger than the batch.
func TestNthWriteFails(t *testing.T) {
	const packets = 2*MaxBatch + 3
	to := netip.MustParseAddrPort("10.0.0.1:1")
	var p []Packet
	for range packets {
		p = append(p, Packet{Buf: galleon("x"), Addr: to})
	}
	for n := 1; ; n++ {
		left, sent := n, 0
		s := Wrap(failing{silent{make(chan struct{})}, &left, &sent})
		err := s.WriteBatch(p)
		st := s.Stats()
		s.Close()
		if n > packets {
			if err != nil || sent != packets || st.Out != packets {
				t.Fatalf("untouched: %v, %d sent, %+v", err, sent, st)
			}
			return
		}
		var e *SendError
		if !errors.Is(err, errNth) || !errors.As(err, &e) || e.Packets != 1 || sent != packets-1 || st.Out != packets-1 || st.SendErrors != 1 {
			t.Fatalf("write %d failed: %v, %d sent, %+v", n, err, sent, st)
		}
	}
}
