package replication

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// wire is one direction of a simulated stream: bytes arrive a latency after they were written, no faster than
// a rate, and no more than a window is on its way.
type wire struct {
	latency time.Duration
	link    *link

	mu       sync.Mutex
	queue    []segment
	queued   int
	budget   *budget
	err      error // of reads, once the queue is empty
	deadR    time.Time
	deadW    time.Time
	changed  chan struct{}
	writeErr error
}

type segment struct {
	at   time.Time
	data []byte
}

// link is what wires may share: no more than rate bytes per second, 0: no limit.
type link struct {
	rate int64
	mu   sync.Mutex
	last time.Time // when the last byte leaves
}

// send says when n bytes that are written now have left.
func (l *link) send(n int) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.rate == 0 {
		return now
	}
	if l.last.Before(now) {
		l.last = now
	}
	l.last = l.last.Add(time.Duration(int64(n) * int64(time.Second) / l.rate))
	return l.last
}

// window is how much a congestion control would have on its way.
func (l *link) window() int {
	if l.rate > 0 {
		return 1 << 20
	}
	return 64 << 20
}

// budget is how many bytes both directions of a stream carry before it breaks; negative: any number.
type budget struct {
	mu    sync.Mutex
	left  int64
	total int64
	on    func() // called when it is used up
}

// take gives how many of n bytes pass.
func (b *budget) take(n int) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left >= 0 {
		n = int(min(int64(n), b.left))
		b.left -= int64(n)
	}
	b.total += int64(n)
	return n
}

func (w *wire) wake() {
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *wire) write(p []byte) (n int, err error) {
	for n < len(p) {
		w.mu.Lock()
		now := time.Now()
		switch {
		case w.writeErr != nil:
			err = w.writeErr
		case !w.deadW.IsZero() && !now.Before(w.deadW):
			err = os.ErrDeadlineExceeded
		}
		if err != nil {
			w.mu.Unlock()
			return n, err
		}
		room := w.link.window() - w.queued
		if room <= 0 {
			w.waitLocked(w.deadW)
			continue
		}
		part := p[n:min(len(p), n+room)]
		pass := w.budget.take(len(part))
		if pass > 0 {
			leave := w.link.send(pass)
			w.queue = append(w.queue, segment{leave.Add(w.latency), append([]byte(nil), part[:pass]...)})
			w.queued += pass
			n += pass
			w.wake()
		}
		w.mu.Unlock()
		if pass < len(part) {
			w.budget.on()
			return n, net.ErrClosed
		}
	}
	return n, nil
}

// waitLocked waits for a change or the deadline; the lock is released.
func (w *wire) waitLocked(until time.Time) {
	changed := w.changed
	w.mu.Unlock()
	if until.IsZero() {
		<-changed
		return
	}
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-changed:
	case <-t.C:
	}
}

func (w *wire) read(p []byte) (int, error) {
	for {
		w.mu.Lock()
		now := time.Now()
		if !w.deadR.IsZero() && !now.Before(w.deadR) {
			w.mu.Unlock()
			return 0, os.ErrDeadlineExceeded
		}
		until := w.deadR
		if len(w.queue) > 0 {
			s := &w.queue[0]
			if !s.at.After(now) {
				n := copy(p, s.data)
				if s.data = s.data[n:]; len(s.data) == 0 {
					w.queue = w.queue[1:]
				}
				w.queued -= n
				w.wake()
				w.mu.Unlock()
				return n, nil
			}
			if until.IsZero() || s.at.Before(until) {
				until = s.at
			}
		} else if w.err != nil {
			w.mu.Unlock()
			return 0, w.err
		}
		w.waitLocked(until)
	}
}

// end lets what is on its way arrive and then breaks the direction.
func (w *wire) end(err error, lose bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err, w.writeErr = err, net.ErrClosed
	}
	if lose {
		w.queue, w.queued = nil, 0
	}
	w.wake()
}

// stream is one end of a simulated stream.
type stream struct {
	net.Conn // nil: what the engine does not use is not there
	in, out  *wire
}

// newStream makes two ends. on is called when left bytes have passed and the stream breaks.
func newStream(latency time.Duration, there, back *link, left int64) (a, b *stream, used *budget) {
	used = &budget{left: left}
	ab := &wire{latency: latency, link: there, budget: used, changed: make(chan struct{})}
	ba := &wire{latency: latency, link: back, budget: used, changed: make(chan struct{})}
	used.on = func() {
		ab.end(io.ErrUnexpectedEOF, false)
		ba.end(io.ErrUnexpectedEOF, false)
	}
	return &stream{in: ba, out: ab}, &stream{in: ab, out: ba}, used
}

func (s *stream) Read(p []byte) (int, error)  { return s.in.read(p) }
func (s *stream) Write(p []byte) (int, error) { return s.out.write(p) }

func (s *stream) Close() error {
	s.out.end(io.EOF, false)
	s.in.end(net.ErrClosed, true)
	return nil
}

// cut breaks the stream and loses what is on its way.
func (s *stream) cut() {
	s.out.end(io.ErrUnexpectedEOF, true)
	s.in.end(io.ErrUnexpectedEOF, true)
}

func (s *stream) SetDeadline(t time.Time) error {
	_ = s.SetReadDeadline(t)
	return s.SetWriteDeadline(t)
}

func (s *stream) SetReadDeadline(t time.Time) error {
	s.in.mu.Lock()
	defer s.in.mu.Unlock()
	s.in.deadR = t
	s.in.wake()
	return nil
}

func (s *stream) SetWriteDeadline(t time.Time) error {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	s.out.deadW = t
	s.out.wake()
	return nil
}
