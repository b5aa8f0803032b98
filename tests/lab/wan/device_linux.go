package wan

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

const tunPath = "/dev/net/tun"

// Device is a site's end of the network: an open TUN interface.
type Device struct {
	name    string
	file    *os.File
	vnet    bool // frames carry a virtual-network header
	offload Offload
}

// Offload says which super-packets a device hands over and takes.
type Offload uint8

// What kernels offer, each with what is before it.
const (
	NoOffload  Offload = iota
	Checksums          // partial checksums only
	TCPOffload         // TSO
	UDPOffload         // TSO and USO (Linux 6.2 and later)
)

var offloadNames = [...]string{"none", "checksums", "tso", "tso+uso"}

func (o Offload) String() string { return offloadNames[o] }

// CheckTUN says what stands in the way of making TUN devices, and how to remove it; nil when nothing does.
func CheckTUN() error {
	f, err := os.OpenFile(tunPath, os.O_RDWR, 0)
	switch {
	case err == nil:
		return f.Close()
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return fmt.Errorf("%s is missing: load the driver with `sudo modprobe tun`, or hand the container the device (--device %s)", tunPath, tunPath)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s may not be opened by this user: `sudo chmod 0666 %s` (udev does so by default), or run as root", tunPath, tunPath)
	}
	return fmt.Errorf("open the TUN driver: %w", err)
}

// OpenDevice makes a TUN interface in the network namespace of the calling thread, with every offload that
// the kernel has up to most. The interface is gone when the device is closed. It is down and has no address.
func OpenDevice(name string, most Offload) (*Device, error) {
	if err := CheckTUN(); err != nil {
		return nil, err
	}
	fd, err := unix.Open(tunPath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open the TUN driver: %w", err)
	}
	d := &Device{name: name, file: os.NewFile(uintptr(fd), tunPath), vnet: most > NoOffload}
	if err := d.attach(fd, most); err != nil {
		d.file.Close()
		return nil, fmt.Errorf("make TUN interface %s: %w", name, err)
	}
	return d, nil
}

func (d *Device) attach(fd int, most Offload) error {
	req, err := unix.NewIfreq(d.name)
	if err != nil {
		return err
	}
	flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if d.vnet {
		flags |= unix.IFF_VNET_HDR
	}
	req.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return err
	}
	const tso = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6
	for _, try := range []struct {
		offload Offload
		bits    int
	}{{UDPOffload, tso | unix.TUN_F_USO4 | unix.TUN_F_USO6}, {TCPOffload, tso}, {Checksums, unix.TUN_F_CSUM}} {
		if try.offload > most {
			continue
		}
		if unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, try.bits) == nil {
			d.offload = try.offload
			break
		}
	}
	return nil
}

// Name is the interface's name in its namespace.
func (d *Device) Name() string { return d.name }

// Offload is what the kernel granted.
func (d *Device) Offload() Offload { return d.offload }

// Close removes the interface, unless a Network has taken the device over.
func (d *Device) Close() error { return d.file.Close() }
