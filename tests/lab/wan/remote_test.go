//go:build linux

package wan

import (
	"encoding/binary"
	"net"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// pair gives the two ends of a Unix stream socket.
func pair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	var ends [2]*net.UnixConn
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "pair")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		ends[i] = c.(*net.UnixConn)
		t.Cleanup(func() { c.Close() })
	}
	return ends[0], ends[1]
}

// TestRemote: calls reach the network and its errors come back. No device is needed for that.
func TestRemote(t *testing.T) {
	ours, theirs := pair(t)
	n, err := New(1)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- n.answer(theirs) }()
	c := NewClient(ours)
	if sites, err := c.Sites(); err != nil || len(sites) != 0 {
		t.Errorf("sites of an empty network: %v, %v", sites, err)
	}
	if st, err := c.Stats(); err != nil || len(st.Paths) != 0 {
		t.Errorf("stats of an empty network: %+v, %v", st, err)
	}
	if err := c.SetBoth("a", "b", "cut"); err == nil || !strings.Contains(err.Error(), `no site "a"`) {
		t.Errorf("set a link of no site: %v", err)
	}
	if err := c.Detach("a"); err == nil {
		t.Error("detached a site that is not there")
	}
	if _, err := c.call(call{Op: "attach", Site: "a"}, nil); err == nil || !strings.Contains(err.Error(), "without a device") {
		t.Errorf("attach without a device: %v", err)
	}
	if _, err := c.call(call{Op: "dance"}, nil); err == nil {
		t.Error("an unknown call was answered")
	}
	c.Close()
	if err := <-done; err != nil {
		t.Errorf("the server ended with %v", err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Stats(); err == nil || !strings.Contains(err.Error(), "process that carries packets") {
		t.Errorf("a call to a network that is gone: %v", err)
	}
}

// TestRemoteRefuses: lengths are judged before they are believed, and garbage ends the server.
func TestRemoteRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"too long": binary.BigEndian.AppendUint32(nil, maxMessage+1),
		"cut off":  append(binary.BigEndian.AppendUint32(nil, 100), '{'),
		"not JSON": append(binary.BigEndian.AppendUint32(nil, 3), "{{{"...),
	} {
		ours, theirs := pair(t)
		n, err := New(1)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- n.answer(theirs) }()
		ours.Write(b)
		ours.CloseWrite()
		if err := <-done; err == nil {
			t.Errorf("%s: the server took it", name)
		}
		n.Close()
	}
}
