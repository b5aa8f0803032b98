package wan

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readBatch is how many frames are read from one site before the others, and what is due, get their turn.
const readBatch = 32

// A thread that is preferred to all others is woken for every single packet, which costs more than to carry it. So when
// more than busyFrames came within a busyWindow, it lets those of a nap come together.
const (
	busyWindow = time.Millisecond
	busyFrames = 6
	nap        = 50 * time.Microsecond
)

// shortSlice is how long a thread asks to run at a time: the shorter, the sooner an ordinary scheduler lets it go first.
const shortSlice = 100 * time.Microsecond

// Prefer asks that the calling thread, and the processes that it starts, be woken on time. A real-time class, before all
// that computes, is granted to root alone. Anyone may have timers that are not late on purpose (by 50 µs for ordinary
// threads; one nanosecond is the least that can be asked for) and a short slice.
func Prefer() {
	unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
	if unix.SchedSetAttr(0, &attr, 0) != nil {
		attr = unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Runtime: uint64(shortSlice)}
		unix.SchedSetAttr(0, &attr, 0)
	}
}

// Run carries packets until ctx ends. It keeps time best when it has a process for itself, all of whose threads are
// preferred: see Serve.
func (n *Network) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, n.kick)
	defer stop()

	n.mu.Lock()
	n.running, n.changed = true, true
	n.mu.Unlock()
	defer func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.running = false
		for _, f := range n.calls {
			f()
		}
		n.calls = nil
	}()

	var fds []unix.PollFd
	var sites []*site
	var window Instant // when the present busyWindow began
	frames := 0        // read in it
	for ctx.Err() == nil {
		n.deliver()
		for i, s := range sites {
			if fds[i+1].Revents != 0 && s.fd >= 0 {
				frames += n.receive(s)
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
		if now := n.now(); now-window > busyWindow {
			window, frames = now, 0
		} else if frames > busyFrames {
			sleepFor(nap)
		}
		if err := poll(fds, sleep); err == unix.EINTR {
			for i := range fds {
				fds[i].Revents = 0
			}
		} else if err != nil {
			return fmt.Errorf("wait for packets: %w", err)
		}
	}
	return nil
}

// receive reads what a site has sent and puts it on its links, and says how many frames it was.
func (n *Network) receive(s *site) int {
	for i := range readBatch {
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
			return i
		}
		s.scratch = n.send(s, frame(f[:head+size]))
	}
	return readBatch
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

// poll waits until a descriptor is ready or so long, in a way that the Go scheduler does not see: it believes that the
// goroutine computes, and lets it keep its processor. Otherwise another thread would be asked for one at every wake-up, and
// on a busy machine that is when milliseconds go by. The scheduler's signals (SIGURG) end the wait with EINTR, so that a
// garbage collection need not wait for a packet.
func poll(fds []unix.PollFd, d *unix.Timespec) error {
	_, _, e := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&fds[0])), uintptr(len(fds)), uintptr(unsafe.Pointer(d)), 0, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// sleepFor sleeps, kept from the Go scheduler as poll is.
func sleepFor(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&t)), 0, 0)
}
