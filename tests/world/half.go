package world

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
)

// half is one running half of a router, and what dies with its process.
type half struct {
	cancel context.CancelFunc
	done   chan error
	conn   *mutable
	doors  []*opened
}

// begin runs a half until it is stopped.
func begin(conn *mutable, doors []*opened, run func(context.Context) error) *half {
	ctx, cancel := context.WithCancel(context.Background())
	h := &half{cancel: cancel, done: make(chan error, 1), conn: conn, doors: doors}
	go func() { h.done <- run(ctx) }()
	return h
}

// stop ends a half in order, as a signal does, and returns how it ended.
func (h *half) stop() error {
	h.cancel()
	err := <-h.done
	if errors.Is(err, context.Canceled) || h.conn.mute.Load() {
		return nil // who was killed has no last word
	}
	return err
}

// silence cuts a half from the rest of the world, in the middle of whatever it was saying. Nobody hears
// of what it does from then on; it is as good as dead, and can be ended at leisure.
func (h *half) silence() {
	h.conn.mute.Store(true)
	for _, o := range h.doors {
		o.slam()
	}
}

// mutable is a packet connection that can fall silent: what is written is lost, and nothing is heard.
type mutable struct {
	net.PacketConn
	// overlay, when set, takes what is written to addresses that are not on the underlay.
	overlay func(b []byte, to net.Addr) (taken bool, err error)
	mute    atomic.Bool
}

// ReadFrom implements net.PacketConn.
func (m *mutable) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := m.PacketConn.ReadFrom(b)
		if err != nil || !m.mute.Load() {
			return n, from, err
		}
	}
}

// WriteTo implements net.PacketConn.
func (m *mutable) WriteTo(b []byte, to net.Addr) (int, error) {
	if m.mute.Load() {
		return len(b), nil
	}
	if m.overlay != nil {
		if taken, err := m.overlay(b, to); taken {
			return len(b), err
		}
	}
	return m.PacketConn.WriteTo(b, to)
}

// SetReadBuffer and SetWriteBuffer have nothing to set; without them QUIC complains.
func (m *mutable) SetReadBuffer(int) error  { return nil }
func (m *mutable) SetWriteBuffer(int) error { return nil }
