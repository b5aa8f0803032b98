package lab

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// NS is a network namespace without a name in the file system: it lives as long as its descriptor, or a
// process or socket in it. Its loopback is up.
type NS struct {
	name string
	file *os.File
	link *netlink.Handle // speaks to this namespace from any thread

	mu    sync.Mutex
	procs []*Process // to end at Close
}

// NewNS makes a namespace. The name is for messages alone.
func NewNS(name string) (*NS, error) {
	n := &NS{name: name}
	err := onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("unshare: %w", err)
		}
		var err error
		n.file, err = os.Open("/proc/thread-self/ns/net")
		return err
	})
	if err == nil {
		err = n.open()
	}
	if err != nil {
		n.Close()
		return nil, fmt.Errorf("make network namespace %s: %w", name, err)
	}
	return n, nil
}

// open prepares what every namespace has: a netlink handle and a loopback.
func (n *NS) open() error {
	err := n.Do(func() (err error) {
		n.link, err = netlink.NewHandle(unix.NETLINK_ROUTE)
		return err
	})
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	return n.Up("lo")
}

// Name is what NewNS was given.
func (n *NS) Name() string { return n.name }

// File is the descriptor that holds the namespace; it stays n's.
func (n *NS) File() *os.File { return n.file }

// Netlink speaks to the kernel about this namespace. It stays n's, and may be used from any thread.
func (n *NS) Netlink() *netlink.Handle { return n.link }

// Close kills the processes that were started here and lets go of the namespace. With the last descriptor of it
// (open sockets count) go its interfaces.
func (n *NS) Close() error {
	n.mu.Lock()
	procs := n.procs
	n.procs = nil
	n.mu.Unlock()
	for _, p := range procs {
		p.Kill()
		<-p.Done()
	}
	if n.link != nil {
		n.link.Close()
	}
	if n.file == nil {
		return nil
	}
	return n.file.Close()
}

// Do runs f on a thread in the namespace: sockets, TUN devices and netlink handles that f opens, on its own
// goroutine, belong there for good and may then be used anywhere. /proc/sys/net is the namespace's too.
// Goroutines that f starts run elsewhere. Processes are started with Start, not here.
func (n *NS) Do(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", n.name, err)
		}
		return f()
	})
}

// onThread runs f on a thread that ends with it, so that nothing has to be put back, and no failure to do so
// could leave a thread of the pool in a wrong namespace.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

// Sysctl sets values like "net.ipv4.ip_forward" in the namespace.
func (n *NS) Sysctl(settings map[string]string) error {
	return n.Do(func() error {
		for name, value := range settings {
			if err := os.WriteFile(sysctlPath(name), []byte(value), 0); err != nil {
				return fmt.Errorf("set %s=%s in %s: %w", name, value, n.name, err)
			}
		}
		return nil
	})
}

// ReadSysctl reads one.
func (n *NS) ReadSysctl(name string) (value string, err error) {
	err = n.Do(func() error {
		b, err := os.ReadFile(sysctlPath(name))
		value = strings.TrimSpace(string(b))
		return err
	})
	return value, err
}

func sysctlPath(name string) string { return "/proc/sys/" + strings.ReplaceAll(name, ".", "/") }
