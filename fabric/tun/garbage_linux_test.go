package tun

import (
	"math/rand/v2"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// wireTo is a Kernel whose device is a socket that the test writes to: a kernel that lies.
func wireTo(t testing.TB, vnet bool) (*Kernel, int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	k := &Kernel{name: "liar0", vnet: vnet, f: os.NewFile(uintptr(fds[0]), "liar0")}
	if k.raw, err = k.f.SyscallConn(); err != nil {
		t.Fatal(err)
	}
	k.reader.vnet, k.reader.garbled, k.reader.runF = vnet, &k.garbled, k.reader.run
	t.Cleanup(func() { k.f.Close(); unix.Close(fds[1]) })
	return k, fds[1]
}

// FuzzRead: whatever a vnet header says, what is read can be cut and completed, or was dropped and counted.
func FuzzRead(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{1, 1, 54, 0, 100, 0, 34, 0, 16, 0})
	f.Add(append([]byte{1, 1, 40, 0, 1, 0, 20, 0, 16, 0}, 0x45, 0, 0, 43, 0, 0, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
		0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x18, 1, 1, 0, 0, 0, 0, 'a', 'b', 'c'))
	k, host := wireTo(f, true)
	arena, pkts := make([]byte, 2*MaxPacket), make([]Packet, 4)
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 || len(b) > 60000 {
			return // nothing, to a socket, is its end
		}
		before := k.garbled.Load()
		// A packet that is certainly good behind it, so that the read comes back.
		good := append(make([]byte, 10), 0x45, 0, 0, 20, 0, 0, 0, 0, 1, 99, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2)
		for _, p := range [][]byte{b, good} {
			if _, err := unix.Write(host, p); err != nil {
				t.Fatal(err)
			}
		}
		n, err := k.ReadBatch(arena, pkts)
		if err != nil || n+int(k.garbled.Load()-before) != 2 {
			t.Fatalf("read %d, garbled %d, %v", n, k.garbled.Load()-before, err)
		}
		var l Lowering
		for _, p := range pkts[:n] {
			if err := l.Init(p, Offloads{}); err != nil {
				t.Fatalf("read what cannot be cut: %+v: %v", p.Meta, err)
			}
			for _, ok := l.Next(); ok; _, ok = l.Next() {
			}
		}
	})
}

func TestGarbageIsCounted(t *testing.T) {
	k, host := wireTo(t, true)
	rng := rand.New(rand.NewPCG(5, 6))
	arena, pkts := make([]byte, 2*MaxPacket), make([]Packet, 1)
	good := append(make([]byte, 10), 0x45)
	for range 1000 {
		b := make([]byte, 1+rng.IntN(100))
		for i := range b {
			b[i] = byte(rng.Uint32() >> rng.IntN(8))
		}
		b[0] |= 1
		for _, p := range [][]byte{b, good} {
			if _, err := unix.Write(host, p); err != nil {
				t.Fatal(err)
			}
		}
		for pkts[0] = (Packet{}); len(pkts[0].Buf) != 1 || pkts[0].Partial; { // the good one
			if _, err := k.ReadBatch(arena, pkts); err != nil {
				t.Fatal(err)
			}
		}
	}
	if n := k.garbled.Load(); n < 500 {
		t.Errorf("%d of 1,000 were garbled", n)
	}
}

func TestAShortArenaIsAMistake(t *testing.T) {
	k, _ := wireTo(t, false)
	defer func() {
		if recover() == nil {
			t.Error("read into an arena that is too short")
		}
	}()
	_, _ = k.ReadBatch(make([]byte, MaxPacket-1), make([]Packet, 1))
}
