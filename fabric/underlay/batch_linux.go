package underlay

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mmsghdr is struct mmsghdr of sys/socket.h; the compiler pads it as C does.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
}

// batch holds what one recvmmsg or sendmmsg needs, so that a call allocates nothing.
type batch struct {
	hdrs     [MaxBatch]mmsghdr
	iovs     [MaxBatch]unix.Iovec
	names    [MaxBatch]unix.RawSockaddrInet6 // large enough for IPv4 as well
	controls [MaxBatch]control
	spans    [MaxBatch]span // writing only: what message i carries

	used  int // messages of the call
	n     int // messages that the kernel took or gave
	errno syscall.Errno
	sys   mmsg
	call  func(fd uintptr) bool // bound once: a closure for each call would be garbage
}

// mmsg is sendmmsg or recvmmsg.
type mmsg func(fd uintptr, hdrs *mmsghdr, used int) (n int, errno syscall.Errno)

// MSG_DONTWAIT is said for each call, since another process that holds the same socket may have made it
// blocking.
func sendmmsg(fd uintptr, hdrs *mmsghdr, used int) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(hdrs)), uintptr(used), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// MSG_TRUNC makes the kernel say how long a message was that did not fit.
func recvmmsg(fd uintptr, hdrs *mmsghdr, used int) (int, syscall.Errno) {
	n, _, errno := syscall.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(hdrs)), uintptr(used), unix.MSG_DONTWAIT|unix.MSG_TRUNC, 0, 0)
	return int(n), errno
}

func newBatch(sys mmsg) *batch {
	b := &batch{sys: sys}
	b.call = b.do
	return b
}

// do is run by the poller until it returns true.
func (b *batch) do(fd uintptr) bool {
	for {
		n, errno := b.sys(fd, &b.hdrs[0], b.used)
		switch errno {
		case 0:
			b.n, b.errno = n, 0
			return true
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			b.n, b.errno = 0, errno
			return true
		}
	}
}

// message sets up message i; control messages are added by the caller.
func (b *batch) message(i int, buf []byte, nameLen uint32) {
	b.iovs[i].Base = unsafe.SliceData(buf)
	b.iovs[i].SetLen(len(buf))
	h := &b.hdrs[i].hdr
	h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
	h.Namelen = nameLen
	h.Iov = &b.iovs[i]
	h.SetIovlen(1)
	h.Flags = 0
}

func (b *batch) control(i, octets int) {
	h := &b.hdrs[i].hdr
	h.Control = nil
	if octets > 0 {
		h.Control = (*byte)(unsafe.Pointer(&b.controls[i]))
	}
	h.SetControllen(octets)
}

// release lets go of the callers' buffers.
func (b *batch) release() {
	for i := range b.used {
		b.iovs[i].Base = nil
	}
}

func (b *batch) forReading(p []Packet) {
	b.used = min(len(p), MaxBatch)
	b.n, b.errno = 0, 0
	for i := range b.used {
		b.message(i, p[i].Buf[:cap(p[i].Buf)], unix.SizeofSockaddrInet6)
		b.control(i, controlLen*8)
	}
}

// packet makes p of message i that was read, and returns how many of its datagrams did not fit; p then holds
// those before them.
func (b *batch) packet(i int, p *Packet) (cut int) {
	h := &b.hdrs[i]
	seg, tos := b.controls[i].read(int(h.hdr.Controllen))
	n, room := int(h.len), cap(p.Buf)
	if n <= seg {
		seg = 0 // a run of one
	}
	if n > room {
		if seg == 0 {
			n, cut = 0, 1
		} else {
			fit := room / seg
			n, cut = fit*seg, (n+seg-1)/seg-fit
		}
	}
	*p = Packet{Buf: p.Buf[:n], Seg: seg, Addr: fromSockaddr(&b.names[i]), TOS: tos}
	return cut
}
