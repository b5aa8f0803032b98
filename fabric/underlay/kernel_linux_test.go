package underlay

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestDualStack(t *testing.T) {
	server := listen(t, "[::]:0")
	port := server.LocalAddr().Port()
	for _, host := range []string{"127.0.0.1", "::1"} {
		client := listen(t, netip.AddrPortFrom(netip.MustParseAddr(host), 0).String())
		to := netip.AddrPortFrom(netip.MustParseAddr(host), port)
		mustWrite(t, client, Packet{Buf: galleon("from " + host), Addr: to})
		p := read(t, server, 1)[0]
		if p.Addr != client.LocalAddr() {
			t.Errorf("from %s, want %s", p.Addr, client.LocalAddr())
		}
		mustWrite(t, server, Packet{Buf: galleon("back to " + host), Addr: p.Addr})
		if p := read(t, client, 1)[0]; p.Addr != to || !bytes.Equal(p.Buf, galleon("back to "+host)) {
			t.Errorf("read %q from %s, want it from %s", p.Buf, p.Addr, to)
		}
	}
}

func TestIPv4SocketRefusesIPv6(t *testing.T) {
	a, b := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	err := a.WriteBatch([]Packet{
		{Buf: galleon("one"), Addr: b.LocalAddr()},
		{Buf: galleon("nowhere"), Addr: netip.MustParseAddrPort("[2001:db8::1]:9")},
		{Buf: galleon("no address"), Addr: netip.AddrPort{}},
		{Buf: galleon("two"), Addr: b.LocalAddr()},
	})
	if !errors.Is(err, errFamily) || !errors.Is(err, syscall.EDESTADDRREQ) {
		t.Errorf("error %v", err)
	}
	var failed []string
	for _, e := range SendErrors(fmt.Errorf("wrapped: %w", err)) {
		failed = append(failed, e.Addr.String())
	}
	if want := "[2001:db8::1]:9 invalid AddrPort"; strings.Join(failed, " ") != want {
		t.Errorf("failed %v, want %s", failed, want)
	}
	read(t, b, 1)
	read(t, b, 1)
}

// TestTooBig: 65,507 octets are the most that UDP over IPv4 can say, on any interface.
func TestTooBig(t *testing.T) {
	a, b := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	big := append(galleon(""), make([]byte, 65_600)...)
	err := a.WriteBatch([]Packet{{Buf: galleon("one"), Addr: b.LocalAddr()}, {Buf: big, Addr: b.LocalAddr()}, {Buf: galleon("two"), Addr: b.LocalAddr()}})
	var e *SendError
	if !errors.Is(err, ErrTooBig) || !errors.As(err, &e) || e.Addr != b.LocalAddr() || e.Size != len(big) {
		t.Errorf("error %v", err)
	}
	read(t, b, 1)
	read(t, b, 1)
	if s := a.Stats(); s.Out != 2 || s.SendErrors != 1 || s.TooLong != 1 {
		t.Errorf("stats %+v", s)
	}
	// QUIC is told too: it can do something about it.
	if _, err := a.QUIC().WriteTo(big, net.UDPAddrFromAddrPort(b.LocalAddr())); !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("QUIC's write: %v", err)
	}
}

func TestDontFragmentIsSet(t *testing.T) {
	for addr, level := range map[string]int{"127.0.0.1:0": unix.IPPROTO_IP, "[::]:0": unix.IPPROTO_IPV6} {
		s := listen(t, addr)
		opts := map[int]int{unix.IPPROTO_IP: unix.IP_MTU_DISCOVER, unix.IPPROTO_IPV6: unix.IPV6_MTU_DISCOVER}
		want := map[int]int{unix.IPPROTO_IP: unix.IP_PMTUDISC_PROBE, unix.IPPROTO_IPV6: unix.IPV6_PMTUDISC_PROBE}
		for l := range opts {
			if level == unix.IPPROTO_IP && l == unix.IPPROTO_IPV6 {
				continue
			}
			err := s.net.(*kernel).control(func(fd int) error {
				v, err := unix.GetsockoptInt(fd, l, opts[l])
				if v != want[l] {
					t.Errorf("%s: level %d has %d, want %d", addr, l, v, want[l])
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	}
}

func TestPortInUse(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	_, err := Listen(s.LocalAddr(), Options{})
	if !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("error %v", err)
	}
	for _, part := range []string{s.LocalAddr().String(), "another process has this port", fmt.Sprintf("ss -ulpn 'sport = :%d'", s.LocalAddr().Port())} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}

func TestBadAddresses(t *testing.T) {
	for addr, part := range map[string]string{
		"192.0.2.1:0":     "no such address",
		"[2001:db8::1]:0": "no such address",
	} {
		if _, err := Listen(netip.MustParseAddrPort(addr), Options{}); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v, want %q", addr, err, part)
		}
	}
	if _, err := Listen(netip.AddrPort{}, Options{}); err == nil || !strings.Contains(err.Error(), "[::]:port") {
		t.Errorf("no address: %v", err)
	}
}

func TestMarkNeedsPrivilege(t *testing.T) {
	s, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), Options{Mark: 0x6c})
	if errors.Is(err, unix.EPERM) {
		if !strings.Contains(err.Error(), "CAP_NET_ADMIN") {
			t.Errorf("error %q does not name the privilege", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.net.(*kernel).control(func(fd int) error {
		if v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK); err != nil || v != 0x6c {
			t.Errorf("mark %#x, %v", v, err)
		}
		return nil
	})
}

func TestBuffersSayWhatTheyGot(t *testing.T) {
	s, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), Options{ReadBuffer: 100_000, WriteBuffer: 50_000})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if r, w := s.Buffers(); r != 100_000 || w != 50_000 {
		t.Errorf("buffers of %d and %d octets", r, w)
	}
}

