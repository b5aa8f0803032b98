package kerneltest

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"
	"unsafe"

	"github.com/galleon-net/galleon/netcfg/kernel"
	"golang.org/x/sys/unix"
)

// RealBench is a real kernel in a network namespace of its own, which goes with the test.
type RealBench struct {
	t     *testing.T
	ns    *os.File
	ours  *kernel.Real
	other *kernel.Real
	tuns  map[string]*os.File
}

// NewRealBench makes the namespace, or skips the test with the reason why it cannot.
func NewRealBench(t *testing.T) *RealBench {
	t.Helper()
	b := &RealBench{t: t, tuns: map[string]*os.File{}}
	ready := make(chan error)
	go func() {
		// Never unlocked: the thread is in the new namespace, and dies with this goroutine.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err == nil {
			b.ns, err = os.Open("/proc/thread-self/ns/net")
		}
		ready <- err
	}()
	if err := <-ready; errors.Is(err, os.ErrPermission) {
		t.Skipf("making a network namespace is not permitted (run as root, or under unshare -Urn): %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.ns.Close() })
	b.ours, b.other = b.open(), b.open()
	return b
}

func (b *RealBench) open() *kernel.Real {
	k, err := kernel.Open(kernel.Options{NetNS: int(b.ns.Fd())})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { k.Close() })
	return k
}

// Kernel is the one under test.
func (b *RealBench) Kernel() kernel.Kernel { return b.ours }

// Other has sockets of its own.
func (b *RealBench) Other() kernel.Kernel { return b.other }

// NetNS is the namespace's descriptor.
func (b *RealBench) NetNS() int { return int(b.ns.Fd()) }

// Inside runs f on a thread in the namespace.
func (b *RealBench) Inside(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked, as above
		err := unix.Setns(int(b.ns.Fd()), unix.CLONE_NEWNET)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// AddDevice makes a TUN device, which lasts until RemoveDevice or the end of the test.
func (b *RealBench) AddDevice(name string) { b.AddTUN(name) }

// AddTUN is AddDevice, and gives the end that a program holds: packets that the kernel sends over the device
// are read from it, packets that are written to it arrive at the kernel.
func (b *RealBench) AddTUN(name string) *os.File {
	b.t.Helper()
	var f *os.File
	err := b.Inside(func() error {
		fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open /dev/net/tun: %w", err)
		}
		var req struct {
			name  [unix.IFNAMSIZ]byte
			flags uint16
			_     [22]byte
		}
		copy(req.name[:], name)
		req.flags = unix.IFF_TUN | unix.IFF_NO_PI
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&req))); errno != 0 {
			unix.Close(fd)
			return fmt.Errorf("make TUN device %s: %w", name, errno)
		}
		// Only a descriptor that already is a device can be waited for.
		if err := unix.SetNonblock(fd, true); err != nil {
			unix.Close(fd)
			return err
		}
		f = os.NewFile(uintptr(fd), name)
		b.tuns[name] = f
		return nil
	})
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		b.t.Skipf("making a TUN device is not possible here: %v", err)
	}
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { b.RemoveDevice(name) })
	return f
}

// RemoveDevice closes the device's only descriptor.
func (b *RealBench) RemoveDevice(name string) {
	if f := b.tuns[name]; f != nil {
		f.Close()
		delete(b.tuns, name)
	}
}
