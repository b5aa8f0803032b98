package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// StreamConfig says what a UDP stream sends.
type StreamConfig struct {
	To   netip.AddrPort // the receiver's address
	Size int            // bytes of the UDP payload; 200 when 0, at least 16
	Rate float64        // packets per second; 1,000 when 0
	For  time.Duration  // how long to send; until stopped when 0
}

// Stream is a one-way sequence of numbered UDP packets between two namespaces, at a steady rate. It finds what a ping is
// too coarse for: short gaps, the direction in which packets are lost, and the one-way delay (both ends are on one machine,
// so they have one clock).
type Stream struct {
	cfg  StreamConfig
	out  net.Conn
	in   *net.UDPConn
	stop context.CancelFunc
	done chan struct{}

	mu       sync.Mutex
	sent     uint64
	finished bool     // nothing more is sent
	seen     []uint64 // a bit for each number
	last     uint64   // highest number, plus 1
	lastAt   time.Time
	lastSent time.Time
	report   StreamReport
}

// Bounds of a stream.
const (
	streamHeader = 16       // number and time of sending
	maxStream    = 1 << 27  // packets; a bit each is 16 MiB
	streamBuffer = 32 << 20 // asked of the kernel for the receiver; without root it gives net.core.rmem_max
	keepDelays   = 1 << 17
	streamLinger = time.Second
)

// StartStream begins a stream from one namespace to an address in another.
func StartStream(ctx context.Context, from, to *NS, cfg StreamConfig) (*Stream, error) {
	if cfg.Size == 0 {
		cfg.Size = 200
	}
	if cfg.Rate == 0 {
		cfg.Rate = 1000
	}
	cfg.Size = max(cfg.Size, streamHeader)
	in, err := to.ListenPacket("udp", cfg.To.String())
	if err != nil {
		return nil, fmt.Errorf("receive a stream in %s: %w", to.Name(), err)
	}
	s := &Stream{cfg: cfg, in: in.(*net.UDPConn), done: make(chan struct{})}
	cfg.To = s.in.LocalAddr().(*net.UDPAddr).AddrPort() // the port that the kernel chose when it was 0
	if s.out, err = from.Dial(ctx, "udp", cfg.To.String()); err == nil {
		err = s.prepare()
	}
	if err != nil {
		in.Close()
		return nil, fmt.Errorf("send a stream from %s: %w", from.Name(), err)
	}
	ctx, s.stop = context.WithCancel(ctx)
	go s.run(ctx)
	return s, nil
}

// prepare has the kernel stamp arrivals, as Ping does, and tell how many it had no room for.
func (s *Stream) prepare() error {
	raw, err := s.in.SyscallConn()
	if err != nil {
		return err
	}
	var sockErr error
	err = raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, streamBuffer) != nil {
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, streamBuffer)
		}
		sockErr = errors.Join(unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1))
	})
	return errors.Join(err, sockErr)
}

// Stop ends the sending, waits for what is on its way, and gives the report.
func (s *Stream) Stop() StreamReport {
	s.stop()
	<-s.done
	return s.Report()
}

// Wait waits for the end of For, and gives the report.
func (s *Stream) Wait() StreamReport {
	<-s.done
	return s.Report()
}

func (s *Stream) run(ctx context.Context) {
	defer close(s.done)
	defer s.stop()
	received := make(chan struct{})
	go func() {
		defer close(received)
		s.receive()
	}()
	s.send(ctx)
	s.in.SetReadDeadline(time.Now().Add(streamLinger))
	if s.finish() {
		s.in.SetReadDeadline(time.Now())
	}
	<-received
	s.in.Close()
	s.out.Close()
}

// catchUp is how much of what a late timer has kept back is sent at once. More would be a burst that no queue was set
// for; it is left out, and the rate is missed.
const catchUp = 20 * time.Millisecond

// send keeps to the rate as well as the machine lets it.
func (s *Stream) send(ctx context.Context) {
	b := make([]byte, s.cfg.Size)
	start := time.Now()
	var left time.Duration // left out
	tick := time.NewTicker(max(time.Millisecond/2, time.Duration(float64(time.Second)/s.cfg.Rate)))
	defer tick.Stop()
	for ctx.Err() == nil {
		elapsed := time.Since(start)
		if s.cfg.For > 0 && elapsed >= s.cfg.For {
			return
		}
		if behind := elapsed - time.Duration(float64(s.count())/s.cfg.Rate*float64(time.Second)) - left; behind > catchUp {
			left += behind - catchUp
		}
		due := uint64((elapsed-left).Seconds()*s.cfg.Rate) + 1
		for n := s.count(); n < min(due, maxStream); n++ {
			now := time.Now()
			binary.BigEndian.PutUint64(b, n)
			binary.BigEndian.PutUint64(b[8:], uint64(now.UnixNano()))
			s.mu.Lock()
			s.sent++
			s.lastSent = now
			s.mu.Unlock()
			if _, err := s.out.Write(b); err != nil {
				s.mu.Lock()
				s.report.SendErrors++
				s.mu.Unlock()
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (s *Stream) count() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

func (s *Stream) receive() {
	b, oob := make([]byte, 64<<10), make([]byte, 128)
	for {
		n, oobn, _, _, err := s.in.ReadMsgUDPAddrPort(b, oob)
		if errors.Is(err, net.ErrClosed) || isTimeout(err) {
			return
		}
		if err != nil || n < streamHeader {
			continue
		}
		at, overrun := control(oob[:oobn])
		number, sent := binary.BigEndian.Uint64(b), time.Unix(0, int64(binary.BigEndian.Uint64(b[8:])))
		if number < maxStream && s.arrive(number, n, sent, at, overrun) {
			return
		}
	}
}

// finish says that nothing more is sent, and whether all that was has arrived.
func (s *Stream) finish() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished = true
	return s.report.Received == s.sent
}

// arrive counts a packet and says whether it was the last.
func (s *Stream) arrive(number uint64, n int, sent, at time.Time, overrun uint32) (last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.report
	r.Overrun = max(r.Overrun, uint64(overrun))
	word, bit := number/64, uint64(1)<<(number%64)
	for uint64(len(s.seen)) <= word {
		s.seen = append(s.seen, 0)
	}
	if s.seen[word]&bit != 0 {
		r.Duplicates++
		return false
	}
	s.seen[word] |= bit
	if number < s.last {
		r.Reordered++
	}
	s.last = max(s.last, number+1)
	delay := at.Sub(sent)
	if r.Received == 0 {
		r.First, r.DelayMin = at, delay
	} else {
		r.LongestGap = max(r.LongestGap, at.Sub(s.lastAt))
	}
	s.lastAt, r.Last = at, at
	r.Received++
	r.Bytes += uint64(n)
	r.DelayMin, r.DelayMax = min(r.DelayMin, delay), max(r.DelayMax, delay)
	r.delaySum += delay
	if len(r.Delays) < keepDelays {
		r.Delays = append(r.Delays, delay)
		r.Arrivals = append(r.Arrivals, at.Sub(r.First))
	}
	return s.finished && r.Received == s.sent
}

// Report gives what was seen so far.
func (s *Stream) Report() StreamReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.report
	r.Delays, r.Arrivals = slices.Clone(r.Delays), slices.Clone(r.Arrivals)
	r.Sent = s.sent
	if r.Received > 0 {
		r.DelayMean = r.delaySum / time.Duration(r.Received)
		r.LongestGap = max(r.LongestGap, s.lastSent.Sub(s.lastAt))
	}
	return r
}
