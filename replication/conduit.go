package replication

import (
	"net"
	"sync/atomic"
	"time"
)

// silence is how long a stream may say nothing, and how long one piece of a Write may take. Either end pings
// every pingPeriod when it has nothing else to say.
const (
	silence    = 20 * time.Second
	pingPeriod = 5 * time.Second
	// writePiece is how many bytes must pass within one silence: 25 kbit/s keep a stream alive.
	writePiece = 64 << 10
)

// conduit is a stream that nothing waits on for longer than silence, and that cut ends for good from
// any goroutine.
type conduit struct {
	net.Conn
	isCut atomic.Bool
}

// cut makes every Read and Write fail, those under way too.
func (c *conduit) cut() {
	// In this order, and the opposite one below: whoever sets a deadline over this one sees isCut.
	c.isCut.Store(true)
	_ = c.SetDeadline(time.Unix(1, 0))
}

func (c *conduit) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(silence)); err != nil {
		return 0, err
	}
	if c.isCut.Load() {
		return 0, net.ErrClosed
	}
	return c.Conn.Read(p)
}

func (c *conduit) Write(p []byte) (n int, err error) {
	for err == nil && n < len(p) {
		if err = c.SetWriteDeadline(time.Now().Add(silence)); err != nil {
			return n, err
		}
		if c.isCut.Load() {
			return n, net.ErrClosed
		}
		var m int
		m, err = c.Conn.Write(p[n:min(n+writePiece, len(p))])
		n += m
	}
	return n, err
}
