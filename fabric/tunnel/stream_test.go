package tunnel

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipe is a stream between two routers, seen from both ends. The first byte, which makes it visible, has been read.
func (s *sim) pipe() (opener, acceptor *Stream) {
	s.Helper()
	accepted := make(chan net.Conn, 1)
	a, b := s.start(1), s.start(2, func(c *Config) {
		c.Handlers = map[string]Handler{ALPNControl: func(ctx context.Context, x *Session) {
			c, err := x.Accept(ctx)
			if err != nil {
				return
			}
			accepted <- c
			<-ctx.Done()
		}}
	})
	c, err := s.dial(a, b, ALPNControl).Open(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	if _, err := c.Write([]byte{'!'}); err != nil {
		s.Fatal(err)
	}
	d := <-accepted
	if _, err := io.ReadFull(d, make([]byte, 1)); err != nil {
		s.Fatal(err)
	}
	return c.(*Stream), d.(*Stream)
}

// After Close the peer still reads all that was written, then io.EOF, and cannot write any more.
func TestCloseDeliversThenEOF(t *testing.T) {
	inSim(t, func(s *sim) {
		a, b := s.pipe()
		text := strings.Repeat("x", 50_000)
		if _, err := io.WriteString(a, text); err != nil {
			s.Fatal(err)
		}
		if err := a.Close(); err != nil {
			s.Fatal(err)
		}
		if err := a.Close(); err != nil {
			s.Errorf("a second Close: %v", err)
		}
		got, err := io.ReadAll(b)
		if err != nil || string(got) != text {
			s.Errorf("%d bytes, %v", len(got), err)
		}
		if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			s.Errorf("read after the end: %d, %v", n, err)
		}
		if _, err := b.Write([]byte("hello?")); !errors.Is(err, ErrPeerClosed) {
			s.Errorf("write to a closed peer: %v", err)
		}
		if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
			s.Errorf("write after Close: %v", err)
		}
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			s.Errorf("read after Close: %v", err)
		}
		_ = b.Close()
	})
}

// A stream that is opened and closed without a byte is seen, and is empty.
func TestCloseWithoutAByte(t *testing.T) {
	inSim(t, func(s *sim) {
		a, b := s.start(1), s.start(2)
		if got, err := ask(s.Context(), s.dial(a, b, ALPNControl), ""); err != nil || got != "" {
			s.Errorf("%q, %v", got, err)
		}
	})
}

func TestHalfClose(t *testing.T) {
	inSim(t, func(s *sim) {
		a, b := s.pipe()
		_, _ = io.WriteString(a, "question")
		if err := a.CloseWrite(); err != nil {
			s.Fatal(err)
		}
		if _, err := a.Write([]byte("more")); !errors.Is(err, net.ErrClosed) {
			s.Errorf("write after CloseWrite: %v", err)
		}
		if q, err := io.ReadAll(b); err != nil || string(q) != "question" {
			s.Errorf("%q, %v", q, err)
		}
		_, _ = io.WriteString(b, "answer")
		_ = b.Close()
		if r, err := io.ReadAll(a); err != nil || string(r) != "answer" {
			s.Errorf("%q, %v", r, err)
		}
		_ = a.Close()
	})
}

// A Close while a Write is under way must not make the peer take a part for the whole.
func TestCloseDuringWrite(t *testing.T) {
	inSim(t, func(s *sim) {
		a, b := s.pipe()
		wrote := make(chan error, 1)
		go func() {
			_, err := a.Write(make([]byte, 8<<20)) // more than any window: b does not read
			wrote <- err
		}()
		<-time.After(time.Second)
		_ = a.Close()
		if err := <-wrote; !errors.Is(err, net.ErrClosed) {
			s.Errorf("the write: %v", err)
		}
		if n, err := io.Copy(io.Discard, b); !errors.Is(err, ErrReset) {
			s.Errorf("the peer read %d bytes and then %v", n, err)
		}
	})
}

