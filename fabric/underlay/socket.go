package underlay

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/galleon-net/galleon/fabric/wire"
)

// MaxBatch is how many packets one system call moves. Longer batches are cut.
const MaxBatch = 64

// DefaultBuffer is the size in octets that is asked for the socket's receive and send buffers: 30 ms
// at 1 Gbit/s, so that the reader may be away for one scheduling slice.
const DefaultBuffer = 4 << 20

// Packet is one datagram and the address it came from or goes to.
type Packet struct {
	Buf  []byte // the whole datagram
	Addr netip.AddrPort
}

// Options are what a socket is opened with. The zero value is usable.
type Options struct {
	Mark        int // SO_MARK, so that policy routing keeps the tunnel out of the tunnel; 0 sets none; needs CAP_NET_ADMIN
	ReadBuffer  int // octets; 0 means DefaultBuffer
	WriteBuffer int // octets; 0 means DefaultBuffer
}

// Stats counts since the socket was made. All numbers only grow.
type Stats struct {
	In, Out             uint64 // Galleon datagrams
	InBytes, OutBytes   uint64 // their octets
	QUICIn, QUICOut     uint64 // QUIC datagrams to and from the real network
	CarriedIn           uint64 // QUIC datagrams brought by the carrier
	CarriedOut          uint64 // QUIC datagrams given to it
	KernelDrops         uint64 // arrived, but the receive buffer was full (SO_RXQ_OVFL)
	QueueDrops          uint64 // QUIC datagrams for which the queue was full
	Truncated           uint64 // longer than the buffer they were read into
	Strange             uint64 // neither Galleon nor QUIC, empty, or from a virtual address
	SendErrors, TooLong uint64 // datagrams that the kernel refused; of these, for their size
}

// counters are Stats as they are counted.
type counters struct {
	in, out, inBytes, outBytes, quicIn, quicOut, carriedIn, carriedOut atomic.Uint64
	queueDrops, truncated, strange, sendErrors, tooLong                atomic.Uint64
}

// network is what a Socket stands on: the kernel, or a simulation.
type network interface {
	// read waits for at least one datagram and reads up to len(p) into the capacity of the Bufs.
	// A datagram that did not fit comes without an address.
	read(p []Packet) (int, error)
	// write sends all it can. It counts nothing and returns what failed, joined, each as a *SendError.
	write(p []Packet) error
	kernelDrops() uint64
	file() (*os.File, error)
	buffers() (read, write int)
	LocalAddr() net.Addr
	SetReadDeadline(time.Time) error
	Close() error
}

// Socket is the port. See the package comment for who may do what.
type Socket struct {
	net     network
	readMu  sync.Mutex // one reader
	quic    *quicConn
	carrier atomic.Pointer[func(netip.AddrPort, []byte) error]
	count   counters
}

func newSocket(n network) *Socket {
	s := &Socket{net: n}
	s.quic = newQUICConn(s)
	return s
}

// ReadBatch waits until at least one Galleon packet is there and reads up to len(p) of them. Each is
// read into the whole capacity of its Buf, which is then cut to the datagram; the Bufs may change
// places. QUIC packets that arrive meanwhile go to QUIC. Nothing is allocated per packet.
//
// It returns an error that wraps net.ErrClosed after Close, and a timeout past the read deadline.
func (s *Socket) ReadBatch(p []Packet) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(p) > MaxBatch {
		p = p[:MaxBatch]
	}
	s.readMu.Lock()
	defer s.readMu.Unlock()
	for {
		n, err := s.net.read(p)
		if err != nil {
			return 0, fmt.Errorf("read UDP %s: %w", s.LocalAddr(), err)
		}
		if n = s.sort(p[:n]); n > 0 {
			return n, nil
		}
	}
}

// sort moves Galleon packets to the front and returns their number.
func (s *Socket) sort(p []Packet) int {
	ours := 0
	for i := range p {
		b := p[i].Buf
		switch {
		case !p[i].Addr.IsValid():
			s.count.truncated.Add(1)
		case len(b) == 0, IsVirtual(p[i].Addr):
			s.count.strange.Add(1)
		case wire.IsGalleon(b[0]):
			s.count.in.Add(1)
			s.count.inBytes.Add(uint64(len(b)))
			p[ours], p[i] = p[i], p[ours]
			ours++
		case wire.IsQUIC(b[0]):
			s.count.quicIn.Add(1)
			s.quic.push(b, p[i].Addr)
		default:
			s.count.strange.Add(1)
		}
	}
	return ours
}

