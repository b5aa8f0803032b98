package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/tests/lab/wan"
)

// insideMark is the environment variable by which the process that Enter started knows itself. A child of that
// process inherits it too, and is told apart by its process ID: only the first one of a PID namespace has number 1.
const insideMark = "GALLEON_LAB_INSIDE"

// Inside says whether Enter has brought this process into the lab.
func Inside() bool { return os.Getenv(insideMark) != "" && os.Getpid() == 1 }

// Enter brings the program to a place where it may make namespaces. Call it first in main or TestMain, with the
// arguments that the program is to have there (os.Args[1:]).
//
// It runs the current binary once more in new network, mount and process namespaces, and a new user namespace unless it
// is root; passes on signals; and ends this process with that one's exit code. So outside, Enter only returns when the lab
// cannot be entered, and the error says in one sentence what to do. Inside, it returns nil.
//
// It also is where the process that carries the lab's packets, which is the current binary too, leaves the program's way.
//
// The new process namespace is what makes a crash clean: when the program dies, the kernel kills all that it and
// its children started.
func Enter(args []string) error {
	if seed := os.Getenv(wanMark); seed != "" {
		carry(seed)
	}
	if Inside() {
		return settle()
	}
	if err := wan.CheckTUN(); err != nil {
		return fmt.Errorf("enter the lab: %w", err)
	}
	// Pdeathsig is sent when the thread ends that started the process, so that thread must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd, err := start(args, os.Geteuid() != 0)
	if isRefusal(err) && os.Geteuid() == 0 {
		cmd, err = start(args, true) // root of a container, say, without the capabilities of root
	}
	if err != nil {
		return refusal(err)
	}
	os.Exit(attend(cmd))
	return nil
}

func start(args []string, newUser bool) (*exec.Cmd, error) {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), insideMark+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		Pdeathsig:  unix.SIGKILL,
		// Its own group, so that Ctrl-C reaches it once, through attend, and not a second time from the terminal.
		Setpgid: true,
	}
	if newUser {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	return cmd, cmd.Start()
}

// attend passes on signals until the process ends, and gives the exit code that a shell would give.
func attend(cmd *exec.Cmd) int {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2)
	ended := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				cmd.Process.Signal(s)
			case <-ended:
				return
			}
		}
	}()
	err := cmd.Wait()
	close(ended)
	var exit *exec.ExitError
	switch status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus); {
	case err == nil:
		return 0
	case errors.As(err, &exit) && status.Signaled():
		return 128 + int(status.Signal())
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "wait for the lab:", err)
	return 1
}

// settle finishes the new namespaces from within: mounts stay private, /proc shows the new processes, and the
// privileges that a security module may have held back are tried.
func settle() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return refusal(err)
	}
	// Containers that mask parts of /proc refuse a new one. The old one serves: /proc/self and
	// /proc/thread-self resolve, only its process numbers are those of outside.
	unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	ns, err := NewNS("trial")
	if err != nil {
		return refusal(err)
	}
	return ns.Close()
}

func isRefusal(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EINVAL)
}

// The settings by which kernels and distributions forbid user namespaces, and the value that does.
var forbids = []struct{ sysctl, when, allow string }{
	{"kernel.unprivileged_userns_clone", "0", "1"},             // Debian, Arch
	{"kernel.apparmor_restrict_unprivileged_userns", "1", "0"}, // Ubuntu from 23.10
	{"user.max_user_namespaces", "0", "10000"},                 // RHEL
	{"kernel.grsecurity.unprivileged_userns_clone", "0", "1"},  // hardened kernels
}

// refusal words the one sentence for a kernel that forbids the lab.
func refusal(err error) error {
	for _, f := range forbids {
		b, readErr := os.ReadFile("/proc/sys/" + strings.ReplaceAll(f.sysctl, ".", "/"))
		if readErr == nil && strings.TrimSpace(string(b)) == f.when {
			return fmt.Errorf("enter the lab: this kernel forbids ordinary users to make namespaces (%s=%s): allow it with `sudo sysctl -w %s=%s`, or run as root: %w", f.sysctl, f.when, f.sysctl, f.allow, err)
		}
	}
	return fmt.Errorf("enter the lab: the kernel refuses to make namespaces: run as root, or with `--privileged` in a container, or allow user namespaces (kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0): %w", err)
}
