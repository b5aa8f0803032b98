package tunnel

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
)

// Event is something that happened at an endpoint or in a pool.
type Event interface {
	Name() string
	slog.LogValuer
}

// SessionUp: a session began.
type SessionUp struct {
	Peer   keys.Identity
	ALPN   string
	Addr   netip.AddrPort
	Dialed bool
}

// SessionDown: a session ended, or was refused after the peer was known.
type SessionDown struct {
	Peer   keys.Identity
	ALPN   string
	Addr   netip.AddrPort
	Dialed bool
	Lived  time.Duration
	Err    error
}

// Refused: somebody who connected was turned away before there was a session.
type Refused struct {
	Addr netip.AddrPort
	ALPN string // empty when it was not known yet
	Err  error
}

// DialFailed: an attempt to reach a peer failed at every address.
type DialFailed struct {
	Peer  topo.RouterID
	ALPN  string
	Err   error
	Retry time.Duration // until the pool tries again
}

// Silent: nothing has come from a peer for a while, and the pool looks for another way to it.
type Silent struct {
	Peer  topo.RouterID
	ALPN  string
	Addr  netip.AddrPort
	Since time.Duration
}

// StreamRefused: a peer opened more streams than its limit.
type StreamRefused struct {
	Peer keys.Identity
	ALPN string
}

// BudgetSpent: the receive windows of the endpoint have reached their budget (once until it has recovered).
type BudgetSpent struct{ Bytes int64 }

// Name of the event.
func (SessionUp) Name() string { return "tunnel.session.up" }

// Name of the event.
func (SessionDown) Name() string { return "tunnel.session.down" }

// Name of the event.
func (Refused) Name() string { return "tunnel.refused" }

// Name of the event.
func (DialFailed) Name() string { return "tunnel.dial.failed" }

// Name of the event.
func (Silent) Name() string { return "tunnel.session.silent" }

// Name of the event.
func (StreamRefused) Name() string { return "tunnel.stream.refused" }

// Name of the event.
func (BudgetSpent) Name() string { return "tunnel.budget.spent" }

// LogValue gives the event's fields.
func (e SessionUp) LogValue() slog.Value {
	return slog.GroupValue(slog.String("peer", e.Peer.String()), slog.String("alpn", e.ALPN),
		slog.String("addr", e.Addr.String()), slog.Bool("dialed", e.Dialed))
}

// LogValue gives the event's fields.
func (e SessionDown) LogValue() slog.Value {
	return slog.GroupValue(slog.String("peer", e.Peer.String()), slog.String("alpn", e.ALPN),
		slog.String("addr", e.Addr.String()), slog.Bool("dialed", e.Dialed), slog.Duration("lived", e.Lived), errAttr(e.Err))
}

// LogValue gives the event's fields.
func (e Refused) LogValue() slog.Value {
	return slog.GroupValue(slog.String("addr", e.Addr.String()), slog.String("alpn", e.ALPN), errAttr(e.Err))
}

// LogValue gives the event's fields.
func (e DialFailed) LogValue() slog.Value {
	return slog.GroupValue(slog.String("peer", e.Peer.String()), slog.String("alpn", e.ALPN),
		slog.Duration("retry", e.Retry), errAttr(e.Err))
}

// LogValue gives the event's fields.
func (e Silent) LogValue() slog.Value {
	return slog.GroupValue(slog.String("peer", e.Peer.String()), slog.String("alpn", e.ALPN),
		slog.String("addr", e.Addr.String()), slog.Duration("since", e.Since))
}

// LogValue gives the event's fields.
func (e StreamRefused) LogValue() slog.Value {
	return slog.GroupValue(slog.String("peer", e.Peer.String()), slog.String("alpn", e.ALPN))
}

// LogValue gives the event's fields.
func (e BudgetSpent) LogValue() slog.Value { return slog.GroupValue(slog.Int64("bytes", e.Bytes)) }

func errAttr(err error) slog.Attr {
	if err == nil {
		return slog.String("err", "")
	}
	return slog.String("err", err.Error())
}
