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

// DefaultBuffer is the size in octets that is asked for each socket's receive and send buffers. The kernel
// grants twice that and charges what packets cost to keep: 8 MiB of payload in runs, 5 MiB in datagrams of
// 1,400 octets, 10,000 datagrams of 88, which is 15 ms at 4 Gbit/s. A quarter of it lost packets under load;
// four times as much lost no fewer and was slower (tests/bench/results/2026-11-24-underlay-buffers.md).
const DefaultBuffer = 4 << 20

// Options are what a socket is opened with. The zero value is usable.
type Options struct {
	Mark        int  // SO_MARK, so that policy routing keeps the tunnel out of the tunnel; 0 sets none; needs CAP_NET_ADMIN
	ReadBuffer  int  // octets; 0 means DefaultBuffer
	WriteBuffer int  // octets; 0 means DefaultBuffer
	NoOffload   bool // one datagram at a time, also where the kernel takes runs

	// Readers is how many sockets the port shall have, each with a receive buffer of its own and to be read by
	// ReadBatch; see the package comment for what arrives where. 0 means 1, more than MaxReaders are not opened.
	Readers int
	// Lanes is how many source ports Packet.Lane chooses from. 0 means 1, the port itself; more than
	// wire.MaxLanes are not opened.
	Lanes int
}

// network is what a Socket stands on: the kernel, or a simulation.
type network interface {
	readers() int
	// read waits for at least one packet and reads up to len(p) into the capacity of the Bufs, which may
	// change places. It returns how many packets are there, perhaps none, and how many datagrams did not fit.
	read(reader int, p []Packet) (n, cut int, err error)
	// write sends all it can. It counts nothing and returns what failed, joined, each as a *SendError.
	write(p []Packet) error
	offloads() Offloads
	readerStats() []ReaderStats
	laneCount() int
	files() ([]*os.File, error)
	buffers() (read, write int)
	LocalAddr() net.Addr
	SetReadDeadline(time.Time) error
	Close() error
}

// Socket is the port. See the package comment for who may do what.
type Socket struct {
	net     network
	readMu  []sync.Mutex // one goroutine for each reader
	quic    *quicConn
	carrier atomic.Pointer[func(netip.AddrPort, []byte) error]
	count   counters
	short   *shortfalls
}

func newSocket(n network, short *shortfalls) *Socket {
	s := &Socket{net: n, readMu: make([]sync.Mutex, n.readers()), short: short}
	s.quic = newQUICConn(s)
	return s
}

// Readers is how many ReadBatch may be called for; see the package comment for what comes where.
func (s *Socket) Readers() int { return len(s.readMu) }

// ReadBatch waits until at least one Galleon packet is there for a reader, from 0 to Readers()-1, and reads
// up to len(p) of them, which may be runs. Each is read into the whole capacity of its Buf, which is then cut
// to what was read; the Bufs may change places. Give them ReadLen octets: a run that does not fit is lost
// from the datagram on that does not. QUIC packets that arrive meanwhile go to QUIC. Nothing is allocated
// per packet.
//
// It returns an error that wraps net.ErrClosed after Close, and a timeout past the read deadline.
func (s *Socket) ReadBatch(reader int, p []Packet) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(p) > MaxBatch {
		p = p[:MaxBatch]
	}
	s.readMu[reader].Lock()
	defer s.readMu[reader].Unlock()
	for {
		n, cut, err := s.net.read(reader, p)
		s.count.truncated.Add(uint64(cut))
		if err != nil {
			return 0, fmt.Errorf("read UDP %s: %w", s.LocalAddr(), err)
		}
		if n = s.sort(p[:n]); n > 0 {
			return n, nil
		}
	}
}

// Pump reads until ctx ends, for a process that speaks QUIC only; Galleon packets are dropped. It
// returns nil when ctx ended or the socket was closed.
func (s *Socket) Pump(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	pump := func(reader int) error {
		p := make([]Packet, 4)
		for i := range p {
			p[i].Buf = make([]byte, ReadLen)
		}
		for {
			if _, err := s.ReadBatch(reader, p); err != nil {
				if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
					return nil
				}
				return err
			}
		}
	}
	// All must be read: the kernel may divide otherwise than it was asked to.
	var others sync.WaitGroup
	errs := make([]error, s.Readers())
	for r := 1; r < s.Readers(); r++ {
		others.Go(func() { errs[r] = pump(r) })
	}
	errs[0] = pump(0)
	others.Wait()
	return errors.Join(errs...)
}

// WriteBatch sends every packet it can, in order; what fails does not stop the rest. The error joins
// a *SendError for each destination that failed (SendErrors lists them); errors.Is with ErrTooBig tells
// those of datagrams that the interface cannot carry. Nothing is allocated per packet sent. A run of more
// than MaxRun datagrams or MaxRunOctets panics.
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
	var octets, sent, runs uint64
	whole := s.net.offloads().Segment
	for i := range p {
		p[i].check()
		octets += uint64(len(p[i].Buf))
		n := p[i].Count()
		sent += uint64(n)
		if whole && n > 1 {
			runs++
		}
	}
	if err := s.net.write(p); err != nil {
		for _, e := range SendErrors(err) {
			sent -= uint64(e.Packets)
			octets -= uint64(e.Octets)
			s.countError(e)
		}
		errs = errors.Join(errs, err)
	}
	s.count.out.Add(sent)
	s.count.outRuns.Add(runs)
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

// Buffers returns the sizes in octets of the receive and send buffers that the kernel granted, or
// zeros on a simulated network. They are smaller than asked where SO_RCVBUFFORCE is refused.
func (s *Socket) Buffers() (read, write int) { return s.net.buffers() }

// LocalAddr is the address listened on; the port is the one chosen if 0 was asked.
func (s *Socket) LocalAddr() netip.AddrPort { return addrPort(s.net.LocalAddr()) }

// Lanes is how many source ports there are.
func (s *Socket) Lanes() int { return s.net.laneCount() }

// Files returns descriptors of the same port and its lanes for another process, in the order that FromFiles
// wants; the socket stays usable. Whoever receives the Files closes them. Packets go to whichever process
// reads first, so stop reading here.
func (s *Socket) Files() ([]*os.File, error) { return s.net.files() }

// SetReadDeadline ends every ReadBatch that waits beyond t; the zero time means never.
func (s *Socket) SetReadDeadline(t time.Time) error { return s.net.SetReadDeadline(t) }

// Close closes the port and QUIC's side of it.
func (s *Socket) Close() error {
	s.quic.Close()
	return s.net.Close()
}
