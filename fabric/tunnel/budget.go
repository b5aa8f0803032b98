package tunnel

import (
	"sync"

	"github.com/quic-go/quic-go"
)

// budget is the hard bound on the bytes that an endpoint may have to hold for readers that stall: the sum of the
// receive windows of all its connections. A quarter of it is kept for the first windows of new connections, so
// that peers with grown windows cannot keep others out.
//
// quic-go asks for every growth of a connection's window through AllowConnectionWindowIncrease, holding locks of its
// own: nothing here calls back into it, and alarm must not block.
type budget struct {
	mu    sync.Mutex
	limit int64
	used  int64
	spent bool // a growth was refused since the last release
	conns map[*quic.Conn]*account
	alarm func(used int64)
}

// account is what one connection uses of the budget. Its fields are guarded by the budget's mu.
type account struct {
	conn   *quic.Conn // nil until attached
	window int64      // now
	most   int64      // by the limits of its ALPN
	closed bool
}

func newBudget(limit int64, alarm func(int64)) *budget {
	return &budget{limit: limit, conns: make(map[*quic.Conn]*account), alarm: alarm}
}

// open reserves the first window of a connection; false when even that does not fit.
func (b *budget) open(first int64) (*account, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+first > b.limit {
		return nil, false
	}
	b.used += first
	return &account{window: first, most: first}, true
}

// attach says which connection an account is for, and how far its window may grow. Until then it may not.
func (b *budget) attach(a *account, c *quic.Conn, most int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.closed {
		return // the connection was faster
	}
	a.conn, a.most = c, most
	b.conns[c] = a
}

// grow is quic-go's question.
func (b *budget) grow(c *quic.Conn, delta uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.conns[c]
	if a == nil || delta > uint64(a.most-a.window) {
		return false
	}
	if b.used+int64(delta) > b.limit/4*3 {
		if !b.spent {
			b.spent = true
			b.alarm(b.used)
		}
		return false
	}
	a.window += int64(delta)
	b.used += int64(delta)
	return true
}

// close gives an account back, when its connection has ended.
func (b *budget) close(a *account) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.closed {
		return
	}
	a.closed = true
	b.used -= a.window
	b.spent = false
	delete(b.conns, a.conn)
}
