package underlay

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go/testutils/simnet"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/wire"
)

// The contract: what every Socket does, whatever it stands on. Each clause gets two that reach each
// other.
var contract = map[string]func(t *testing.T, a, b *Socket){
	"galleon packets come out of ReadBatch, from an unmapped address": func(t *testing.T, a, b *Socket) {
		mustWrite(t, a, Packet{Buf: galleon("one"), Addr: b.LocalAddr()}, Packet{Buf: galleon("two"), Addr: b.LocalAddr()})
		for _, want := range []string{"one", "two"} {
			p := read(t, b, 1)[0]
			if !bytes.Equal(p.Buf, galleon(want)) || p.Addr != a.LocalAddr() {
				t.Errorf("read %q from %s, want %q from %s", p.Buf, p.Addr, want, a.LocalAddr())
			}
			if p.Addr.Addr().Is4In6() {
				t.Errorf("%s is mapped", p.Addr)
			}
		}
		if s := b.Stats(); s.In != 2 || s.InBytes != uint64(2*len(galleon("one"))) {
			t.Errorf("stats %+v", s)
		}
		if s := a.Stats(); s.Out != 2 || s.OutBytes != uint64(2*len(galleon("one"))) {
			t.Errorf("stats %+v", s)
		}
	},
	"more than a batch at once": func(t *testing.T, a, b *Socket) {
		const n = 3*MaxBatch + 7
		var out []Packet
		for i := range n {
			out = append(out, Packet{Buf: galleon(fmt.Sprintf("number %d", i)), Addr: b.LocalAddr()})
		}
		seen := map[string]bool{}
		done := make(chan error, 1)
		go func() { done <- a.WriteBatch(out) }()
		for len(seen) < n {
			for _, p := range read(t, b, 2*MaxBatch) {
				seen[string(p.Buf)] = true
			}
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	},
	"QUIC packets go to QUIC, strange ones nowhere": func(t *testing.T, a, b *Socket) {
		mustWrite(t, a,
			Packet{Buf: quic("first"), Addr: b.LocalAddr()},
			Packet{Buf: []byte{0x01, 'S', 'T', 'U', 'N'}, Addr: b.LocalAddr()},
			Packet{Buf: nil, Addr: b.LocalAddr()},
			Packet{Buf: galleon("between"), Addr: b.LocalAddr()},
			Packet{Buf: []byte{0x47, 's', 'h', 'o', 'r', 't'}, Addr: b.LocalAddr()},
			Packet{Buf: galleon("last"), Addr: b.LocalAddr()})
		for _, want := range []string{"between", "last"} {
			if p := read(t, b, 1)[0]; !bytes.Equal(p.Buf, galleon(want)) {
				t.Errorf("read %q, want %q", p.Buf, want)
			}
		}
		for _, want := range []string{string(quic("first")), "Gshort"} {
			buf := make([]byte, 100)
			n, from, err := b.QUIC().ReadFrom(buf)
			if err != nil || string(buf[:n]) != want || addrPort(from) != a.LocalAddr() {
				t.Errorf("QUIC read %q from %v, %v; want %q", buf[:n], from, err, want)
			}
		}
		if s := b.Stats(); s.QUICIn != 2 || s.Strange != 2 || s.In != 2 {
			t.Errorf("stats %+v", s)
		}
	},
	"QUIC writes to the same port": func(t *testing.T, a, b *Socket) {
		if _, err := a.QUIC().WriteTo(quic("hello"), net.UDPAddrFromAddrPort(b.LocalAddr())); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, a, Packet{Buf: galleon("behind it"), Addr: b.LocalAddr()})
		read(t, b, 1)
		buf := make([]byte, 100)
		if n, _, err := b.QUIC().ReadFrom(buf); err != nil || string(buf[:n]) != string(quic("hello")) {
			t.Errorf("read %q, %v", buf[:n], err)
		}
		if s := a.Stats(); s.QUICOut != 1 {
			t.Errorf("stats %+v", s)
		}
	},
	"a packet longer than its buffer is dropped and counted": func(t *testing.T, a, b *Socket) {
		mustWrite(t, a,
			Packet{Buf: galleon(strings.Repeat("long", 100)), Addr: b.LocalAddr()},
			Packet{Buf: galleon("short"), Addr: b.LocalAddr()})
		p := []Packet{{Buf: make([]byte, 100)}}
		n, err := b.ReadBatch(0, p)
		if err != nil || n != 1 || !bytes.Equal(p[0].Buf, galleon("short")) {
			t.Errorf("read %d, %q, %v", n, p[0].Buf, err)
		}
		if s := b.Stats(); s.Truncated != 1 {
			t.Errorf("stats %+v", s)
		}
	},
	"a run arrives in order, whole or not": func(t *testing.T, a, b *Socket) {
		run, want := runOf(100, 6, 30)
		mustWrite(t, a, Packet{Buf: galleon("before"), Addr: b.LocalAddr()}, Packet{Buf: run, Seg: 100, Addr: b.LocalAddr()})
		want = append([][]byte{galleon("before")}, want...)
		if got := readDatagrams(t, b, len(want)); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("read %q", got)
		}
		octets := uint64(len(run) + len(want[0]))
		if s := a.Stats(); s.Out != 8 || s.OutBytes != octets {
			t.Errorf("stats %+v", s)
		}
		if s := b.Stats(); s.In != 8 || s.InBytes != octets {
			t.Errorf("stats %+v", s)
		}
	},
	"runs of all sizes": func(t *testing.T, a, b *Socket) {
		for _, c := range []struct{ seg, full, rest int }{{1000, 1, 0}, {1000, 0, 24}, {24, 63, 24}, {24, 64, 0}, {1023, 63, 900}, {24, 1, 24}} {
			run, want := runOf(c.seg, c.full, c.rest)
			mustWrite(t, a, Packet{Buf: run, Seg: c.seg, Addr: b.LocalAddr()})
			if got := readDatagrams(t, b, len(want)); !slices.EqualFunc(got, want, bytes.Equal) {
				t.Errorf("%+v: read %d datagrams of %d octets, want %d", c, len(got), len(bytes.Join(got, nil)), len(want))
			}
		}
	},
	"what is QUIC's or strange is taken out of a run": func(t *testing.T, a, b *Socket) {
		run := bytes.Join([][]byte{padded(quic("1")), padded(galleon("2")), padded([]byte{0x01}), padded(galleon("4")),
			padded(galleon("5")), padded(quic("6")), galleon("7")}, nil)
		mustWrite(t, a, Packet{Buf: run, Seg: 100, Addr: b.LocalAddr()})
		want := [][]byte{padded(galleon("2")), padded(galleon("4")), padded(galleon("5")), galleon("7")}
		if got := readDatagrams(t, b, len(want)); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("read %q", got)
		}
		for _, want := range []string{"1", "6"} {
			buf := make([]byte, 200)
			if n, _, err := b.QUIC().ReadFrom(buf); err != nil || !bytes.Equal(buf[:n], padded(quic(want))) {
				t.Errorf("QUIC read %q, %v", buf[:n], err)
			}
		}
		if s := b.Stats(); s.In != 4 || s.QUICIn != 2 || s.Strange != 1 || s.InBytes != uint64(300+len(galleon("7"))) {
			t.Errorf("stats %+v", s)
		}
		// One that is left is no run; and a run without any is none of ours.
		mustWrite(t, a, Packet{Buf: bytes.Join([][]byte{padded(quic("1")), padded(quic("2")), galleon("3")}, nil), Seg: 100, Addr: b.LocalAddr()},
			Packet{Buf: slices.Concat(padded(quic("1")), padded(quic("2"))), Seg: 100, Addr: b.LocalAddr()},
			Packet{Buf: galleon("last"), Addr: b.LocalAddr()})
		for _, want := range []string{"3", "last"} {
			if p := read(t, b, 1)[0]; p.Seg != 0 || !bytes.Equal(p.Buf, galleon(want)) {
				t.Errorf("read %+v, want %q", p, want)
			}
		}
	},
	"a run that cannot be sent counts all its datagrams": func(t *testing.T, a, b *Socket) {
		run, _ := runOf(100, 6, 30)
		err := a.WriteBatch([]Packet{
			{Buf: run, Seg: 100, Addr: VirtualAddr(9)},
			{Buf: galleon("two"), Addr: b.LocalAddr()},
		})
		var e *SendError
		if !errors.As(err, &e) || e.Packets != 7 || e.Size != 100 || e.Octets != len(run) {
			t.Errorf("error %+v", e)
		}
		read(t, b, 1)
		if s := a.Stats(); s.Out != 1 || s.SendErrors != 7 || s.OutBytes != uint64(len(galleon("two"))) {
			t.Errorf("stats %+v", s)
		}
	},
	"a lane that is not there is lane 0": func(t *testing.T, a, b *Socket) {
		mustWrite(t, a, Packet{Buf: galleon("x"), Addr: b.LocalAddr(), Lane: 15})
		if p := read(t, b, 1)[0]; p.Addr != a.LocalAddr() {
			t.Errorf("from %s, want %s", p.Addr, a.LocalAddr())
		}
	},
	"a virtual address goes to the carrier": func(t *testing.T, a, b *Socket) {
		to := net.UDPAddrFromAddrPort(VirtualAddr(7))
		if _, err := a.QUIC().WriteTo(quic("nobody carries"), to); err != nil {
			t.Errorf("without carrier: %v", err)
		}
		var carried []string
		fail := false
		a.SetCarrier(func(to netip.AddrPort, p []byte) error {
			if fail {
				return errors.New("no route")
			}
			r, ok := RouterOf(to)
			carried = append(carried, fmt.Sprintf("%s %v %s", r, ok, p))
			b.InjectQUIC(p, VirtualAddr(3))
			return nil
		})
		if _, err := a.QUIC().WriteTo(quic("to seven"), to); err != nil {
			t.Error(err)
		}
		fail = true
		if _, err := a.QUIC().WriteTo(quic("lost"), to); err != nil {
			t.Errorf("a failing carrier is a lost packet, not an end: %v", err)
		}
		if want := "r7 true " + string(quic("to seven")); len(carried) != 1 || carried[0] != want {
			t.Errorf("carried %q, want %q", carried, want)
		}
		buf := make([]byte, 100)
		n, from, err := b.QUIC().ReadFrom(buf)
		if err != nil || string(buf[:n]) != string(quic("to seven")) || addrPort(from) != VirtualAddr(3) {
			t.Errorf("injected %q from %v, %v", buf[:n], from, err)
		}
		if s := a.Stats(); s.CarriedOut != 1 || s.SendErrors != 2 {
			t.Errorf("stats %+v", s)
		}
		if s := b.Stats(); s.CarriedIn != 1 {
			t.Errorf("stats %+v", s)
		}
	},
	"what cannot be sent does not stop the rest": func(t *testing.T, a, b *Socket) {
		err := a.WriteBatch([]Packet{
			{Buf: galleon("one"), Addr: b.LocalAddr()},
			{Buf: galleon("nowhere"), Addr: VirtualAddr(9)},
			{Buf: galleon("nowhere!"), Addr: VirtualAddr(9)},
			{Buf: galleon("two"), Addr: b.LocalAddr()},
		})
		var e *SendError
		if !errors.As(err, &e) || e.Addr != VirtualAddr(9) || e.Packets != 2 || e.Size != len(galleon("nowhere!")) {
			t.Errorf("error %v", err)
		}
		for _, want := range []string{"one", "two"} {
			if p := read(t, b, 1)[0]; !bytes.Equal(p.Buf, galleon(want)) {
				t.Errorf("read %q, want %q", p.Buf, want)
			}
		}
		if s := a.Stats(); s.Out != 2 || s.SendErrors != 2 {
			t.Errorf("stats %+v", s)
		}
	},
	"a read deadline ends ReadBatch": func(t *testing.T, a, b *Socket) {
		if err := b.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if _, err := b.ReadBatch(0, buffers(1)); err == nil {
			t.Error("read something")
		}
		if err := b.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, a, Packet{Buf: galleon("still alive"), Addr: b.LocalAddr()})
		read(t, b, 1)
	},
	"closing QUIC's side leaves the socket open": func(t *testing.T, a, b *Socket) {
		b.QUIC().Close()
		if _, _, err := b.QUIC().ReadFrom(make([]byte, 10)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read: %v", err)
		}
		if _, err := b.QUIC().WriteTo(quic("x"), net.UDPAddrFromAddrPort(a.LocalAddr())); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write: %v", err)
		}
		mustWrite(t, a, Packet{Buf: quic("for nobody"), Addr: b.LocalAddr()}, Packet{Buf: galleon("x"), Addr: b.LocalAddr()})
		read(t, b, 1)
		if s := b.Stats(); s.QueueDrops != 1 {
			t.Errorf("stats %+v", s)
		}
	},
	"Close ends everybody": func(t *testing.T, a, b *Socket) {
		ended := make(chan error, 2)
		go func() { _, err := b.ReadBatch(0, buffers(1)); ended <- err }()
		go func() { _, _, err := b.QUIC().ReadFrom(make([]byte, 10)); ended <- err }()
		b.Close()
		for range 2 {
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("ended with %v", err)
			}
		}
		if err := b.WriteBatch([]Packet{{Buf: galleon("late"), Addr: a.LocalAddr()}}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after Close: %v", err)
		}
	},
}

