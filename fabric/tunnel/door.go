package tunnel

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
)

// Handshakes under way, of clients that have proved nothing yet.
const (
	// retryAbove is from how many on every client must first show that it receives at its address.
	retryAbove = 50
	// maxHandshakes is from how many on connections are refused.
	maxHandshakes = 512
)

// door decides who may begin a handshake. A source that uses up its bucket without having shown its address is asked
// to (Retry): its packets may be somebody else's, sent to shut the true owner out. A source that has shown it has
// a second bucket, and is refused when that too is empty.
type door struct {
	claimed, shown *sources
	budget         *budget
	handshakes     atomic.Int64
}

func newDoor(b *budget) *door {
	return &door{claimed: newSources(), shown: newSources(), budget: b}
}

// wantsRetry is quic-go's question about the first packet of a client that has not shown its address.
func (d *door) wantsRetry(a net.Addr) bool {
	return d.handshakes.Load() >= retryAbove || !d.claimed.allow(addrPort(a).Addr(), time.Now())
}

// ticket is what a connection carries from the door to its end.
type ticket struct {
	account *account
	done    func() // the handshake is over, one way or the other; idempotent
}

type ticketKey struct{}

// enter is quic-go's question before a handshake begins; an error refuses it. ctx ends with the connection.
func (d *door) enter(ctx context.Context, info *quic.ClientInfo) (context.Context, error) {
	if info.AddrVerified && !d.shown.allow(addrPort(info.RemoteAddr).Addr(), time.Now()) {
		return nil, errors.New("too many handshakes from this source")
	}
	if d.handshakes.Add(1) > maxHandshakes {
		d.handshakes.Add(-1)
		return nil, errors.New("too many handshakes")
	}
	a, ok := d.budget.open(initialSessionWindow)
	if !ok {
		d.handshakes.Add(-1)
		return nil, errors.New("no room for another receive window")
	}
	t := &ticket{account: a, done: sync.OnceFunc(func() { d.handshakes.Add(-1) })}
	context.AfterFunc(ctx, func() {
		t.done()
		d.budget.close(a)
	})
	return context.WithValue(ctx, ticketKey{}, t), nil
}
