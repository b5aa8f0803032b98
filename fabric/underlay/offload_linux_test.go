package underlay

import (
	"bytes"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// needOffloads skips where the kernel takes no runs.
func needOffloads(t testing.TB, s *Socket) {
	if o := s.Offloads(); !o.Segment || !o.Coalesce {
		t.Skipf("this kernel's UDP has no offloads for runs: %+v", o)
	}
}

// shortfallsOf collects what s says that it lacks.
func shortfallsOf(s *Socket) *[]Shortfall {
	var heard []Shortfall
	s.OnShortfall(func(f Shortfall) { heard = append(heard, f) })
	return &heard
}

func TestRunsPassTheKernelWhole(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		a, b := listen(t, addr), listen(t, addr)
		needOffloads(t, a)
		for _, c := range []struct{ seg, full, rest int }{{1400, 40, 1000}, {9000, 7, 2000}, {24, 64, 0}} {
			run, _ := runOf(c.seg, c.full, c.rest)
			mustWrite(t, a, Packet{Buf: run, Seg: c.seg, Addr: b.LocalAddr()})
			if p := read(t, b, 1)[0]; p.Seg != c.seg || !bytes.Equal(p.Buf, run) || p.Addr != a.LocalAddr() {
				t.Errorf("%+v: read %d octets in datagrams of %d from %s", c, len(p.Buf), p.Seg, p.Addr)
			}
		}
		if s := a.Stats(); s.OutRuns != 3 || s.Out != 41+8+64 {
			t.Errorf("stats %+v", s)
		}
		if s := b.Stats(); s.InRuns != 3 || s.In != 41+8+64 {
			t.Errorf("stats %+v", s)
		}
		if heard := *shortfallsOf(a); len(heard) != 0 {
			t.Errorf("lacks %v", heard)
		}
	}
}

func TestNoOffloadIsPlain(t *testing.T) {
	a, b := listen(t, "127.0.0.1:0", Options{NoOffload: true}), listen(t, "127.0.0.1:0")
	if o := a.Offloads(); o.Segment || o.Coalesce {
		t.Errorf("offloads %+v", o)
	}
	run, _ := runOf(1400, 3, 0)
	mustWrite(t, a, Packet{Buf: run, Seg: 1400, Addr: b.LocalAddr()})
	mustWrite(t, b, Packet{Buf: run, Seg: 1400, Addr: a.LocalAddr()})
	for _, s := range []*Socket{a, b} {
		for range 3 {
			if p := read(t, s, 1)[0]; p.Seg != 0 || len(p.Buf) != 1400 {
				t.Errorf("read %d octets in datagrams of %d", len(p.Buf), p.Seg)
			}
		}
	}
}

func TestARunLargerThanItsBuffer(t *testing.T) {
	a, b := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	needOffloads(t, a)
	run, _ := runOf(1000, 5, 100)
	mustWrite(t, a, Packet{Buf: run, Seg: 1000, Addr: b.LocalAddr()}, Packet{Buf: run, Seg: 1000, Addr: b.LocalAddr()},
		Packet{Buf: galleon("last"), Addr: b.LocalAddr()})
	p := []Packet{{Buf: make([]byte, 2500)}, {Buf: make([]byte, 500)}, {Buf: make([]byte, 500)}}
	n, err := b.ReadBatch(0, p)
	if err != nil || n != 2 || !bytes.Equal(p[0].Buf, run[:2000]) || !bytes.Equal(p[1].Buf, galleon("last")) {
		t.Fatalf("read %d, %v", n, err)
	}
	if s := b.Stats(); s.Truncated != 4+6 || s.In != 3 {
		t.Errorf("stats %+v", s)
	}
}