// Pump reads until ctx ends, for a process that speaks QUIC only; Galleon packets are dropped. It
// returns nil when ctx ended or the socket was closed.
func (s *Socket) Pump(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	p := make([]Packet, 16)
	for i := range p {
		p[i].Buf = make([]byte, maxQUIC)
	}
	for {
		if _, err := s.ReadBatch(p); err != nil {
			if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return nil
			}
			return err
		}
	}
}

// WriteBatch sends every packet it can, in order; what fails does not stop the rest. The error joins
// a *SendError for each destination that failed (SendErrors lists them); errors.Is with ErrTooBig tells
// those of packets that the interface cannot carry. Nothing is allocated per packet sent.
func (s *Socket) WriteBatch(p []Packet) error {
	var errs error
	for len(p) > 0 {
		k := min(len(p), MaxBatch)
		errs = s.wrote(p[:k], errs)
		p = p[k:]
	}
	return errs
}

// wrote sends one batch and counts it.
func (s *Socket) wrote(p []Packet, errs error) error {
	var octets uint64
	for i := range p {
		octets += uint64(len(p[i].Buf))
	}
	sent := uint64(len(p))
	if err := s.net.write(p); err != nil {
		for _, e := range SendErrors(err) {
			sent -= uint64(e.Packets)
			octets -= uint64(e.Octets)
			s.countError(e)
		}
		errs = errors.Join(errs, err)
	}
	s.count.out.Add(sent)
	s.count.outBytes.Add(octets)
	return errs
}

func (s *Socket) countError(e *SendError) {
	s.count.sendErrors.Add(uint64(e.Packets))
	if errors.Is(e, ErrTooBig) {
		s.count.tooLong.Add(uint64(e.Packets))
	}
}

// QUIC is the side that quic-go is given. Closing it leaves the socket open.
func (s *Socket) QUIC() net.PacketConn { return s.quic }

// SetCarrier names who takes QUIC packets for virtual addresses. f must not keep b. Its error counts
// as a lost packet, which QUIC repairs.
func (s *Socket) SetCarrier(f func(to netip.AddrPort, b []byte) error) { s.carrier.Store(&f) }

// InjectQUIC puts a carried QUIC packet into QUIC's queue; from is a virtual address. b is copied.
func (s *Socket) InjectQUIC(b []byte, from netip.AddrPort) {
	if len(b) == 0 || !wire.IsQUIC(b[0]) || !IsVirtual(from) {
		s.count.strange.Add(1)
		return
	}
	s.count.carriedIn.Add(1)
	s.quic.push(b, from)
}

// Stats reads the counters.
func (s *Socket) Stats() Stats {
	c := &s.count
	return Stats{
		In: c.in.Load(), Out: c.out.Load(), InBytes: c.inBytes.Load(), OutBytes: c.outBytes.Load(),
		QUICIn: c.quicIn.Load(), QUICOut: c.quicOut.Load(),
		CarriedIn: c.carriedIn.Load(), CarriedOut: c.carriedOut.Load(),
		KernelDrops: s.net.kernelDrops(), QueueDrops: c.queueDrops.Load(),
		Truncated: c.truncated.Load(), Strange: c.strange.Load(),
		SendErrors: c.sendErrors.Load(), TooLong: c.tooLong.Load(),
	}
}

// Buffers returns the sizes in octets of the receive and send buffers that the kernel granted, or
// zeros on a simulated network. They are smaller than asked where SO_RCVBUFFORCE is refused.
func (s *Socket) Buffers() (read, write int) { return s.net.buffers() }

// LocalAddr is the address listened on; the port is the one chosen if 0 was asked.
func (s *Socket) LocalAddr() netip.AddrPort { return addrPort(s.net.LocalAddr()) }

// File returns a descriptor of the same port for another process; the socket stays usable. Whoever
// receives the File closes it. Packets go to whichever process reads first, so stop reading here.
func (s *Socket) File() (*os.File, error) { return s.net.file() }

// SetReadDeadline ends a ReadBatch that waits beyond t; the zero time means never.
func (s *Socket) SetReadDeadline(t time.Time) error { return s.net.SetReadDeadline(t) }

// Close closes the port and QUIC's side of it.
func (s *Socket) Close() error {
	s.quic.Close()
	return s.net.Close()
}
