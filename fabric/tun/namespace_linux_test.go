package tun_test

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

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