func TestTOS(t *testing.T) {
	const ef, ce = 46 << 2, 3
	for _, c := range []struct{ listen, host string }{
		{"127.0.0.1:0", "127.0.0.1"}, {"[::1]:0", "::1"}, {"[::]:0", "127.0.0.1"}, {"[::]:0", "::1"},
	} {
		for _, o := range []Options{{}, {NoOffload: true}} {
			a, b := listen(t, c.listen, o), listen(t, c.listen, o)
			to := netip.AddrPortFrom(netip.MustParseAddr(c.host), b.LocalAddr().Port())
			run, _ := runOf(100, 2, 0)
			want := []uint8{ef | ce, 0, 1, ef, ef}
			mustWrite(t, a, Packet{Buf: galleon("one"), Addr: to, TOS: want[0]}, Packet{Buf: galleon("two"), Addr: to},
				Packet{Buf: galleon("three"), Addr: to, TOS: want[2]}, Packet{Buf: run, Seg: 100, Addr: to, TOS: want[3]})
			var got []uint8
			for len(got) < len(want) {
				for _, p := range read(t, b, 4) {
					got = append(got, slices.Repeat([]uint8{p.TOS}, p.Count())...)
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s to %s, %+v: read %v, want %v", c.listen, c.host, o, got, want)
			}
		}
	}
}

// TestRunsThatTheKernelRefuses: UDP without checksums (SO_NO_CHECK) cannot be cut, and the kernel says EINVAL.
// Nothing is lost; the socket learns, and says it once.
func TestRunsThatTheKernelRefuses(t *testing.T) {
	a, b := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	needOffloads(t, a)
	err := a.net.(*kernel).control(func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_NO_CHECK, 1) })
	if err != nil {
		t.Fatal(err)
	}
	heard := shortfallsOf(a)
	for i := range 2 * maxLessons {
		run, want := runOf(100, 3, 50)
		mustWrite(t, a, Packet{Buf: galleon("before"), Addr: b.LocalAddr()}, Packet{Buf: run, Seg: 100, Addr: b.LocalAddr()}, Packet{Buf: galleon("behind"), Addr: b.LocalAddr()})
		want = append(append([][]byte{galleon("before")}, want...), galleon("behind"))
		if got := readDatagrams(t, b, len(want)); !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("read %q", got)
		}
		if on := a.Offloads().Segment; on != (i < maxLessons-1) {
			t.Errorf("after %d runs that were refused: %v", i+1, on)
		}
	}
	if len(*heard) != 1 || (*heard)[0].What != ShortGSO {
		t.Errorf("said %v", *heard)
	}
	if s := a.Stats(); s.SendErrors != 0 || s.Out != 2*maxLessons*6 {
		t.Errorf("stats %+v", s)
	}
}

// TestNoChecksumOffload: what the kernel says when the path cannot cut runs at all.
func TestNoChecksumOffload(t *testing.T) {
	a, b := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	needOffloads(t, a)
	k := a.net.(*kernel)
	refused := 0
	k.writers.New = func() any {
		return newBatch(func(fd uintptr, hdrs *mmsghdr, used int) (int, syscall.Errno) {
			if hdrs.hdr.Controllen > 0 {
				refused++
				return 0, unix.EIO
			}
			return sendmmsg(fd, hdrs, 1)
		})
	}
	heard := shortfallsOf(a)
	run, want := runOf(100, 3, 50)
	mustWrite(t, a, Packet{Buf: run, Seg: 100, Addr: b.LocalAddr()}, Packet{Buf: run, Seg: 100, Addr: b.LocalAddr()})
	want = slices.Concat(want, want)
	if got := readDatagrams(t, b, len(want)); !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("read %q", got)
	}
	if refused != 1 || a.Offloads().Segment || len(*heard) != 1 || (*heard)[0].What != ShortGSO {
		t.Errorf("%d refused, then %+v; said %v", refused, a.Offloads(), *heard)
	}
	if again := *shortfallsOf(a); len(again) != 1 { // whoever comes later hears it too
		t.Errorf("said %v", again)
	}
}
