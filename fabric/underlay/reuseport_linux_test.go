package underlay

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/wire"
)

// needReaders skips where the kernel does not divide a port.
func needReaders(t testing.TB, s *Socket, n int) {
	t.Helper()
	if s.Readers() == n {
		return
	}
	for _, f := range *shortfallsOf(s) {
		if f.What == ShortReaders {
			t.Skip("this kernel does not divide a port: ", f.Err)
		}
	}
	t.Fatalf("%d readers, want %d, and nothing was said", s.Readers(), n)
}

// data is a packet of a class and lane.
func data(class topo.Class, lane uint8, s string) []byte {
	return append(wire.Header{Type: wire.Data, HopLimit: 8, Class: class, Lane: lane, Source: 1, Dest: 2, Partial: lane%2 == 1, ECN: lane % 4}.Append(nil), s...)
}

func probe(s string) []byte {
	return append(wire.Header{Type: wire.Probe, HopLimit: 1, Class: topo.ClassBulk, Source: 1, Dest: 2, Lane: 3}.Append(nil), s...)
}

// express says where a packet shall arrive, as the box in reuseport_linux.go does.
func express(b []byte) bool { return b[0] != 129 || topo.Class(b[2]>>5) == topo.ClassControl }

// TestProgram runs the steering program where it can be looked at.
func TestProgram(t *testing.T) {
	for readers := 2; readers <= MaxReaders; readers++ {
		var raw []bpf.RawInstruction
		for _, f := range steering(readers) {
			raw = append(raw, bpf.RawInstruction{Op: f.Code, Jt: f.Jt, Jf: f.Jf, K: f.K})
		}
		program, ok := bpf.Disassemble(raw)
		if !ok {
			t.Fatalf("%v cannot be read", raw)
		}
		vm, err := bpf.NewVM(program)
		if err != nil {
			t.Fatal(err)
		}
		for first := range 256 {
			for class := range topo.Class(8) {
				for lane := range uint8(wire.MaxLanes) {
					b := data(class, lane, "")
					b[0] = byte(first)
					want := 0
					if !express(b) {
						want = 1 + int(lane)%(readers-1)
					}
					if got, err := vm.Run(b); err != nil || got != want {
						t.Fatalf("%d readers: first octet %d, class %d, lane %d goes to reader %d (%v), want %d", readers, first, class, lane, got, err, want)
					}
				}
			}
		}
	}
}

// TestFloodDoesNotStarveProbes: nobody reads the data that fills reader 1, and everything that must arrive does.
func TestFloodDoesNotStarveProbes(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0", "[::]:0"} {
		for _, o := range []Options{{Readers: 2, ReadBuffer: 100_000}, {Readers: 2, ReadBuffer: 100_000, NoOffload: true}} {
			a, b := listen(t, addr, Options{Lanes: 4}), listen(t, addr, o)
			needReaders(t, b, 2)
			to := b.LocalAddr()
			if to.Addr().IsUnspecified() {
				to = netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), to.Port())
			}
			flood := make([]Packet, 32)
			for i := range flood {
				flood[i] = Packet{Buf: data(topo.ClassBulk, uint8(i%4), string(make([]byte, 1200))), Addr: to, Lane: uint8(i % 4)}
			}
			run := append(data(topo.ClassInteractive, 1, string(make([]byte, 1200-wire.HeaderLen))), data(topo.ClassBulk, 1, "end")...)
			for i := range 100 {
				mustWrite(t, a, flood...)
				mustWrite(t, a, Packet{Buf: run, Seg: 1200, Addr: to, Lane: 1})
				mustWrite(t, a, Packet{Buf: probe(fmt.Sprint(i)), Addr: to}, Packet{Buf: quic(fmt.Sprint(i)), Addr: to},
					Packet{Buf: data(topo.ClassControl, 2, fmt.Sprint(i)), Addr: to, Lane: 2})
				for _, want := range [][]byte{probe(fmt.Sprint(i)), data(topo.ClassControl, 2, fmt.Sprint(i))} {
					if p := read(t, b, 1)[0]; string(p.Buf) != string(want) {
						t.Fatalf("reader 0 got %q, want %q", p.Buf, want)
					}
				}
				buf := make([]byte, 100)
				if n, _, err := b.QUIC().ReadFrom(buf); err != nil || string(buf[:n]) != string(quic(fmt.Sprint(i))) {
					t.Fatalf("QUIC got %q, %v", buf[:n], err)
				}
			}
			s := b.Stats()
			if r := s.Readers; r[1].Drops == 0 || r[0].Drops != 0 || r[1].Queued < 50_000 || r[0].Queued != 0 || s.KernelDrops != r[1].Drops {
				t.Errorf("%s: stats %+v", addr, s)
			}
			if p := readOf(t, b, 1); express(p.Buf) {
				t.Errorf("reader 1 got %q", p.Buf[:40])
			}
		}
	}
}

