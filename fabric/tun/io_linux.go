package tun

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// call is one read or write of a packet, with its closure made beforehand: the poller takes a
// function, and a new one for each packet would be garbage.
type call struct {
	sys   func(fd int, p []byte) (int, error)
	buf   []byte
	wait  bool // for the device to be ready, if it is not
	n     int
	err   error
	onceF func(fd uintptr) bool
}

func (c *call) bind(sys func(int, []byte) (int, error)) {
	c.sys = sys
	c.onceF = c.once
}

func (c *call) once(fd uintptr) bool {
	for {
		c.n, c.err = c.sys(int(fd), c.buf)
		switch c.err {
		case unix.EINTR:
		case unix.EAGAIN:
			return !c.wait
		default:
			return true
		}
	}
}

// ReadBatch implements Device.
func (k *Kernel) ReadBatch(bufs [][]byte, sizes []int) (int, error) {
	k.readMu.Lock()
	defer k.readMu.Unlock()
	c := &k.reader
	defer func() { c.buf = nil }()
	for n := range min(len(bufs), len(sizes)) {
		c.buf, c.wait = bufs[n], n == 0
		if err := k.raw.Read(c.onceF); err != nil {
			c.err = k.ended(err)
		}
		if c.err != nil {
			if n > 0 { // also EAGAIN; another error comes again with the next call
				return n, nil
			}
			return 0, k.because("read from", c.err)
		}
		sizes[n] = c.n
	}
	return min(len(bufs), len(sizes)), nil
}

// WriteBatch implements Device.
func (k *Kernel) WriteBatch(pkts [][]byte) (int, error) {
	c := k.writers.Get().(*call)
	defer k.writers.Put(c)
	defer func() { c.buf = nil }()
	written := 0
	var first error
	for _, p := range pkts {
		c.buf, c.wait = p, true
		if err := k.raw.Write(c.onceF); err != nil {
			c.err = k.ended(err)
		}
		switch {
		case c.err == nil:
			written++
		case first == nil:
			first = k.because(fmt.Sprintf("write %d octets to", len(p)), c.err)
		}
		if errors.Is(first, ErrGone) || errors.Is(first, os.ErrClosed) {
			break
		}
	}
	return written, first
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

// MTU implements Device. The name is asked for again, since an interface can be renamed.
func (k *Kernel) MTU() (int, error) {
	var mtu int
	var inner error
	err := k.raw.Control(func(fd uintptr) {
		var req *unix.Ifreq
		if req, inner = attached(int(fd)); inner != nil {
			return
		}
		inner = withSocket(func(s int) error {
			if err := unix.IoctlIfreq(s, unix.SIOCGIFMTU, req); err != nil {
				return err
			}
			mtu = int(req.Uint32())
			return nil
		})
	})
	if err != nil {
		return 0, k.because("ask the MTU of", k.ended(err))
	}
	if inner != nil {
		return 0, k.because("ask the MTU of", inner)
	}
	return mtu, nil
}

func setMTU(name string, mtu int) error {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	req.SetUint32(uint32(mtu))
	return withSocket(func(s int) error { return unix.IoctlIfreq(s, unix.SIOCSIFMTU, req) })
}

// withSocket gives f a socket for interface requests in the network namespace of this thread.
func withSocket(f func(fd int) error) error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == syscall.EAFNOSUPPORT {
		s, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		return err
	}
	defer unix.Close(s)
	return f(s)
}
