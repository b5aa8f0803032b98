package underlay

import (
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// span says which octets of which packet a message carries.
type span struct{ packet, from, to int }

// sending is one write on its way: what goes next, and what failed. A run is one message. When the kernel
// refuses that, its datagrams are sent one by one, which either shows that each of them has the fault, or
// that the kernel does not take runs.
//
//	EIO                the interface computes no checksums, or the path is transformed (IPsec): no more runs
//	EINVAL, EMSGSIZE   datagrams larger than the path's MTU, most likely; but if they pass one by one,
//	                   maxLessons times, then there are no more runs either
type sending struct {
	k      *kernel
	p      []Packet
	packet int // what goes next: the packet
	octet  int // and its octet
	apart  int // the packet whose run was refused, or -1
	why    syscall.Errno
	fault  bool // a datagram of it was refused too
	failed failures
}

// maxLessons is how many runs may be refused whose datagrams are not. One may be an MTU that changed between.
const maxLessons = 8

// write sends p, going on behind what the kernel refuses.
func (k *kernel) write(p []Packet) error {
	b := k.writers.Get().(*batch)
	defer k.writers.Put(b)
	w := sending{k: k, p: p, apart: -1}
	for w.packet < len(p) {
		lane, err := w.fill(b)
		if b.used == 0 {
			w.fail(len(p[w.packet].Buf), err)
			continue
		}
		if err := lane.raw.Write(b.call); err != nil { // closed, or past a deadline: all fail alike
			for w.packet < len(p) {
				w.fail(len(p[w.packet].Buf), err)
			}
		} else if b.errno != 0 {
			w.refused(b.spans[0], b.errno)
		} else {
			w.moveTo(b.spans[b.n-1])
		}
		b.release()
	}
	return w.failed.err()
}

// fill prepares messages as far as they leave by the same lane and their addresses fit the socket. When it
// prepares none, the error says what is wrong with the next packet.
func (w *sending) fill(b *batch) (lane *port, err error) {
	b.used, b.n, b.errno = 0, 0, 0
	number := w.p[w.packet].Lane
	lane = w.k.lane(number)
	octet := w.octet
	for i := w.packet; i < len(w.p) && b.used < MaxBatch && w.p[i].Lane == number; i++ {
		if err := w.add(b, lane, i, octet); err != nil {
			return lane, err
		}
		octet = 0
	}
	return lane, nil
}

// add prepares the messages of packet i, as many as there is room for.
func (w *sending) add(b *batch, lane *port, i, from int) error {
	q := &w.p[i]
	step := len(q.Buf)
	if q.Seg > 0 && (i == w.apart || !w.k.gso.Load()) {
		step = q.Seg
	}
	for b.used < MaxBatch {
		n := b.used
		nameLen, err := sockaddr(&b.names[n], q.Addr, lane.v6)
		if err != nil {
			return err
		}
		to := min(from+step, len(q.Buf))
		b.message(n, q.Buf[from:to], nameLen)
		seg := 0
		if to-from > q.Seg {
			seg = q.Seg
		}
		b.control(n, b.controls[n].forSending(seg, q.TOS, isV4(q.Addr)))
		b.spans[n] = span{i, from, to}
		b.used++
		if from = to; from == len(q.Buf) {
			return nil
		}
	}
	return nil
}

// refused decides what becomes of the next message.
func (w *sending) refused(s span, errno syscall.Errno) {
	q := w.p[s.packet]
	run := q.Seg > 0 && s.to-s.from > q.Seg
	switch {
	case run && errno == unix.EIO:
		w.k.segmentOff(errno)
		w.apart = -1
	case run && (errno == unix.EINVAL || errno == unix.EMSGSIZE):
		w.apart, w.why, w.fault = s.packet, errno, false
	default:
		to := s.to
		if errno == unix.EMSGSIZE && s.to-s.from == q.Seg {
			to = len(q.Buf) - (len(q.Buf)-s.from)%q.Seg // the others of that size need not be tried
		}
		w.fault = true
		w.fail(to, errno)
	}
}

// fail gives up what goes next, up to an octet of its packet, and moves on.
func (w *sending) fail(to int, err error) {
	q := w.p[w.packet]
	w.failed.add(Packet{Buf: q.Buf[w.octet:to], Seg: q.Seg, Addr: q.Addr}, err)
	w.moveTo(span{w.packet, w.octet, to})
}

// moveTo makes what lies behind s the next.
func (w *sending) moveTo(s span) {
	w.packet, w.octet = s.packet, s.to
	if s.to == len(w.p[s.packet].Buf) {
		w.packet, w.octet = s.packet+1, 0
	}
	if w.apart >= 0 && w.packet > w.apart {
		w.apart = -1
		if !w.fault && w.k.lessons.Add(1) == maxLessons {
			w.k.segmentOff(w.why)
		}
	}
}

// segmentOff ends the sending of runs, for the life of the socket.
func (k *kernel) segmentOff(errno syscall.Errno) {
	if k.gso.CompareAndSwap(true, false) {
		k.short.say(ShortGSO, fmt.Errorf("send runs whole: %w; from now on datagram by datagram, which costs throughput; "+
			"the interface may lack checksum offload (see: ethtool -k) or have an IPsec policy", errno))
	}
}

func isV4(a netip.AddrPort) bool { return a.Addr().Is4() || a.Addr().Is4In6() }
