package wan

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// readBatch is how many frames are read from one site before the others, and what is due, get their turn.
const readBatch = 32

// slice is how long the thread asks to run at a time: the shorter, the sooner the scheduler (EEVDF) lets it go
// before threads that compute.
const slice = 200 * time.Microsecond

// prefer asks that the calling thread be woken on time. That timers are not late on purpose (by 50 µs for ordinary
// threads; one nanosecond is the least that can be asked for) and a short slice are granted to anyone, a nice value below 0
// to root alone. A real-time class was tried and refused: Linux 6.12 and later take the processor from it for 50 ms at a time
// to save ordinary threads from starving.
func prefer() {
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	for _, nice := range []int32{-15, 0} {
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: nice, Runtime: uint64(slice)}
		if unix.SchedSetAttr(0, &attr, 0) == nil {
			return
		}
	}
}

// Run carries packets until ctx ends. It takes a thread for itself and leaves it changed, so call it on a
// goroutine of its own, and see to it that the process has a processor to spare (runtime.GOMAXPROCS): a thread
// that waits for one delivers late.
func (n *Network) Run(ctx context.Context) error {
	runtime.LockOSThread() // and never unlock: the thread ends with the goroutine
	prefer()
	stop := context.AfterFunc(ctx, n.kick)
	defer stop()

	n.mu.Lock()
	n.running, n.thread, n.changed = true, unix.Gettid(), true
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.running = false
		for _, f := range n.calls {
			f()
		}
		n.calls = nil
		n.stats.cpu += n.threadCPU()
		n.thread = 0
	}()

	var fds []unix.PollFd
	var sites []*site
	for ctx.Err() == nil {
		n.deliver()
		for i, s := range sites {
			if fds[i+1].Revents != 0 && s.fd >= 0 {
				n.receive(s)
				n.deliver()
			}
		}
		if len(fds) > 0 && fds[0].Revents != 0 {
			var b [8]byte
			unix.Read(n.wake, b[:])
			n.call()
		}
		if n.changed {
			n.changed = false
			sites = slices.Collect(maps.Values(n.sites))
			fds = append(fds[:0], unix.PollFd{Fd: int32(n.wake), Events: unix.POLLIN})
			for _, s := range sites {
				fds = append(fds, unix.PollFd{Fd: int32(s.fd), Events: unix.POLLIN})
			}
		}
		var sleep *unix.Timespec
		if due, ok := n.flight.next(); ok {
			t := unix.NsecToTimespec(int64(max(0, due-n.now())))
			sleep = &t
		}
		if _, err := unix.Ppoll(fds, sleep, nil); errors.Is(err, unix.EINTR) {
			for i := range fds {
				fds[i].Revents = 0
			}
		} else if err != nil {
			return fmt.Errorf("wait for packets: %w", err)
		}
	}
	return nil
}

// receive reads what a site has sent and puts it on its links.
func (n *Network) receive(s *site) {
	for range readBatch {
		f := s.scratch[:cap(s.scratch)]
		head := 0
		if !s.dev.vnet {
			head = vnetLen
			clear(f[:vnetLen])
		}
		size, err := unix.Read(s.fd, f[head:])
		if err != nil {
			if err != unix.EAGAIN && err != unix.EINTR {
				s.count.ReadErrors++
			}
			return
		}
		s.scratch = n.send(s, frame(f[:head+size]))
	}
}

// send puts one frame on its link. It gives back a buffer for the next frame: the frame's own, unless that is
// in flight now.
func (n *Network) send(s *site, f frame) []byte {
	own := []byte(f)
	now := n.now()
	s.count.Frames++
	shape, err := f.read()
	if err != nil {
		s.count.Malformed++
		return own
	}
	if shape.Segments > 1 {
		s.count.Super++
	}
	to := n.lookup(shape.Dst)
	if to == nil || to == s || !s.owns(shape.Src) {
		if !shape.Dst.IsMulticast() { // neighbours' and routers' chatter ends at the first router
			n.stats.stray(s.name, shape, f)
		}
		return own
	}
	p := s.out[to]
	n.runs = p.link.Send(now, shape.Burst, n.runs[:0])
	if len(n.runs) == 1 && n.runs[0].Count == shape.Segments {
		if len(f) > bufferSizes[len(bufferSizes)-2] {
			n.launch(n.runs[0].At, p, f, shape.Segments) // no copy; read into another buffer
			return n.buffers.get(maxFrame)
		}
		n.launch(n.runs[0].At, p, append(n.buffers.get(len(f)), f...), shape.Segments)
		return own
	}
	for _, r := range n.runs {
		var part frame
		if r.Count == shape.Segments {
			part = append(n.buffers.get(len(f)), f...) // a duplicate of a whole
		} else {
			s.count.Parts++
			part = f.cut(shape, r.First, r.Count, n.buffers.get(vnetLen+shape.headers+r.Count*f.gsoSize()))
		}
		n.launch(r.At, p, part, r.Count)
	}
	return own
}

func (n *Network) launch(at Instant, p *path, f frame, count int) {
	if n.flight.bytes > maxFlight {
		n.stats.overflow += uint64(count)
		n.buffers.put(f)
		return
	}
	n.flight.push(arrival{at: at, frame: f, path: p, cuts: p.link.Cuts(), count: count})
}

// deliver writes every frame that is due into the device of its destination.
func (n *Network) deliver() {
	now := n.now()
	for {
		due, ok := n.flight.next()
		if !ok || due > now {
			return
		}
		a := n.flight.pop()
		if to := a.path.to; to.fd >= 0 && a.path.link.Arrives(a.cuts, a.count) {
			b := []byte(a.frame)
			if !to.dev.vnet {
				b = a.frame.packet()
			}
			if _, err := unix.Write(to.fd, b); err != nil {
				to.count.WriteErrors++
			}
			now = n.now()
			n.stats.late.add(now - a.at)
		}
		n.buffers.put(a.frame)
	}
}

func (n *Network) lookup(a netip.Addr) *site {
	if s := n.exact[a]; s != nil {
		return s
	}
	for _, r := range n.wide {
		if r.Contains(a) {
			return r.to
		}
	}
	return nil
}

func (s *site) owns(a netip.Addr) bool {
	for _, p := range s.prefixes {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// threadCPU is the processor time of Run's thread. The clock's number is the kernel's encoding of a thread
// (clock_getcpuclockid); it may be read from any thread of the process.
func (n *Network) threadCPU() time.Duration {
	if n.thread == 0 {
		return 0
	}
	const perThread, scheduler = 4, 2
	var t unix.Timespec
	if unix.ClockGettime(int32(^n.thread<<3|perThread|scheduler), &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
