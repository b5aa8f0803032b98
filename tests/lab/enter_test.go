//go:build linux

package lab

import (
	"bufio"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestEnterPassesTheExitCode(t *testing.T) {
	needLab(t)
	err := helper("exit").Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 {
		t.Errorf("the program inside ended with 7, the one outside with %v", err)
	}
}

func TestEnterPassesSignals(t *testing.T) {
	needLab(t)
	cmd := helper("signal")
	startReady(t, cmd)
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 9 {
		t.Errorf("the program inside answers SIGTERM with 9, the one outside ended with %v", err)
	}
}

// TestCrashLeavesNothing: killed without warning, the program takes along what it started, and also what is not tied to it.
func TestCrashLeavesNothing(t *testing.T) {
	needLab(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := helper("crash")
	cmd.ExtraFiles = []*os.File{w}
	startReady(t, cmd)
	w.Close()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	// The pipe ends when the last process that holds it does.
	r.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("10 s after the crash a process still lives: %v", err)
	}
}

// startReady starts a helper and waits for its word that it is ready.
func startReady(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the helper says %q (%v)", line, err)
	}
}

func TestEnterSaysWhatIsMissing(t *testing.T) {
	needLab(t)
	for name, c := range map[string]struct {
		flags uintptr
		want  []string
	}{
		"no-tun": {unix.CLONE_NEWNS, []string{"/dev/net/tun is missing", "modprobe tun"}},
		"no-ns":  {unix.CLONE_NEWUSER, []string{"user.max_user_namespaces=0", "sudo sysctl -w", "run as root"}},
	} {
		cmd := helper(name)
		cmd.SysProcAttr.Cloneflags = c.flags
		if c.flags == unix.CLONE_NEWUSER {
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{Size: 1}}
		}
		out, _ := cmd.CombinedOutput()
		for _, want := range c.want {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s: does not say %q: %s", name, want, out)
			}
		}
		if n := strings.Count(strings.TrimSpace(string(out)), "\n"); n > 0 {
			t.Errorf("%s: more than one line: %s", name, out)
		}
	}
}

// TestOrdinaryUser: when this test is root, it becomes nobody, to whom the lab works as well.
func TestOrdinaryUser(t *testing.T) {
	needLab(t)
	if b, err := os.ReadFile("/proc/self/uid_map"); err != nil || !strings.HasSuffix(strings.TrimSpace(string(b)), "4294967295") {
		t.Skip("the test runs as an ordinary user already, and so all of it shows what this test would")
	}
	cmd := helper("ordinary")
	cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNS
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), "forbids ordinary users") || strings.Contains(string(out), "refuses to make namespaces") {
		t.Skip(string(out))
	}
	if err != nil || string(out) != "uid 65534 outside, 0 inside, 3 replies\n" {
		t.Errorf("%s (%v)", out, err)
	}
}