// readOf reads one packet from a reader.
func readOf(t *testing.T, s *Socket, reader int) Packet {
	t.Helper()
	s.SetReadDeadline(time.Now().Add(5 * time.Second))
	p := buffers(1)
	if _, err := s.ReadBatch(reader, p); err != nil {
		t.Fatal(err)
	}
	return p[0]
}

func TestLanesAreDividedAmongReaders(t *testing.T) {
	a, b := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0", Options{Readers: 4})
	needReaders(t, b, 4)
	for lane := range uint8(wire.MaxLanes) {
		want := data(topo.ClassBulk, lane, "x")
		mustWrite(t, a, Packet{Buf: want, Addr: b.LocalAddr()})
		if p := readOf(t, b, 1+int(lane)%3); string(p.Buf) != string(want) {
			t.Errorf("lane %d: read %q", lane, p.Buf)
		}
	}
}

// TestASecondDaemonIsRefused, also when the port is divided, and also when it wants to divide it itself.
func TestASecondDaemonIsRefused(t *testing.T) {
	s := listen(t, "127.0.0.1:0", Options{Readers: 2})
	for _, o := range []Options{{}, {Readers: 2}} {
		if _, err := Listen(s.LocalAddr(), o); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// TestHandOverOfReaders: a successor gets every reader's packets, those on their way included.
func TestHandOverOfReaders(t *testing.T) {
	a, old := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0", Options{Readers: 3, Lanes: 2})
	needReaders(t, old, 3)
	send := func() {
		mustWrite(t, a, Packet{Buf: probe("x"), Addr: old.LocalAddr()}, Packet{Buf: data(topo.ClassBulk, 2, "x"), Addr: old.LocalAddr()},
			Packet{Buf: data(topo.ClassBulk, 3, "x"), Addr: old.LocalAddr()})
	}
	send()
	young := handOver(t, old, Options{}) // one that wants fewer readers must serve them all the same
	old.Close()
	send()
	if young.Readers() != 3 || young.Lanes() != 2 {
		t.Fatalf("%d readers and %d lanes were handed over", young.Readers(), young.Lanes())
	}
	for range 2 {
		for r, want := range [][]byte{probe("x"), data(topo.ClassBulk, 2, "x"), data(topo.ClassBulk, 3, "x")} {
			if p := readOf(t, young, r); string(p.Buf) != string(want) {
				t.Errorf("reader %d got %q, want %q", r, p.Buf, want)
			}
		}
	}
}

// TestOneFileOfAnOlderVersion: its port was not made to be shared, and is shared all the same; when the
// successor's own readers die with it, the one that is left gets everything.
func TestOneFileOfAnOlderVersion(t *testing.T) {
	a, old := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	young := handOver(t, old, Options{Readers: 2, Lanes: 3}, 1)
	needReaders(t, young, 2)
	if young.Lanes() != 3 {
		t.Errorf("%d lanes", young.Lanes())
	}
	packet := Packet{Buf: data(topo.ClassBulk, 0, "x"), Addr: old.LocalAddr()}
	mustWrite(t, a, packet)
	readOf(t, young, 1)
	young.Close()
	mustWrite(t, a, packet)
	next := handOver(t, old, Options{Readers: 2}, 1)
	readOf(t, next, 0)
	mustWrite(t, a, packet)
	readOf(t, next, 1)
}

// TestWithoutReuseport: where the kernel refuses, there is one reader, and that is said.
func TestWithoutReuseport(t *testing.T) {
	// The kernel refuses to divide a socket that is not bound with SO_REUSEPORT.
	s := listen(t, "127.0.0.1:0")
	k := s.net.(*kernel)
	if err := k.steer(2); !errors.Is(err, unix.EINVAL) {
		t.Errorf("error %v", err)
	}
	// And to bind where the address is gone: here, in a socket that was closed.
	p, err := newPort(mustUDP(t))
	if err != nil {
		t.Fatal(err)
	}
	var short shortfalls
	p.Close()
	if got := group([]*port{p}, Options{Readers: 2}, &short); len(got) != 1 || len(short.said) != 1 || short.said[0].What != ShortReaders {
		t.Errorf("%d readers, said %v", len(got), short.said)
	}
	if got := moreLanes([]*port{p}, Options{Lanes: 1}, &short); len(got) != 1 || len(short.said) != 1 {
		t.Errorf("%d lanes, said %v", len(got), short.said)
	}
}

func mustUDP(t *testing.T) *net.UDPConn {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
