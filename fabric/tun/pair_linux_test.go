package tun_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/tun/tuntest"
)

// Two hosts, each with a device, and nothing between the devices but a copy: what one gives is written to
// the other.
//
//	host A, 10.78.0.1, fd78::1 ─► device A ─► pump ─► device B ─► host B, 10.78.0.2, fd78::2
type pair struct {
	a, b    *tun.Kernel
	inB     func(f func()) // runs f on a thread that is in the namespace of host B
	longest atomic.Int64   // octets of a packet or super-packet of host A
	supers  atomic.Int64   // of both
}

var (
	hostA4, hostB4 = netip.MustParseAddr("10.78.0.1"), netip.MustParseAddr("10.78.0.2")
	hostA6, hostB6 = netip.MustParseAddr("fd78::1"), netip.MustParseAddr("fd78::2")
)

type kernelOf struct {
	o    tun.Options
	most tun.Offloads
}

// newPair has a pump between the devices.
func newPair(t testing.TB, forA, forB kernelOf) *pair {
	t.Helper()
	p := devicesOf(t, forA, forB)
	var running sync.WaitGroup
	t.Cleanup(func() { p.a.Close(); p.b.Close(); running.Wait() })
	running.Go(func() { p.pump(t, p.a, p.b, &p.longest) })
	running.Go(func() { p.pump(t, p.b, p.a, new(atomic.Int64)) })
	return p
}

func devicesOf(t testing.TB, forA, forB kernelOf) *pair {
	t.Helper()
	needNamespace(t)
	p := &pair{inB: namespaceOf(t)}
	make := func(name string, k kernelOf, v4, v6 netip.Addr) *tun.Kernel {
		k.o.MTU = mtu
		d, err := tun.OpenWith(name, k.o, k.most)
		if err != nil {
			t.Error(err)
			return nil
		}
		for _, err := range []error{up(d.Name()), addAddress(d.Name(), netip.PrefixFrom(v4, 24)), addAddress(d.Name(), netip.PrefixFrom(v6, 64))} {
			if err != nil {
				t.Error(err)
			}
		}
		return d
	}
	p.a = make("pair%d", forA, hostA4, hostA6)
	p.inB(func() { p.b = make("pair%d", forB, hostB4, hostB6) })
	if t.Failed() {
		t.FailNow()
	}
	return p
}

// pump carries packets until one of the devices is closed.
func (p *pair) pump(t testing.TB, from, to *tun.Kernel, longest *atomic.Int64) {
	arena, pkts := make([]byte, 4*tun.MaxPacket), make([]tun.Packet, 64)
	for {
		n, err := from.ReadBatch(arena, pkts)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil {
			t.Errorf("read: %v", err)
			return
		}
		for _, q := range pkts[:n] {
			if int64(len(q.Buf)) > longest.Load() {
				longest.Store(int64(len(q.Buf)))
			}
			if q.GSO != 0 {
				p.supers.Add(1)
			}
		}
		if _, err := to.WriteBatch(pkts[:n]); errors.Is(err, os.ErrClosed) {
			return
		} else if err != nil {
			t.Errorf("write: %v", err)
		}
	}
}

// namespaceOf makes a network namespace and returns a way to run functions in it. It ends with the test, and
// what is in it, when the last socket and device are closed.
func namespaceOf(t testing.TB) func(f func()) {
	t.Helper()
	jobs, began := make(chan func()), make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		began <- unix.Unshare(unix.CLONE_NEWNET)
		for f := range jobs {
			f()
		}
	}()
	if err := <-began; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(jobs) })
	return func(f func()) {
		done := make(chan struct{})
		jobs <- func() { defer close(done); f() }
		<-done
	}
}

// listen opens a TCP listener and a UDP socket at the same port of host B.
func (p *pair) listen(t testing.TB, at netip.Addr) (l *net.TCPListener, u *net.UDPConn) {
	t.Helper()
	var err error
	late := time.Now().Add(5 * time.Second)
	for done := false; !done; {
		p.inB(func() {
			if l, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(at, 0))); err == nil {
				u, err = net.ListenUDP("udp", net.UDPAddrFromAddrPort(l.Addr().(*net.TCPAddr).AddrPort()))
			}
		})
		// A new IPv6 address cannot be bound for a moment.
		done = !errors.Is(err, syscall.EADDRNOTAVAIL) || time.Now().After(late)
		runtime.Gosched()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close(); u.Close() })
	if err := u.SetReadBuffer(8 << 20); err != nil {
		t.Fatal(err)
	}
	return l, u
}

var pairKernels = []struct {
	name string
	k    kernelOf
}{
	{"all", kernelOf{tun.Options{}, tuntest.All}},
	{"TSO", kernelOf{tun.Options{}, tun.Offloads{Checksum: true, TSO: true}}},
	{"bare", kernelOf{tun.Options{}, tun.Offloads{}}},
	{"plain", kernelOf{tun.Options{NoOffload: true}, tuntest.All}},
}