func TestContract(t *testing.T) {
	for name, c := range map[string]struct {
		addr string
		o    Options
	}{
		"IPv4":                  {addr: "127.0.0.1:0"},
		"IPv6":                  {addr: "[::1]:0"},
		"IPv4 without offloads": {"127.0.0.1:0", Options{NoOffload: true}},
		"IPv6 without offloads": {"[::1]:0", Options{NoOffload: true}},
	} {
		t.Run(name, func(t *testing.T) {
			for clause, f := range contract {
				t.Run(clause, func(t *testing.T) { f(t, listen(t, c.addr, c.o), listen(t, c.addr, c.o)) })
			}
		})
	}
	t.Run("simulated", func(t *testing.T) {
		for clause, f := range contract {
			t.Run(clause, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a, b := simulated(t)
					f(t, a, b)
				})
			})
		}
	})
}

// simulated is two sockets with 40 ms between them.
func simulated(t *testing.T) (a, b *Socket) {
	n := &simnet.Simnet{Router: &simnet.PerfectRouter{}}
	link := simnet.NodeBiDiLinkSettings{Latency: 20 * time.Millisecond}
	a = Wrap(n.NewEndpoint(&net.UDPAddr{IP: net.IPv4(10, 0, 0, 1).To4(), Port: 1000}, link))
	b = Wrap(n.NewEndpoint(&net.UDPAddr{IP: net.IPv4(10, 0, 0, 2).To4(), Port: 1000}, link))
	if err := n.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Close()
		b.Close()
		n.Close()
	})
	return a, b
}

