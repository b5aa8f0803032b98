package tun

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/fabric/offload"
)

// steps are the sets of offloads that a kernel is asked for, until it has one.
var steps = []struct {
	flags int
	has   Offloads
}{
	{unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_USO4 | unix.TUN_F_USO6, Offloads{true, true, true}},
	{unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6, Offloads{true, true, false}},
	{unix.TUN_F_CSUM, Offloads{true, false, false}},
}

// attach makes the device of a new descriptor, with vnet headers where the kernel has them and they are
// wanted. The errors are those of TUNSETIFF.
func attach(fd int, name string, vnet bool) error {
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if vnet {
		if has, err := unix.IoctlGetUint32(fd, unix.TUNGETFEATURES); err == nil && has&unix.IFF_VNET_HDR != 0 {
			flags |= unix.IFF_VNET_HDR
		}
	}
	req.SetUint16(flags)
	return unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
}

// negotiate asks for the most that the kernel does for a device with vnet headers, but no more than most,
// and sets the length of those headers. It may be done again by whoever takes the device over.
func negotiate(fd int, most Offloads) (Offloads, error) {
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, offload.VnetLen); err != nil {
		return Offloads{}, fmt.Errorf("set length of vnet headers: %w", err)
	}
	for _, s := range steps {
		if s.has.TSO && !most.TSO || s.has.USO && !most.USO || s.has.Checksum && !most.Checksum {
			continue
		}
		err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, s.flags)
		if err == nil {
			return s.has, nil
		}
		if !errors.Is(err, unix.EINVAL) {
			return Offloads{}, fmt.Errorf("set offloads: %w", err)
		}
	}
	if err := unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, 0); err != nil {
		return Offloads{}, fmt.Errorf("set no offloads: %w", err)
	}
	return Offloads{}, nil
}
