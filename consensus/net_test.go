package consensus

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// wire is a network of routers in which every packet takes half a round trip, and any direction can be
// cut. It runs in fake time.
type wire struct {
	mu  sync.Mutex
	rtt map[topo.Pair]time.Duration
	cut map[[2]topo.RouterID]bool
}

func newWire() *wire {
	return &wire{rtt: map[topo.Pair]time.Duration{}, cut: map[[2]topo.RouterID]bool{}}
}

const defaultRTT = 40 * time.Millisecond

func (w *wire) roundTrip(a, b topo.RouterID) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if d, ok := w.rtt[topo.PairOf(a, b)]; ok {
		return d
	}
	return defaultRTT
}

func (w *wire) setRTT(a, b topo.RouterID, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rtt[topo.PairOf(a, b)] = d
}

func (w *wire) setCut(from, to topo.RouterID, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[[2]topo.RouterID{from, to}] = cut
}

func (w *wire) isCut(from, to topo.RouterID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cut[[2]topo.RouterID{from, to}]
}

// split cuts everything between two sides.
func (w *wire) split(a, b []topo.RouterID, cut bool) {
	for _, x := range a {
		for _, y := range b {
			if x != y {
				w.setCut(x, y, cut)
				w.setCut(y, x, cut)
			}
		}
	}
}

// lane is one direction of a stream.
type lane struct {
	w        *wire
	from, to topo.RouterID

	mu     sync.Mutex
	sent   []parcel
	closed bool // by the writer: the end is sent behind the data
	gone   bool // by the reader
	wake   chan struct{}
}

type parcel struct {
	at   time.Time
	data []byte // nil is the end of the stream
}

func (l *lane) send(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.gone {
		return net.ErrClosed
	}
	l.sent = append(l.sent, parcel{time.Now().Add(l.w.roundTrip(l.from, l.to) / 2), append([]byte(nil), b...)})
	l.stir()
	return nil
}

func (l *lane) stir() {
	close(l.wake)
	l.wake = make(chan struct{})
}

// end is one end of a stream.
type end struct {
	in, out *lane
	mu      sync.Mutex
	read    time.Time // deadline
}

func newStream(w *wire, a, b topo.RouterID) (*end, *end) {
	ab := &lane{w: w, from: a, to: b, wake: make(chan struct{})}
	ba := &lane{w: w, from: b, to: a, wake: make(chan struct{})}
	return &end{in: ba, out: ab}, &end{in: ab, out: ba}
}

// cutPoll is how often a reader looks whether a cut line is whole again.
const cutPoll = 250 * time.Millisecond

// idleLimit is after how long on a cut line the connection below is given up, as QUIC does.
const idleLimit = 12 * time.Second

func (e *end) Read(b []byte) (int, error) {
	var cutSince time.Time
	for {
		l := e.in
		now := time.Now()
		l.mu.Lock()
		if l.gone {
			l.mu.Unlock()
			return 0, net.ErrClosed
		}
		cut := l.w.isCut(l.from, l.to)
		if !cut {
			cutSince = time.Time{}
		} else if cutSince.IsZero() {
			cutSince = now
		}
		wait := time.Duration(-1)
		if cut {
			wait = cutPoll
			if now.Sub(cutSince) > idleLimit {
				l.mu.Unlock()
				return 0, io.ErrUnexpectedEOF
			}
		} else if len(l.sent) > 0 {
			p := &l.sent[0]
			if !p.at.After(now) {
				if p.data == nil {
					l.mu.Unlock()
					return 0, io.EOF
				}
				n := copy(b, p.data)
				if p.data = p.data[n:]; len(p.data) == 0 {
					l.sent = l.sent[1:]
				}
				l.mu.Unlock()
				return n, nil
			}
			wait = p.at.Sub(now)
		}
		wake := l.wake
		l.mu.Unlock()
		e.mu.Lock()
		deadline := e.read
		e.mu.Unlock()
		if !deadline.IsZero() {
			left := deadline.Sub(now)
			if left <= 0 {
				return 0, os.ErrDeadlineExceeded
			}
			if wait < 0 || left < wait {
				wait = left
			}
		}
		if wait < 0 {
			<-wake
			continue
		}
		t := time.NewTimer(wait)
		select {
		case <-wake:
		case <-t.C:
		}
		t.Stop()
	}
}

func (e *end) Write(b []byte) (int, error) {
	if err := e.out.send(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (e *end) Close() error {
	e.in.mu.Lock()
	e.in.gone = true
	e.in.stir()
	e.in.mu.Unlock()
	o := e.out
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.closed {
		o.closed = true
		o.sent = append(o.sent, parcel{at: time.Now().Add(o.w.roundTrip(o.from, o.to) / 2)})
		o.stir()
	}
	return nil
}

func (e *end) SetReadDeadline(t time.Time) error {
	e.mu.Lock()
	e.read = t
	e.mu.Unlock()
	e.in.mu.Lock()
	e.in.stir()
	e.in.mu.Unlock()
	return nil
}

func (e *end) SetWriteDeadline(time.Time) error { return nil }
func (e *end) SetDeadline(t time.Time) error    { return e.SetReadDeadline(t) }
func (e *end) LocalAddr() net.Addr              { return nil }
func (e *end) RemoteAddr() net.Addr             { return nil }

var errDown = errors.New("nobody answers there")

// dial opens a stream to whoever serve finds.
func (w *wire) dial(ctx context.Context, from, to topo.RouterID, serve func(c net.Conn) bool) (net.Conn, error) {
	if w.isCut(from, to) || w.isCut(to, from) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	a, b := newStream(w, from, to)
	if !serve(b) {
		select {
		case <-time.After(w.roundTrip(from, to)):
		case <-ctx.Done():
		}
		return nil, errDown
	}
	return a, nil
}
