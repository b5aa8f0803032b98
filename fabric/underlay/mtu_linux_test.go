package underlay

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// smallLoopback is set in the process that has a network namespace of its own.
const smallLoopback = "GALLEON_UNDERLAY_TEST_NAMESPACE"

// TestTooBigForTheInterface runs in a network namespace whose loopback carries 1,300 octets. Nothing
// may be fragmented, in either family, also not from a dual-stack socket.
func TestTooBigForTheInterface(t *testing.T) {
	if os.Getenv(smallLoopback) == "" {
		inNamespace(t)
		return
	}
	const mtu = 1300
	loopback(t, mtu)
	for _, c := range []struct {
		listen, host string
		headers      int // of IP and UDP, octets
	}{
		{"127.0.0.1:0", "127.0.0.1", 28},
		{"[::1]:0", "::1", 48},
		{"[::]:0", "127.0.0.1", 28},
		{"[::]:0", "::1", 48},
	} {
		a, b := listen(t, c.listen), listen(t, c.listen)
		to := netip.AddrPortFrom(netip.MustParseAddr(c.host), b.LocalAddr().Port())
		fits := append(galleon(""), make([]byte, mtu-c.headers-len(galleon("")))...)
		mustWrite(t, a, Packet{Buf: fits, Addr: to})
		if p := read(t, b, 1)[0]; len(p.Buf) != len(fits) {
			t.Errorf("%s to %s: read %d octets, want %d", c.listen, c.host, len(p.Buf), len(fits))
		}
		err := a.WriteBatch([]Packet{{Buf: append(fits, 0), Addr: to}})
		var e *SendError
		if !errors.Is(err, ErrTooBig) || !errors.As(err, &e) || e.Size != len(fits)+1 {
			t.Errorf("%s to %s: sent %d octets and got %v", c.listen, c.host, len(fits)+1, err)
		}
		// Of a run only the last, shorter datagram passes. That is no fault of the kernel's.
		run, want := runOf(len(fits)+1, 3, 100)
		if err := a.WriteBatch([]Packet{{Buf: run, Seg: len(fits) + 1, Addr: to}}); !errors.As(err, &e) || !errors.Is(err, ErrTooBig) || e.Packets != 3 || e.Size != len(fits)+1 {
			t.Errorf("%s to %s: sent a run of %d octets and got %v", c.listen, c.host, len(fits)+1, err)
		}
		if p := read(t, b, 1)[0]; !bytes.Equal(p.Buf, want[3]) {
			t.Errorf("%s to %s: read %d octets", c.listen, c.host, len(p.Buf))
		}
		run, _ = runOf(len(fits), 30, 100)
		before := a.Offloads()
		mustWrite(t, a, Packet{Buf: run, Seg: len(fits), Addr: to})
		if got := readDatagrams(t, b, 31); len(got[30]) != 100 || a.Offloads() != before {
			t.Errorf("%s to %s: the last of a run has %d octets, offloads %+v", c.listen, c.host, len(got[30]), a.Offloads())
		}
	}
}

// inNamespace runs this one test again, in a process that has namespaces of its own.
func inNamespace(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=30s")
	cmd.Env = append(os.Environ(), smallLoopback+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		t.Errorf("in the namespace:\n%s", out)
	case err != nil:
		t.Skip("no network namespace of our own: ", err)
	case strings.Contains(string(out), "--- SKIP"):
		t.Skipf("in the namespace:\n%s", out)
	}
}

// loopback brings the namespace's loopback up with an MTU.
func loopback(t *testing.T, mtu int) {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(s)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint32(uint32(mtu))
	if err := unix.IoctlIfreq(s, unix.SIOCSIFMTU, req); err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, req); err != nil {
		t.Fatal(err)
	}
}
