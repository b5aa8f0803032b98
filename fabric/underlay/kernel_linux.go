package underlay

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// kernel is the network of Listen: recvmmsg and sendmmsg on a UDP socket. golang.org/x/net has both,
// but makes a net.UDPAddr for every packet read; here an address stays a value.
type kernel struct {
	*net.UDPConn
	raw      syscall.RawConn
	v6       bool // an IPv6 socket, which takes IPv4 addresses in mapped form
	readBuf  int  // granted, octets
	writeBuf int

	reader  *batch    // used under Socket.readMu
	writers sync.Pool // of *batch
	drops   atomic.Uint64
	lastOvf uint32 // SO_RXQ_OVFL as last seen; a 32-bit counter that wraps
}

func newKernel(c *net.UDPConn) (*kernel, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	k := &kernel{UDPConn: c, raw: raw, reader: newBatch(true)}
	k.writers.New = func() any { return newBatch(false) }
	err = k.control(func(fd int) error {
		family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		k.v6 = family == unix.AF_INET6
		return err
	})
	return k, err
}

func (k *kernel) control(f func(fd int) error) error {
	var inner error
	if err := k.raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

func (k *kernel) read(p []Packet) (int, error) {
	b := k.reader
	b.forReading(p)
	err := k.raw.Read(b.call)
	n := b.n
	if err == nil && b.errno != 0 {
		err = os.NewSyscallError("recvmmsg", b.errno)
	}
	if err != nil {
		return 0, err
	}
	for i := range n {
		b.packet(i, &p[i])
		if v, ok := b.overflow(i); ok {
			k.drops.Add(uint64(v - k.lastOvf))
			k.lastOvf = v
		}
	}
	return n, nil
}

// write sends p, going on behind a packet that the kernel refuses.
func (k *kernel) write(p []Packet) error {
	var failed failures
	b := k.writers.Get().(*batch)
	defer k.writers.Put(b)
	for len(p) > 0 {
		k1, err := b.forWriting(p, k.v6)
		if k1 > 0 {
			if werr := k.raw.Write(b.call); werr != nil {
				for _, q := range p { // closed, or past a deadline: all fail alike
					failed.add(q, werr)
				}
				b.release()
				break
			}
			p = p[b.n:]
			if b.errno != 0 {
				failed.add(p[0], b.errno)
				p = p[1:]
			}
			b.release()
			continue
		}
		failed.add(p[0], err)
		p = p[1:]
	}
	return failed.err()
}

func (k *kernel) kernelDrops() uint64 { return k.drops.Load() }
func (k *kernel) buffers() (int, int) { return k.readBuf, k.writeBuf }

// file duplicates the descriptor itself: a File from net.UDPConn.File makes the socket blocking, here
// too, as soon as somebody calls its Fd.
func (k *kernel) file() (*os.File, error) {
	var dup int
	err := k.control(func(fd int) (err error) {
		dup, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("duplicate UDP socket %s: %w", k.LocalAddr(), err)
	}
	return os.NewFile(uintptr(dup), "udp "+k.LocalAddr().String()), nil
}

var errFamily = errors.New("an IPv4 socket cannot send to an IPv6 address; listen on [::] to serve both")
