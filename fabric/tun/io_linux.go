package tun

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/fabric/offload"
)

// reader is one ReadBatch under way. The poller takes a function, and a new one for each batch would be
// garbage: so it is bound once, to this. The poller is entered once for each batch, not for each packet;
// it keeps the descriptor from being closed, and its number from being used for another file, until the
// function returns.
type reader struct {
	vnet    bool
	garbled *atomic.Uint64
	runF    func(fd uintptr) bool

	arena []byte
	pkts  []Packet
	n     int
	err   error
}

// run reads until there is nothing more to read, or no more room. Only when it has read nothing it asks
// to be called again when there is something.
func (r *reader) run(fd uintptr) bool {
	off := 0
	for r.n < len(r.pkts) {
		room, ok := place(r.arena, off)
		if !ok {
			return true
		}
		from := headroom
		if r.vnet {
			from -= offload.VnetLen // read before the packet, in one piece with it
		}
		n, errno := readNow(fd, room[from:MaxPacket])
		switch errno {
		case 0:
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return r.n > 0
		default:
			r.err = errno
			return true
		}
		end := max(headroom, from+n)
		p := Packet{Buf: room[headroom:end:end]}
		if r.vnet {
			var err error
			if p.Meta, err = offload.ParseVnet(room[from:min(headroom, from+n)], p.Buf); err != nil {
				r.garbled.Add(1)
				continue
			}
		}
		r.pkts[r.n] = p
		r.n++
		off += (end + headroom - 1) &^ (headroom - 1)
	}
	return true
}

// readNow reads one packet from a descriptor that does not block. It does not tell the scheduler: the call
// takes as long as copying the packet, and telling costs a tenth of it when the packet is small.
func readNow(fd uintptr, b []byte) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	return int(n), errno
}

// ReadBatch implements Device.
func (k *Kernel) ReadBatch(arena []byte, pkts []Packet) (int, error) {
	k.readMu.Lock()
	defer k.readMu.Unlock()
	r := &k.reader
	if len(pkts) == 0 {
		return 0, nil
	}
	r.arena, r.pkts, r.n, r.err = arena, pkts, 0, nil
	err := k.raw.Read(r.runF)
	r.arena, r.pkts = nil, nil
	switch {
	case r.n > 0: // another error comes again with the next call
		return r.n, nil
	case err != nil:
		return 0, k.because("read from", k.ended(err))
	case r.err != nil:
		return 0, k.because("read from", r.err)
	}
	return 0, nil
}

// writer is one WriteBatch under way.
type writer struct {
	k     *Kernel
	onceF func(fd uintptr)
	waitF func(fd uintptr) bool

	pkts    []Packet // those that are not begun
	low     Lowering // the one that is
	piece   Packet   // of it, which is not written yet
	whole   bool     // nothing of it was refused
	begun   bool
	blocked bool // the kernel has no memory for piece now
	written int
	first   error

	vnet [offload.VnetLen]byte
	iov  [2]unix.Iovec
}

func newWriter(k *Kernel) *writer {
	w := &writer{k: k}
	w.onceF = func(fd uintptr) { w.run(fd) }
	w.waitF = w.run
	w.iov[0].Base = &w.vnet[0]
	w.iov[0].SetLen(len(w.vnet))
	return w
}

// WriteBatch implements Device.
func (k *Kernel) WriteBatch(pkts []Packet) (int, error) {
	w := k.writers.Get().(*writer)
	defer k.writers.Put(w)
	w.pkts, w.written, w.first, w.begun, w.blocked = pkts, 0, nil, false, false
	// Control, and not Write, so that goroutines may write at the same time: what the kernel does with a
	// packet before the call returns goes as far as into the socket of its receiver.
	err := k.raw.Control(w.onceF)
	if err == nil && w.blocked {
		err = k.raw.Write(w.waitF)
	}
	if err != nil && w.first == nil {
		w.first = k.because("write to", k.ended(err))
	}
	w.pkts, w.piece, w.low.whole, w.iov[1].Base = nil, Packet{}, Packet{}, nil
	return w.written, w.first
}

// run writes until all is written, or the kernel has no memory for more: false, to be called again.
func (w *writer) run(fd uintptr) bool {
	for w.blocked || w.step() {
		w.blocked = false
		err := w.put(int(fd))
		switch {
		case err == unix.EAGAIN:
			w.blocked = true
			return false
		case err != nil:
			w.refused(err)
			if errors.Is(w.first, ErrGone) || errors.Is(w.first, os.ErrClosed) {
				return true
			}
		}
	}
	return true
}

// step makes piece what is to be written next.
func (w *writer) step() bool {
	for {
		if w.begun {
			var ok bool
			if w.piece, ok = w.low.Next(); ok {
				return true
			}
			if w.begun = false; w.whole {
				w.written++
			}
		}
		if len(w.pkts) == 0 {
			return false
		}
		p := w.pkts[0]
		w.pkts, w.begun, w.whole = w.pkts[1:], true, true
		if err := w.low.Init(p, w.k.offloads); err != nil {
			w.piece = p
			w.refused(err)
		}
	}
}

func (w *writer) refused(err error) {
	w.whole = false
	if w.first == nil {
		w.first = w.k.because(fmt.Sprintf("write %d octets to", len(w.piece.Buf)), err)
	}
}

func (w *writer) put(fd int) error {
	for {
		var errno unix.Errno
		buf := unsafe.SliceData(w.piece.Buf)
		if w.k.vnet {
			w.piece.PutVnet(w.vnet[:])
			w.iov[1].Base = buf
			w.iov[1].SetLen(len(w.piece.Buf))
			_, _, errno = unix.Syscall(unix.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(&w.iov)), 2)
		} else {
			_, _, errno = unix.Syscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(buf)), uintptr(len(w.piece.Buf)))
		}
		switch errno {
		case unix.EINTR:
		case 0:
			return nil
		default:
			return errno
		}
	}
}

// ended is what the poller's error means. It has errors of its own for a closed file, and, once the
// device was removed, for one that it cannot wait for; the device then says which it is.
func (k *Kernel) ended(err error) error {
	if k.closed.Load() {
		return os.ErrClosed
	}
	k.raw.Control(func(fd uintptr) {
		if _, gone := attached(int(fd)); gone != nil {
			err = gone
		}
	})
	return err
}

// because words an error of the kernel.
func (k *Kernel) because(doing string, err error) error {
	switch {
	case errors.Is(err, unix.EBADFD), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("%s TUN device %s: %w (%w)", doing, k.name, ErrGone, err)
	case errors.Is(err, unix.EIO):
		return fmt.Errorf("%s TUN device %s: the interface is down: %w", doing, k.name, err)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%s TUN device %s: not an IP packet: %w", doing, k.name, err)
	}
	return fmt.Errorf("%s TUN device %s: %w", doing, k.name, err)
}