// TestKernelDropsAreCounted sends more than the receive buffer holds before anybody reads.
func TestKernelDropsAreCounted(t *testing.T) {
	a := listen(t, "127.0.0.1:0")
	b, err := Listen(netip.MustParseAddrPort("127.0.0.1:0"), Options{ReadBuffer: 8192})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	const n = 200
	for range n {
		mustWrite(t, a, Packet{Buf: append(galleon(""), make([]byte, 1000)...), Addr: b.LocalAddr()})
	}
	// The count travels on packets that arrive after the loss; and the first read empties the buffer.
	got := len(read(t, b, MaxBatch))
	mustWrite(t, a, Packet{Buf: galleon("after"), Addr: b.LocalAddr()})
	for {
		got += len(read(t, b, MaxBatch))
		if s := b.Stats(); s.KernelDrops > 0 {
			if int(s.KernelDrops)+got != n+1 {
				t.Errorf("%d dropped and %d read of %d", s.KernelDrops, got, n+1)
			}
			return
		}
		if got >= n {
			t.Fatal("nothing was dropped: the buffer is larger than asked")
		}
	}
}

func TestOverflowCounterWraps(t *testing.T) {
	p := &port{last: 0xffff_fffe}
	p.dropped(3)
	if p.drops != 5 {
		t.Errorf("%d drops", p.drops)
	}
}

// TestHandOver: a successor takes the port over by its descriptor, and no packet is refused between.
func TestHandOver(t *testing.T) {
	a, old := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	young := handOver(t, old, Options{})
	if young.LocalAddr() != old.LocalAddr() {
		t.Fatalf("%s was handed over as %s", old.LocalAddr(), young.LocalAddr())
	}
	mustWrite(t, a, Packet{Buf: galleon("while both live"), Addr: old.LocalAddr()})
	old.Close()
	mustWrite(t, a, Packet{Buf: galleon("after"), Addr: young.LocalAddr()})
	for _, want := range []string{"while both live", "after"} {
		if p := read(t, young, 1)[0]; !bytes.Equal(p.Buf, galleon(want)) {
			t.Errorf("read %q, want %q", p.Buf, want)
		}
	}
}

// handOver gives a socket's descriptors to a successor, all or the first few.
func handOver(t *testing.T, old *Socket, o Options, few ...int) *Socket {
	t.Helper()
	files, err := old.Files()
	if err != nil {
		t.Fatal(err)
	}
	defer closeFiles(files)
	if len(few) > 0 {
		closeFiles(files[few[0]:])
		files = files[:few[0]]
	}
	young, err := FromFiles(files, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { young.Close() })
	return young
}

// TestBlockingDescriptor: whoever holds a duplicate can make the socket blocking for everybody. Close
// must end a reader all the same.
func TestBlockingDescriptor(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	files, err := s.Files()
	if err != nil {
		t.Fatal(err)
	}
	defer closeFiles(files)
	if err := unix.SetNonblock(int(files[0].Fd()), false); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { _, err := s.ReadBatch(0, buffers(1)); ended <- err }()
	mustWrite(t, s, Packet{Buf: quic("so that the reader has been there"), Addr: s.LocalAddr()})
	if _, _, err := s.QUIC().ReadFrom(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("ended with %v", err)
	}
}

func TestFromFilesRefusesOthers(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := FromFiles([]*os.File{f}, Options{}); err == nil {
		t.Error("took over a TCP socket")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, err := FromFiles([]*os.File{null}, Options{}); err == nil {
		t.Error("took over a file")
	}
	if _, err := FromFiles(nil, Options{}); err == nil {
		t.Error("took over nothing")
	}
}
