package fabric

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/galleon-net/galleon/fabric/linkstate"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tunnel"
)

// The control stream of a pair session carries frames, big endian:
//
//	┌────────┬────────┬──────┐
//	│ type 1 │ size 4 │ body │
//	└────────┴────────┴──────┘
//
//	1 confirm   no body; the dialer holds the keys
//	2 summary   linkstate.AppendSummary: what the sender knows
//	3 record    linkstate.Signed
//
// A frame of another type is read and dropped: a later version may have more to say.
const (
	frameConfirm = 1
	frameSummary = 2
	frameRecord  = 3

	frameHead = 5
	maxFrame  = linkstate.MaxRecord + 1024 // octets of a body; a longer one ends the session
)

func writeFrame(w io.Writer, t byte, body []byte) error {
	b := make([]byte, 0, frameHead+len(body))
	b = binary.BigEndian.AppendUint32(append(b, t), uint32(len(body)))
	if _, err := w.Write(append(b, body...)); err != nil {
		return fmt.Errorf("write frame %d: %w", t, err)
	}
	return nil
}

// readFrame reads one frame; the body uses buf when it fits.
func readFrame(r io.Reader, buf []byte) (t byte, body []byte, err error) {
	var head [frameHead]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, fmt.Errorf("read frame: %w", err)
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxFrame {
		return 0, nil, fmt.Errorf("read frame %d: %d octets, at most %d are allowed", head[0], n, maxFrame)
	}
	if int(n) > cap(buf) {
		buf = make([]byte, n)
	}
	body = buf[:n]
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, nil, fmt.Errorf("read frame %d: %w", head[0], err)
	}
	return head[0], body, nil
}

// outbox is what waits to be sent on a control stream. It holds one record for each origin, the newest,
// and one summary, the newest: a peer that reads slowly misses what has been superseded and nothing
// else, and the outbox cannot outgrow the database.
type outbox struct {
	wake chan struct{}

	mu      sync.Mutex
	summary []linkstate.Version
	records map[topo.RouterID]linkstate.Signed
	order   []topo.RouterID // keys of records, as they were put
}

func newOutbox() *outbox {
	return &outbox{wake: make(chan struct{}, 1), records: map[topo.RouterID]linkstate.Signed{}}
}

func (o *outbox) putSummary(vs []linkstate.Version) {
	o.mu.Lock()
	o.summary = vs
	if o.summary == nil {
		o.summary = []linkstate.Version{}
	}
	o.mu.Unlock()
	o.poke()
}

func (o *outbox) putRecord(origin topo.RouterID, s linkstate.Signed) {
	o.mu.Lock()
	if _, there := o.records[origin]; !there {
		o.order = append(o.order, origin)
	}
	o.records[origin] = s
	o.mu.Unlock()
	o.poke()
}

func (o *outbox) poke() {
	select {
	case o.wake <- struct{}{}:
	default:
	}
}

// take returns the next frame, or none.
func (o *outbox) take() (t byte, body []byte, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.summary != nil {
		body = linkstate.AppendSummary(nil, o.summary)
		o.summary = nil
		return frameSummary, body, true
	}
	if len(o.order) == 0 {
		return 0, nil, false
	}
	r := o.order[0]
	o.order = o.order[1:]
	body = o.records[r].Append(nil)
	delete(o.records, r)
	return frameRecord, body, true
}

// serve runs an established session until it ends: one goroutine reads the control stream, this one
// writes it.
func (m *Mesh) serve(ctx context.Context, s *pairSession) {
	var why error
	failed := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { failed <- m.read(ctx, s) })

	var linger <-chan time.Time
	retired := s.retired
loop:
	for {
		for {
			t, body, ok := s.out.take()
			if !ok {
				break
			}
			if why = m.write(s, t, body); why != nil {
				break loop
			}
		}
		select {
		case <-s.out.wake:
		case why = <-failed:
			break loop
		case <-s.sess.Done():
			why = s.sess.Err()
			break loop
		case <-retired:
			retired, linger = nil, time.After(lingerFor)
		case <-linger:
			why = errors.New("replaced by a newer session")
			break loop
		case <-ctx.Done():
			if why = s.sess.Err(); why == nil {
				why = errors.New("this router stops, or dropped the peer")
			}
			break loop
		}
	}
	if why == nil {
		why = errors.New("the session is over")
	}
	s.sess.Close(tunnel.CodeDone, why.Error())
	wg.Wait()
	// Not with ctx, which may have ended with the session.
	m.do(context.Background(), func(now time.Time) { m.ended(now, s, why) })
}

func (m *Mesh) write(s *pairSession, t byte, body []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return writeFrame(s.conn, t, body)
}

// read hands what arrives on the control stream to the loop, one frame at a time: a peer that talks
// faster than we listen is held back by its stream's window.
func (m *Mesh) read(ctx context.Context, s *pairSession) error {
	for {
		t, body, err := readFrame(s.conn, nil)
		if err != nil {
			return err
		}
		switch t {
		case frameSummary:
			theirs, err := linkstate.ParseSummary(body)
			if err != nil {
				return fmt.Errorf("read a summary: %w", err)
			}
			m.do(ctx, func(now time.Time) { m.flood.compare(now, s.out, theirs) })
		case frameRecord:
			r, rest, err := linkstate.ParseSigned(body)
			if err != nil || len(rest) > 0 {
				return fmt.Errorf("read a record: %d octets too many, %w", len(rest), err)
			}
			m.do(ctx, func(now time.Time) { m.learned(now, s, r) })
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}
