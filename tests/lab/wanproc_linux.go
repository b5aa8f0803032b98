package lab

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/tests/lab/wan"
)

// wanMark is the environment variable by which the process that carries packets knows itself; its value is the seed.
const wanMark = "GALLEON_LAB_WAN"

// wanSocket is the descriptor on which that process is called: the first after the standard ones.
const wanSocket = 3

// carrier is the process that carries packets: this program once more, turned off its way by Enter.
type carrier struct {
	*wan.Client
	cmd  *exec.Cmd
	done chan error
}

// startCarrier starts a network in a process of its own.
func startCarrier(seed uint64) (*carrier, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("start the wide-area network: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "wan"), os.NewFile(uintptr(fds[1]), "wan")
	defer theirs.Close()
	defer ours.Close() // FileConn makes a copy
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, fmt.Errorf("start the wide-area network: %w", err)
	}
	c := &carrier{Client: wan.NewClient(conn.(*net.UnixConn)), done: make(chan error, 1)}
	// With the same arguments, so that a program comes to its call of Enter by the same way.
	c.cmd = exec.Command("/proc/self/exe", os.Args[1:]...)
	c.cmd.Args[0] = "galleon-lab-wan"
	c.cmd.Env = append(os.Environ(), wanMark+"="+strconv.FormatUint(seed, 10))
	c.cmd.Stderr = os.Stderr
	c.cmd.ExtraFiles = []*os.File{theirs}
	// A session of its own is also a scheduling group of its own (sched_autogroup), which need not share with the program.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL, Setsid: true}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // as NS.Start does
		wan.Prefer()           // all threads of the new process inherit it
		err := c.cmd.Start()
		started <- err
		if err == nil {
			c.done <- c.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		conn.Close()
		return nil, fmt.Errorf("start the wide-area network: %w", err)
	}
	return c, nil
}

// stop ends the process.
func (c *carrier) stop() error {
	c.Client.Close()
	select {
	case err := <-c.done:
		return err
	case <-time.After(stopGrace):
		c.cmd.Process.Kill()
		return <-c.done
	}
}

// stopGrace is how long the carrier may take to end.
const stopGrace = 5 * time.Second

// carry is the life of that process. It does not return.
func carry(seed string) {
	err := func() error {
		n, err := strconv.ParseUint(seed, 10, 64)
		if err != nil {
			return fmt.Errorf("%s: %w", wanMark, err)
		}
		conn, err := net.FileConn(os.NewFile(wanSocket, "wan"))
		if err != nil {
			return err
		}
		return wan.Serve(conn.(*net.UnixConn), n)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab: wide-area network:", err)
		os.Exit(1)
	}
	os.Exit(0)
}
