package tun_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// inNamespace is set in the process that runs in network namespaces of its own; notHere says why there
// is none.
const (
	inNamespace = "GALLEON_TUN_TEST_NAMESPACE"
	notHere     = "GALLEON_TUN_TEST_NO_NAMESPACE"
)

// TestMain runs the whole test binary once more in a fresh network namespace, and when it is not root
// in a user namespace with it, so that no interface of the machine is touched and all of it goes away
// with the process.
func TestMain(m *testing.M) {
	if os.Getenv(inNamespace) != "" || os.Getenv(notHere) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode())
	}
	os.Setenv(notHere, err.Error())
	os.Exit(m.Run())
}

// needNamespace skips a test that would have to change the machine's own network.
func needNamespace(t testing.TB) {
	if why := os.Getenv(notHere); why != "" {
		t.Skip("no network namespace of our own: " + why)
	}
	if f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
		t.Skip("no TUN devices for this user: ", err)
	} else {
		f.Close()
	}
}

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