func TestAbort(t *testing.T) {
	inSim(t, func(s *sim) {
		a, b := s.pipe()
		_, _ = io.WriteString(a, "half of")
		<-time.After(rtt)
		a.Abort()
		if _, err := io.ReadAll(b); !errors.Is(err, ErrReset) {
			s.Errorf("%v", err)
		}
		b.Abort()
	})
}

func TestDeadlines(t *testing.T) {
	inSim(t, func(s *sim) {
		a, b := s.pipe()
		expect := func(what string, err error, after, want time.Duration) {
			s.Helper()
			var ne net.Error
			if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() {
				s.Errorf("%s: %v", what, err)
			}
			if after < want || after > want+10*time.Millisecond {
				s.Errorf("%s: after %v, want %v", what, after, want)
			}
		}
		began := time.Now()
		_ = a.SetReadDeadline(began.Add(time.Second))
		_, err := a.Read(make([]byte, 1))
		expect("read", err, time.Since(began), time.Second)

		began = time.Now()
		_ = a.SetReadDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { _ = a.SetReadDeadline(time.Now()) })
		_, err = a.Read(make([]byte, 1))
		expect("read under way", err, time.Since(began), time.Second)

		began = time.Now()
		_ = a.SetReadDeadline(began.Add(-time.Hour))
		_, err = a.Read(make([]byte, 1))
		expect("read past a deadline", err, time.Since(began), 0)

		began = time.Now()
		_ = a.SetWriteDeadline(began.Add(time.Second))
		n, err := a.Write(make([]byte, 8<<20))
		expect("write", err, time.Since(began), time.Second)

		// The stream is good for more.
		_ = a.SetDeadline(time.Time{})
		if _, err := io.ReadFull(b, make([]byte, n)); err != nil {
			s.Errorf("what was written: %v", err)
		}
		_, _ = io.WriteString(b, "x")
		if _, err := io.ReadFull(a, make([]byte, 1)); err != nil {
			s.Errorf("read after the deadline was lifted: %v", err)
		}
		_ = a.Close()
		_ = b.Close()
	})
}

// When a session ends, whoever reads, writes, opens or accepts learns who ended it and why, and takes it for no timeout.
func TestStreamsOfAnEndedSession(t *testing.T) {
	inSim(t, func(s *sim) {
		a, b := s.pipe()
		var wg sync.WaitGroup
		for what, f := range map[string]func() error{
			"read":   func() error { _, err := a.Read(make([]byte, 1)); return err },
			"write":  func() error { _, err := a.Write(make([]byte, 8<<20)); return err },
			"accept": func() error { _, err := a.Session().Accept(s.Context()); return err },
		} {
			wg.Go(func() {
				err := f()
				var ce *ClosedError
				if !errors.As(err, &ce) || ce.Reason != "enough" || ce.Code != CodeProtocol || !ce.Remote || ce.Peer != 2 {
					s.Errorf("%s: %v", what, err)
				}
				if errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) {
					s.Errorf("%s: taken for a local close or a timeout: %v", what, err)
				}
			})
		}
		synctest.Wait()
		b.Session().Close(CodeProtocol, "enough")
		wg.Wait()
		if _, err := a.Session().Open(s.Context()); !errors.Is(err, ErrSessionClosed) {
			s.Errorf("open: %v", err)
		}
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, ErrSessionClosed) || !strings.Contains(err.Error(), "ended here") {
			s.Errorf("the end that closed: %v", err)
		}
	})
}

// A peer's words are shown without what could harm a terminal or a log.
func TestReasonIsMadePrintable(t *testing.T) {
	inSim(t, func(s *sim) {
		a, b := s.pipe()
		b.Session().Close(CodeProtocol, "a\x1b[31mb\nc"+strings.Repeat("z", 1000))
		<-a.Session().Done()
		var ce *ClosedError
		if !errors.As(a.Session().Err(), &ce) || strings.ContainsAny(ce.Reason, "\x1b\n") || len(ce.Reason) > maxReason {
			s.Errorf("%q", ce.Reason)
		}
	})
}
