package underlay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

const (
	// quicQueue is how many QUIC datagrams wait for quic-go. More are dropped and counted: QUIC takes
	// that for what it is, congestion.
	quicQueue = 1024
	// maxQUIC is the longest QUIC datagram in octets that is queued. quic-go sends 1,452 at the most.
	maxQUIC = 1500
)

// quicConn is the net.PacketConn that quic-go holds.
type quicConn struct {
	sock  *Socket
	ready chan struct{} // has an element when the ring may hold something
	done  chan struct{} // closed by Close
	read  deadline

	mu     sync.Mutex
	closed bool
	ring   [quicQueue]slot
	first  int
	n      int // in use, at most quicQueue
}

type slot struct {
	buf  []byte // allocated when first used, kept
	addr netip.AddrPort
}

func newQUICConn(s *Socket) *quicConn {
	return &quicConn{sock: s, ready: make(chan struct{}, 1), done: make(chan struct{}), read: newDeadline()}
}

// push copies a datagram into the queue, or drops it.
func (c *quicConn) push(b []byte, from netip.AddrPort) {
	c.mu.Lock()
	if c.closed || c.n == quicQueue || len(b) > maxQUIC {
		c.mu.Unlock()
		c.sock.count.queueDrops.Add(1)
		return
	}
	s := &c.ring[(c.first+c.n)%quicQueue]
	s.buf, s.addr = append(s.buf[:0], b...), from
	c.n++
	c.mu.Unlock()
	c.wake()
}

func (c *quicConn) wake() {
	select {
	case c.ready <- struct{}{}:
	default:
	}
}

// ReadFrom returns the next QUIC datagram; its address is a *net.UDPAddr, as quic-go expects.
func (c *quicConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		select { // the end comes before what is still queued
		case <-c.done:
			return 0, nil, fmt.Errorf("read QUIC queue: %w", net.ErrClosed)
		case <-c.read.wait():
			return 0, nil, fmt.Errorf("read QUIC queue: %w", os.ErrDeadlineExceeded)
		default:
		}
		if n, from, ok := c.pop(b); ok {
			return n, net.UDPAddrFromAddrPort(from), nil
		}
		select {
		case <-c.ready:
		case <-c.done:
		case <-c.read.wait():
		}
	}
}

func (c *quicConn) pop(b []byte) (int, netip.AddrPort, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == 0 {
		return 0, netip.AddrPort{}, false
	}
	s := &c.ring[c.first]
	c.first, c.n = (c.first+1)%quicQueue, c.n-1
	if c.n > 0 {
		c.wake() // another reader may wait
	}
	return copy(b, s.buf), s.addr, true
}

// WriteTo sends a QUIC datagram, or hands it to the carrier. quic-go ends a connection whose socket
// returns an error, for good; but a route that is missing for a second is no reason for that. Errors
// are therefore counted and swallowed as lost packets, except those that QUIC can act on.
func (c *quicConn) WriteTo(b []byte, to net.Addr) (int, error) {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return 0, fmt.Errorf("write QUIC: %w", net.ErrClosed)
	}
	ap := addrPort(to)
	if !ap.IsValid() {
		return 0, fmt.Errorf("write QUIC to %v: not a UDP address", to)
	}
	s := c.sock
	if IsVirtual(ap) {
		f := s.carrier.Load()
		if f == nil || (*f)(ap, b) != nil {
			s.count.sendErrors.Add(1)
			return len(b), nil
		}
		s.count.carriedOut.Add(1)
		return len(b), nil
	}
	if err := s.net.write([]Packet{{Buf: b, Addr: ap}}); err != nil {
		for _, e := range SendErrors(err) {
			s.countError(e)
		}
		if errors.Is(err, net.ErrClosed) || errors.Is(err, ErrTooBig) {
			return 0, err
		}
		return len(b), nil
	}
	s.count.quicOut.Add(1)
	return len(b), nil
}

// Close ends QUIC's side only.
func (c *quicConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.closed = true
		close(c.done)
		c.read.set(time.Time{}) // leaves no timer behind
	}
	return nil
}

func (c *quicConn) LocalAddr() net.Addr { return c.sock.net.LocalAddr() }

func (c *quicConn) SetReadDeadline(t time.Time) error { c.read.set(t); return nil }

// SetWriteDeadline has nothing to do: sending a datagram does not wait.
func (c *quicConn) SetWriteDeadline(time.Time) error { return nil }

func (c *quicConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadBuffer and SetWriteBuffer keep quic-go from warning that it cannot size the buffers: Listen
// has done it.
func (c *quicConn) SetReadBuffer(int) error { return nil }

// SetWriteBuffer does nothing, like SetReadBuffer.
func (c *quicConn) SetWriteBuffer(int) error { return nil }
