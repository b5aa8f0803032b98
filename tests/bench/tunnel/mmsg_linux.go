package main

import (
	"fmt"
	"net/netip"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchSize is how many packets the generator and the sink pass to the kernel with one system call.
const batchSize = 64

// mmsghdr is the kernel's struct mmsghdr, on 64-bit machines.
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32 // octets that were passed
	_   [4]byte
}

// batch is a row of buffers with their headers, for one socket.
type batch struct {
	bufs [batchSize][]byte
	iovs [batchSize]unix.Iovec
	msgs [batchSize]mmsghdr
}

func newBatch(size int) *batch {
	b := new(batch)
	for i := range b.bufs {
		b.bufs[i] = make([]byte, size)
		b.iovs[i].Base = &b.bufs[i][0]
		b.iovs[i].SetLen(size)
		b.msgs[i].hdr.Iov = &b.iovs[i]
		b.msgs[i].hdr.SetIovlen(1)
	}
	return b
}

// pass calls sendmmsg or recvmmsg on the first n messages, and gives how many the kernel took or gave.
func (b *batch) pass(call uintptr, fd, n, flags int) (int, error) {
	r, _, errno := unix.Syscall6(call, uintptr(fd), uintptr(unsafe.Pointer(&b.msgs[0])), uintptr(n), uintptr(flags), 0, 0)
	runtime.KeepAlive(b)
	if errno != 0 {
		return 0, errno
	}
	return int(r), nil
}

// udpSocket opens a blocking socket with large buffers, bound to an address.
func udpSocket(at netip.AddrPort) (int, error) {
	const buffer = 32 << 20
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open UDP socket: %w", err)
	}
	for force, plain := range map[int]int{unix.SO_RCVBUFFORCE: unix.SO_RCVBUF, unix.SO_SNDBUFFORCE: unix.SO_SNDBUF} {
		if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, buffer) != nil { // without root: what net.core allows
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, buffer)
		}
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())})
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("open UDP socket at %s: %w", at, err)
	}
	return fd, nil
}

// sleep lets the processor go until a moment of the monotonic clock. The runtime's timers are a millisecond coarse when
// the process is idle, and a generator that spins would take a processor from what is measured.
func sleep(until time.Duration) {
	ts := unix.NsecToTimespec(int64(until))
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
	}
}

// monotonic is the clock of sleep.
func monotonic() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // never fails: this clock exists
	return time.Duration(ts.Nano())
}
