package underlay

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// port is one UDP socket of the kernel.
type port struct {
	*net.UDPConn
	raw      syscall.RawConn
	v6       bool // an IPv6 socket, which takes IPv4 addresses in mapped form
	readBuf  int  // granted, octets
	writeBuf int
	reader   *batch // used under Socket.readMu

	mu    sync.Mutex
	last  uint32 // the kernel's count of drops as last seen; 32 bits that wrap
	drops uint64
}

func newPort(c *net.UDPConn) (*port, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	p := &port{UDPConn: c, raw: raw}
	err = p.control(func(fd int) error {
		family, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
		p.v6 = family == unix.AF_INET6
		return err
	})
	if err != nil {
		return nil, err
	}
	if m, err := p.memory(); err == nil {
		p.last = m[unix.SK_MEMINFO_DROPS] // a predecessor's
	}
	return p, nil
}

func (p *port) control(f func(fd int) error) error {
	var inner error
	if err := p.raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// configure sets what every socket has, a lane as well as a reader.
func (p *port) configure(o Options) error {
	return p.control(func(fd int) error {
		if p.v6 {
			// On a dual-stack socket both levels count, each for its family.
			if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE); err != nil {
				return fmt.Errorf("set don't-fragment for IPv6: %w", err)
			}
		}
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE); err != nil && !p.v6 {
			return fmt.Errorf("set don't-fragment for IPv4: %w", err)
		}
		if o.Mark != 0 {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, o.Mark); err != nil {
				return fmt.Errorf("set mark %#x (needs CAP_NET_ADMIN): %w", o.Mark, err)
			}
		}
		p.writeBuf = size(fd, unix.SO_SNDBUF, unix.SO_SNDBUFFORCE, o.WriteBuffer)
		return nil
	})
}

// size asks for a buffer of n octets, beyond net.core.rmem_max where that is allowed, and returns what
// was granted. A smaller one costs speed and is no reason to fail.
func size(fd, opt, force, n int) int {
	if n == 0 {
		n = DefaultBuffer
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, n) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, opt, n)
	}
	got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, opt)
	if err != nil {
		return 0
	}
	return got / 2 // the kernel doubles for its own bookkeeping
}

// listen prepares a port to be read from: its receive buffer, and what beside the datagrams is asked for. It
// says whether runs come up whole.
func (p *port) listen(o Options, short *shortfalls) (runs bool) {
	p.reader = newBatch(recvmmsg)
	err := p.control(func(fd int) error {
		p.readBuf = size(fd, unix.SO_RCVBUF, unix.SO_RCVBUFFORCE, o.ReadBuffer)
		err := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_RECVTOS, 1)
		if p.v6 {
			err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_RECVTCLASS, 1))
		}
		if err != nil {
			short.say(ShortTOS, fmt.Errorf("ask for TOS and traffic class: %w; congestion marks on the way are not seen", err))
		}
		if o.NoOffload {
			_ = unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 0) // a predecessor may have had it on
			return nil
		}
		return unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1)
	})
	if err != nil {
		short.say(ShortGRO, fmt.Errorf("ask for runs that arrive: %w; datagrams are read one by one, which costs throughput; Linux 5.0 or newer has it", err))
	}
	return err == nil && !o.NoOffload
}

// segments says whether the kernel takes runs. It must be asked: one that does not know UDP_SEGMENT ignores
// it and sends a run as one long datagram.
func (p *port) segments() error {
	return p.control(func(fd int) error {
		_, err := unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT)
		return err
	})
}

func (p *port) read(q []Packet) (n, cut int, err error) {
	b := p.reader
	b.forReading(q)
	err = p.raw.Read(b.call)
	if err == nil && b.errno != 0 {
		err = os.NewSyscallError("recvmmsg", b.errno)
	}
	if err != nil {
		b.release()
		return 0, 0, err
	}
	for i := range b.n {
		lost := b.packet(i, &q[i])
		cut += lost
		if lost > 0 && len(q[i].Buf) == 0 {
			continue
		}
		q[n], q[i] = q[i], q[n]
		n++
	}
	b.release()
	return n, cut, nil
}

// memory is SO_MEMINFO: what the socket holds, and how much it dropped.
func (p *port) memory() (m [unix.SK_MEMINFO_VARS]uint32, err error) {
	err = p.control(func(fd int) error {
		n := uint32(unsafe.Sizeof(m))
		_, _, errno := syscall.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
			uintptr(unsafe.Pointer(&m)), uintptr(unsafe.Pointer(&n)), 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
	return m, err
}

// stats asks the kernel. Linux before 4.12 does not answer, and a closed socket neither: then nothing grows.
func (p *port) stats() ReaderStats {
	m, err := p.memory()
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.dropped(m[unix.SK_MEMINFO_DROPS])
	}
	return ReaderStats{Buffer: p.readBuf, Queued: int(m[unix.SK_MEMINFO_RMEM_ALLOC]), Drops: p.drops}
}

// dropped takes the kernel's count; p.mu is held.
func (p *port) dropped(now uint32) {
	p.drops += uint64(now - p.last)
	p.last = now
}

// duplicate gives the descriptor to others. net.UDPConn.File would make the socket blocking, here too, as soon
// as somebody calls its Fd.
func (p *port) duplicate(name string) (*os.File, error) {
	var dup int
	err := p.control(func(fd int) (err error) {
		dup, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("duplicate UDP socket %s: %w", p.LocalAddr(), err)
	}
	return os.NewFile(uintptr(dup), name), nil
}
