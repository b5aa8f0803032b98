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

	vnet     bool // each packet has a vnet header in front
	offloads Offloads
	garbled  atomic.Uint64

	readMu  sync.Mutex // one reader; guards reader
	reader  reader
	writers sync.Pool // of *writer
}

// DefaultQueueLen is how many packets the kernel keeps until we read them. DESIGN.md has the measurements.
const DefaultQueueLen = 500

// Open makes the TUN device called name ("galleon0"; a %d in it is numbered by the kernel). It needs
// CAP_NET_ADMIN in the network namespace of the calling thread.
func Open(name string, o Options) (*Kernel, error) {
	return openAt(devicePath, name, o, Offloads{true, true, true})
}

// openAt uses no more than most of what the kernel offers.
func openAt(path, name string, o Options, most Offloads) (*Kernel, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return nil, fmt.Errorf("open %s: the kernel offers no TUN devices; load the module (modprobe tun), or give the container the device (--device %s): %w", path, path, err)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("open %s: not permitted; it needs read and write permission on the device node: %w", path, err)
	case err != nil:
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	if len(name) >= unix.IFNAMSIZ || name == "" {
		unix.Close(fd)
		return nil, fmt.Errorf("make TUN device %q: a name has 1 to %d characters: %w", name, unix.IFNAMSIZ-1, unix.EINVAL)
	}
	if err := attach(fd, name, !o.NoOffload); err != nil {
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
	k, err := wrap(fd, most)
	if err != nil {
		return nil, err
	}
	if err := k.set(o); err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

// set gives a new device its properties.
func (k *Kernel) set(o Options) error {
	if o.MTU != 0 {
		if err := setMTU(k.name, o.MTU); err != nil {
			return fmt.Errorf("set MTU %d of TUN device %s: %w", o.MTU, k.name, err)
		}
	}
	queue := o.QueueLen
	if queue == 0 {
		queue = DefaultQueueLen
	}
	if err := setQueueLen(k.name, queue); err != nil {
		return fmt.Errorf("set queue of %d packets of TUN device %s: %w", queue, k.name, err)
	}
	if o.MaxSuper != 0 && k.offloads.TSO {
		// A kernel that refuses gives longer ones, which are as good.
		_ = setMaxSuper(k.name, o.MaxSuper)
	}
	return nil
}

// FromFile makes a Kernel of a descriptor that another process handed over. The caller still closes f. What
// the device was made with stays: one without vnet headers cannot get them.
func FromFile(f *os.File) (*Kernel, error) {
	fd, err := duplicate(f)
	if err != nil {
		return nil, fmt.Errorf("take over TUN device: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("take over TUN device: %w", err)
	}
	return wrap(fd, Offloads{true, true, true})
}

// wrap owns fd, a descriptor that is attached to a device.
func wrap(fd int, most Offloads) (*Kernel, error) {
	req, err := attached(fd)
	if err == nil && req.Uint16()&(unix.IFF_TUN|unix.IFF_NO_PI) != unix.IFF_TUN|unix.IFF_NO_PI {
		err = fmt.Errorf("%s has flags %#x: not a TUN device without packet information", req.Name(), req.Uint16())
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("use TUN descriptor: %w", err)
	}
	k := &Kernel{name: req.Name(), vnet: req.Uint16()&unix.IFF_VNET_HDR != 0}
	if k.vnet {
		if k.offloads, err = negotiate(fd, most); err != nil {
			unix.Close(fd)
			return nil, fmt.Errorf("use TUN descriptor of %s: %w", k.name, err)
		}
	}
	// The descriptor is non-blocking, so that the runtime's poller waits for it and Close ends a read.
	k.f = os.NewFile(uintptr(fd), devicePath)
	if k.raw, err = k.f.SyscallConn(); err != nil {
		k.f.Close()
		return nil, fmt.Errorf("use TUN descriptor of %s: %w", k.name, err)
	}
	k.reader.vnet, k.reader.garbled, k.reader.runF = k.vnet, &k.garbled, k.reader.run
	k.writers.New = func() any { return newWriter(k) }
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

// Offloads implements Device.
func (k *Kernel) Offloads() Offloads { return k.offloads }

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
