package main

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestParseStat(t *testing.T) {
	p, err := parseStat([]byte("42 (a (b) c) S 7 42 42 0 -1 4194560 100 0 0 0 150 25 0 0 20 0 9 0 100 1000 10\n"))
	if err != nil || p.pid != 42 || p.parent != 7 || p.cpu != 1750*time.Millisecond {
		t.Errorf("%+v %v", p, err)
	}
	for _, bad := range []string{"", "42", "42 (x) S 1", ") 42 (x", "x (x) S 7 42 42 0 -1 4194560 100 0 0 0 150 25"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestFamily(t *testing.T) {
	all := map[int]process{2: {pid: 2, parent: 1}, 3: {pid: 3, parent: 2}, 4: {pid: 4, parent: 3}, 9: {pid: 9, parent: 1}}
	got := family(all, 2)
	slices.Sort(got)
	if !slices.Equal(got, []int{2, 3, 4}) {
		t.Errorf("got %v", got)
	}
}

func TestJiffies(t *testing.T) {
	before, err := parseJiffies([]byte("cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 1\n"))
	if err != nil {
		t.Fatal(err)
	}
	now, err := parseJiffies([]byte("cpu  120 0 110 860 0 0 0 10 0 0\n"))
	if err != nil {
		t.Fatal(err)
	}
	if busy := now.share(before, func(j jiffies) uint64 { return j.all - j.idle }); busy != 40 {
		t.Errorf("busy %v %%", busy)
	}
	if stolen := now.share(before, func(j jiffies) uint64 { return j.stolen }); stolen != 10 {
		t.Errorf("stolen %v %%", stolen)
	}
	if now.share(now, func(j jiffies) uint64 { return j.all }) != 0 {
		t.Error("no time has a share")
	}
	for _, bad := range []string{"", "cpu 1 2 3", "cpu 1 2 3 x 5 6 7 8", "mem 1 2 3 4 5 6 7 8"} {
		if _, err := parseJiffies([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

// loopback gives a socket that sends to a running sink.
func loopback(t *testing.T) (fd int, s *sink) {
	t.Helper()
	out, err := udpSocket(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	in, err := udpSocket(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	at, err := unix.Getsockname(out)
	if err == nil {
		err = unix.Connect(in, at)
	}
	if err != nil {
		t.Fatal(err)
	}
	s = new(sink)
	done := make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer close(done)
		if err := s.receive(ctx, out); err != nil {
			t.Errorf("sink: %v", err)
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
		unix.Close(in)
		unix.Close(out)
	})
	return in, s
}

// What is offered at a rate is sent at that rate, and arrives at the sink; what is of another trial does not count.
func TestGeneratorAndSink(t *testing.T) {
	in, s := loopback(t)
	const rate, trialNumber = 20000, 7
	s.trial.Store(trialNumber)
	for _, number := range []uint32{trialNumber - 1, trialNumber} {
		r, err := generate(in, numbered(payload64, number), rate, 200*time.Millisecond)
		if err != nil || r.Sent == 0 || r.Sent > rate/4 {
			t.Fatalf("%+v %v", r, err)
		}
		want := uint64(0)
		if number == trialNumber {
			want = r.Sent
		}
		for end := time.Now().Add(5 * time.Second); s.packets.Load() != want; time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d of %d counted", s.packets.Load(), want)
			}
		}
	}
}
