package tun

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

const devicePath = "/dev/net/tun"

// Kernel is a Device of the Linux kernel. Use Open or FromFile.
type Kernel struct {
	f      *os.File
	raw    syscall.RawConn
	name   string
	closed atomic.Bool

	readMu  sync.Mutex // one reader; guards reader
	reader  call
	writers sync.Pool // of *call
}

// Open makes the TUN device called name ("galleon0"; a %d in it is numbered by the kernel) with an MTU
// in octets. It needs CAP_NET_ADMIN in the network namespace of the calling thread.
func Open(name string, mtu int) (*Kernel, error) { return openAt(devicePath, name, mtu) }

func openAt(path, name string, mtu int) (*Kernel, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return nil, fmt.Errorf("open %s: the kernel offers no TUN devices; load the module (modprobe tun), or give the container the device (--device %s): %w", path, path, err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("open %s: not permitted; it needs read and write permission on the device node: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make TUN device %q: a name has 1 to %d characters: %w", name, unix.IFNAMSIZ-1, err)
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		unix.Close(fd)
		switch {
		case errors.Is(err, unix.EPERM):
			return nil, fmt.Errorf("make TUN device %s: not permitted; it needs CAP_NET_ADMIN (run as root, or in a user namespace of its own): %w", name, err)
		case errors.Is(err, unix.EBUSY):
			return nil, fmt.Errorf("make TUN device %s: another process holds it; stop that galleond or choose another name: %w", name, err)
		case errors.Is(err, unix.EINVAL):
			return nil, fmt.Errorf("make TUN device %s: an interface of that name exists and is not such a TUN device, or the name is not allowed: %w", name, err)
		}
		return nil, fmt.Errorf("make TUN device %s: %w", name, err)
	}
	k, err := wrap(fd)
	if err != nil {
		return nil, err
	}
	if err := setMTU(k.name, mtu); err != nil {
		k.Close()
		return nil, fmt.Errorf("set MTU %d of TUN device %s: %w", mtu, k.name, err)
	}
	return k, nil
}

// FromFile makes a Kernel of a descriptor that another process handed over. The caller still closes f.
func FromFile(f *os.File) (*Kernel, error) {
	fd, err := duplicate(f)
	if err != nil {
		return nil, fmt.Errorf("take over TUN device: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("take over TUN device: %w", err)
	}
	return wrap(fd)
}

// wrap owns fd, a descriptor that is attached to a device.
func wrap(fd int) (*Kernel, error) {
	req, err := attached(fd)
	if err == nil && req.Uint16()&(unix.IFF_TUN|unix.IFF_NO_PI|unix.IFF_VNET_HDR) != unix.IFF_TUN|unix.IFF_NO_PI {
		err = fmt.Errorf("%s has flags %#x: not a TUN device without packet information and offloads", req.Name(), req.Uint16())
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("use TUN descriptor: %w", err)
	}
	k := &Kernel{name: req.Name()}
	// The descriptor is non-blocking, so that the runtime's poller waits for it and Close ends a read.
	k.f = os.NewFile(uintptr(fd), devicePath)
	if k.raw, err = k.f.SyscallConn(); err != nil {
		k.f.Close()
		return nil, fmt.Errorf("use TUN descriptor of %s: %w", k.name, err)
	}
	k.reader.bind(unix.Read)
	k.writers.New = func() any {
		c := new(call)
		c.bind(unix.Write)
		return c
	}
	return k, nil
}

// attached asks which device a descriptor belongs to.
func attached(fd int) (*unix.Ifreq, error) {
	req, err := unix.NewIfreq("")
	if err != nil {
		return nil, err
	}
	if err := unix.IoctlIfreq(fd, unix.TUNGETIFF, req); err != nil {
		return nil, fmt.Errorf("ask for its device: %w", err)
	}
	return req, nil
}

// Name is the interface's name when it was opened.
func (k *Kernel) Name() string { return k.name }

// File returns a descriptor of the device for another process; the device lives as long as one is
// open. Whoever receives the File closes it. Each packet goes to one reader: stop reading here.
func (k *Kernel) File() (*os.File, error) {
	fd, err := duplicate(k.f)
	if err != nil {
		return nil, fmt.Errorf("duplicate TUN descriptor of %s: %w", k.name, err)
	}
	return os.NewFile(uintptr(fd), devicePath), nil
}

// duplicate does not use f.Fd, which would make the device blocking for every process that holds it.
func duplicate(f *os.File) (int, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var fd int
	var inner error
	if err := raw.Control(func(old uintptr) { fd, inner = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) }); err != nil {
		return 0, err
	}
	return fd, inner
}

// Close removes the device, unless another process holds it too.
func (k *Kernel) Close() error {
	k.closed.Store(true)
	return k.f.Close()
}
