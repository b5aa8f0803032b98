// Package kernel is the door to the kernel's network configuration: it observes what is there, applies one
// change at a time, and tells when something may have changed. What to change is decided in netcfg/plan.
//
// Open gives the real kernel (Linux, through netlink and nftables); kerneltest has one in memory; the
// contract suite in kerneltest runs on both.
//
// What experience with netlink went into the real one:
//   - A dump that the kernel interrupts can come back short or empty without an error of its own. It is
//     asked for again until it is whole, and never read as "nothing there".
//   - Deleting a route names prefix, metric, protocol, table, type and scope: less would match another's.
//   - The IPv4 routes of a device that goes away vanish without an event, so a link event is enough reason
//     to look at everything.
//   - A subscription ends when its buffer overflows. Then Events' channel is closed; the caller looks at
//     everything and asks for a new one.
//   - One routing socket asks, for the life of the Kernel, in the namespace in which it was opened; a second
//     one listens.
package kernel

import (
	"context"
	"errors"

	"github.com/galleon-net/galleon/netcfg/plan"
)

// Errors that a caller may want to tell apart.
var (
	// ErrNoFilter: nftables cannot be used here, now and probably ever.
	ErrNoFilter = errors.New("nftables cannot be used")
	// ErrGone: what a change was about is not there (any more). The next look will tell.
	ErrGone = errors.New("not there any more")
	// ErrTaken: a route, address or rule is there already. The next look will tell whose.
	ErrTaken = errors.New("there already")
)

// Event says that something may have changed.
type Event struct {
	What string // link, address, route or rule
}

// Kernel is one network namespace. Observe and Apply are called by one goroutine.
type Kernel interface {
	// Observe reads everything within the scope, or fails: it never returns half of it.
	Observe(ctx context.Context, s plan.Scope) (plan.Found, error)
	// Apply makes one change. Errors wrap one of the above where it fits.
	Apply(ctx context.Context, c plan.Change) error
	// Events subscribes to changes of links, of addresses, of rules, and of routes in table. The channel
	// holds one event, since one is reason enough to look, and is closed when the subscription ended:
	// by itself, or because ctx did.
	Events(ctx context.Context, table int) (<-chan Event, error)
	// Close frees the sockets. It changes nothing in the kernel.
	Close() error
}
