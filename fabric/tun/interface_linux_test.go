package tun_test

import (
	"fmt"
	"net/netip"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What netcfg does elsewhere, in the fewest system calls: the test needs no more than this.

func up(name string) error {
	return interfaceRequest(unix.AF_INET, name, func(s int, req *unix.Ifreq) error {
		if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, req); err != nil {
			return err
		}
		req.SetUint16(req.Uint16() | unix.IFF_UP)
		return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, req)
	})
}

func setMTU(name string, mtu int) error {
	return interfaceRequest(unix.AF_INET, name, func(s int, req *unix.Ifreq) error {
		req.SetUint32(uint32(mtu))
		return unix.IoctlIfreq(s, unix.SIOCSIFMTU, req)
	})
}

// addAddress gives the interface an address and with it a route to the prefix.
func addAddress(name string, p netip.Prefix) error {
	if p.Addr().Is6() {
		return addAddress6(name, p)
	}
	return interfaceRequest(unix.AF_INET, name, func(s int, req *unix.Ifreq) error {
		a := p.Addr().As4()
		if err := req.SetInet4Addr(a[:]); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(s, unix.SIOCSIFADDR, req); err != nil {
			return err
		}
		var mask [4]byte
		for i := range p.Bits() {
			mask[i/8] |= 0x80 >> (i % 8)
		}
		if err := req.SetInet4Addr(mask[:]); err != nil {
			return err
		}
		return unix.IoctlIfreq(s, unix.SIOCSIFNETMASK, req)
	})
}

func addAddress6(name string, p netip.Prefix) error {
	return interfaceRequest(unix.AF_INET6, name, func(s int, req *unix.Ifreq) error {
		if err := unix.IoctlIfreq(s, unix.SIOCGIFINDEX, req); err != nil {
			return err
		}
		in6 := struct { // struct in6_ifreq
			addr   [16]byte
			length uint32
			index  int32
		}{p.Addr().As16(), uint32(p.Bits()), int32(req.Uint32())}
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(s), unix.SIOCSIFADDR, uintptr(unsafe.Pointer(&in6))); errno != 0 {
			return errno
		}
		return nil
	})
}

func interfaceRequest(family int, name string, f func(s int, req *unix.Ifreq) error) error {
	s, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	req, err := unix.NewIfreq(name)
	if err != nil {
		return err
	}
	if err := f(s, req); err != nil {
		return fmt.Errorf("set up %s: %w", name, err)
	}
	return nil
}

// removeInterface is "ip link delete": one RTM_DELLINK.
func removeInterface(name string) error {
	var index int32
	if err := interfaceRequest(unix.AF_INET, name, func(s int, req *unix.Ifreq) error {
		err := unix.IoctlIfreq(s, unix.SIOCGIFINDEX, req)
		index = int32(req.Uint32())
		return err
	}); err != nil {
		return err
	}
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	msg := struct {
		head unix.NlMsghdr
		info unix.IfInfomsg
	}{
		unix.NlMsghdr{Len: unix.SizeofNlMsghdr + unix.SizeofIfInfomsg, Type: unix.RTM_DELLINK, Flags: unix.NLM_F_REQUEST | unix.NLM_F_ACK, Seq: 1},
		unix.IfInfomsg{Family: unix.AF_UNSPEC, Index: index},
	}
	b := unsafe.Slice((*byte)(unsafe.Pointer(&msg)), unsafe.Sizeof(msg))
	if err := unix.Sendto(s, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(s, answer, 0)
	if err != nil {
		return err
	}
	if n >= unix.SizeofNlMsghdr+4 {
		if code := *(*int32)(unsafe.Pointer(&answer[unix.SizeofNlMsghdr])); code != 0 {
			return syscall.Errno(-code)
		}
	}
	return nil
}
