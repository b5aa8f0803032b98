package tunnel

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

// Codes on a stream's reset and stop-sending.
const (
	streamClosed  quic.StreamErrorCode = 0 // the reader wants no more
	streamAborted quic.StreamErrorCode = 1 // the writer broke off
	streamRefused quic.StreamErrorCode = 2 // one stream too many
)

// Stream is one stream of a session. It is a net.Conn; the package comment has its rules.
type Stream struct {
	s       *quic.Stream
	session *Session
	done    func() // gives the stream's slot back, once

	writing sync.Mutex // held for the length of every Write: quic-go forbids Close during one
	ended   bool       // guarded by writing: our side sends no more
	closed  atomic.Bool
}

var _ net.Conn = (*Stream)(nil)

// Read reads what the peer wrote.
func (c *Stream) Read(p []byte) (int, error) {
	n, err := c.s.Read(p)
	if err != nil && err != io.EOF {
		err = c.readError(err)
	}
	return n, err
}

// Write returns when all of p is sent or queued to be.
func (c *Stream) Write(p []byte) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if c.ended || c.closed.Load() {
		return 0, c.opError("write", net.ErrClosed)
	}
	n, err := c.s.Write(p)
	if err != nil {
		err = c.writeError(err)
	}
	return n, err
}

// CloseWrite says that no more will be written; the peer reads io.EOF after what was. A Write under way is waited for.
func (c *Stream) CloseWrite() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	return c.finish()
}

// Close ends the stream for this side: see the package comment.
func (c *Stream) Close() error {
	if c.closed.Swap(true) {
		return nil
	}
	defer c.done()
	c.s.CancelRead(streamClosed)
	if !c.writing.TryLock() {
		// A Write is under way. What it had to say is cut in two, and the peer must not take the first part for all.
		c.s.CancelWrite(streamAborted)
		return nil
	}
	defer c.writing.Unlock()
	return c.finish()
}

// Abort breaks the stream off: the peer's Read returns ErrReset, unless it had read everything.
func (c *Stream) Abort() {
	if c.closed.Swap(true) {
		return
	}
	defer c.done()
	c.s.CancelRead(streamClosed)
	c.s.CancelWrite(streamAborted)
}

// finish sends the end of our side. The caller holds writing.
func (c *Stream) finish() error {
	if c.ended {
		return nil
	}
	c.ended = true
	// The only error is that the peer had stopped reading, which is no failure to close.
	_ = c.s.Close()
	return nil
}

// LocalAddr is the endpoint's address.
func (c *Stream) LocalAddr() net.Addr { return c.session.conn.LocalAddr() }

// RemoteAddr is the peer's address.
func (c *Stream) RemoteAddr() net.Addr { return c.session.conn.RemoteAddr() }

// Session is the session that the stream belongs to.
func (c *Stream) Session() *Session { return c.session }

// SetDeadline sets both deadlines.
func (c *Stream) SetDeadline(t time.Time) error { return c.s.SetDeadline(t) }

// SetReadDeadline sets the deadline of reads, also of one under way; zero for none.
func (c *Stream) SetReadDeadline(t time.Time) error { return c.s.SetReadDeadline(t) }

// SetWriteDeadline sets the deadline of writes, also of one under way; zero for none.
func (c *Stream) SetWriteDeadline(t time.Time) error { return c.s.SetWriteDeadline(t) }

func (c *Stream) readError(err error) error { return c.opError("read", c.mapError(err, ErrReset)) }

func (c *Stream) writeError(err error) error {
	return c.opError("write", c.mapError(err, ErrPeerClosed))
}

func (c *Stream) mapError(err, remote error) error {
	var se *quic.StreamError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return os.ErrDeadlineExceeded
	case c.closed.Load():
		return net.ErrClosed
	case errors.As(err, &se) && se.Remote && se.ErrorCode == streamRefused:
		return ErrBusy
	case errors.As(err, &se) && se.Remote:
		return remote
	case errors.As(err, &se):
		return net.ErrClosed
	default:
		return c.session.closedError(err)
	}
}

// opError dresses err as package net does: net.OpError passes Timeout and errors.Is through.
func (c *Stream) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "galleon", Addr: c.RemoteAddr(), Err: err}
}