func listen(t testing.TB, addr string, o ...Options) *Socket {
	t.Helper()
	s, err := Listen(netip.MustParseAddrPort(addr), append(o, Options{})[0])
	if errors.Is(err, os.ErrNotExist) || err != nil && strings.Contains(err.Error(), "no such address") {
		t.Skipf("this machine does not have %s: %v", addr, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// galleon is a datagram that begins like one of ours, quic like a long header of QUIC.
func galleon(s string) []byte {
	return append(wire.Header{Type: wire.Data, HopLimit: 8, Source: 1, Dest: 2}.Append(nil), s...)
}

func quic(s string) []byte { return append([]byte{0xc3}, s...) }

// padded is b with zeros up to 100 octets.
func padded(b []byte) []byte { return append(b, make([]byte, 100-len(b))...) }

// runOf is a run of full datagrams of seg octets and, when rest is not 0, one of rest octets.
func runOf(seg, full, rest int) (run []byte, datagrams [][]byte) {
	for i := range full + 1 {
		n := seg
		if i == full {
			n = rest
		}
		if n > 0 {
			d := append(galleon(""), make([]byte, n-len(galleon("")))...)
			d[10] = byte(i)
			d[n-1] ^= byte(i) << 1
			datagrams = append(datagrams, d)
		}
	}
	return bytes.Join(datagrams, nil), datagrams
}

func buffers(n int) []Packet {
	p := make([]Packet, n)
	for i := range p {
		p[i].Buf = make([]byte, ReadLen)
	}
	return p
}

// readDatagrams reads n datagrams, in however many packets they come.
func readDatagrams(t *testing.T, s *Socket, n int) (got [][]byte) {
	t.Helper()
	for len(got) < n {
		for _, p := range read(t, s, 4) {
			for i := range p.Count() {
				got = append(got, p.Datagram(i))
			}
		}
	}
	return got
}

func mustWrite(t *testing.T, s *Socket, p ...Packet) {
	t.Helper()
	if err := s.WriteBatch(p); err != nil {
		t.Fatal(err)
	}
}

// read reads at least one packet and at most n, and gives up after a while.
func read(t *testing.T, s *Socket, n int) []Packet {
	t.Helper()
	s.SetReadDeadline(time.Now().Add(5 * time.Second))
	p := buffers(n)
	got, err := s.ReadBatch(0, p)
	if err != nil {
		t.Fatal(err)
	}
	return p[:got]
}

func TestVirtualAddr(t *testing.T) {
	for _, r := range []topo.RouterID{1, 7, 1 << 31, 1<<32 - 1} {
		a := VirtualAddr(r)
		if got, ok := RouterOf(a); !ok || got != r || !IsVirtual(a) || !VirtualPrefix.Contains(a.Addr()) {
			t.Errorf("%s stands for %s, %v", a, got, ok)
		}
	}
	if s := VirtualAddr(258).String(); s != "[fd67:616c:6c65:6f6e::102]:1" {
		t.Error(s)
	}
	for _, s := range []string{"10.0.0.1:1", "[fd67:616c:6c65:6f6e::]:1", "[fd67:616c:6c65:6f6e::7]:2", "[fd67:616c:6c65:6f6e:1::7]:1", "[fd67:616c:6c65:6f6f::7]:1"} {
		if r, ok := RouterOf(netip.MustParseAddrPort(s)); ok {
			t.Errorf("%s stands for %s", s, r)
		}
	}
}
