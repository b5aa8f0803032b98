package tun_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/tun/tuntest"
)

// The kernel's device with what this kernel has, and as older ones would have it.
var kernels = []struct {
	name string
	o    tun.Options
	most tun.Offloads
}{
	{"all offloads", tun.Options{}, tuntest.All},
	{"without USO", tun.Options{}, tun.Offloads{Checksum: true, TSO: true}},
	{"checksums alone", tun.Options{}, tun.Offloads{Checksum: true}},
	{"vnet headers alone", tun.Options{}, tun.Offloads{}},
	{"no vnet headers", tun.Options{NoOffload: true}, tuntest.All},
}

func TestKernel(t *testing.T) {
	for _, k := range kernels {
		t.Run(k.name, func(t *testing.T) {
			tuntest.Suite(t, func(t *testing.T) tuntest.Rig {
				_, r := open(t, "galleon%d", k.o, k.most)
				return r
			})
		})
	}
}

// A device goes from one process to the next with vnet headers or without, also when the one before had
// other wishes.
func TestDeviceLivesAsLongAsOneHoldsIt(t *testing.T) {
	for _, k := range kernels {
		t.Run(k.name, func(t *testing.T) {
			old, r := open(t, "galleon9", k.o, k.most)
			want := tuntest.All
			if k.o.NoOffload {
				want = tun.Offloads{} // as made by a galleond of before, and what it stays
			}
			if !k.o.NoOffload { // longer headers, as another program would have them
				setHeader(t, old, 12)
			}
			f, err := old.File()
			if err != nil {
				t.Fatal(err)
			}
			young, err := tun.FromFile(f)
			if err != nil {
				t.Fatal(err)
			}
			f.Close()
			if young.Name() != "galleon9" || young.Offloads() != want {
				t.Errorf("handed over as %s with %+v", young.Name(), young.Offloads())
			}
			old.Close()

			r.Device, r.Offloads = young, want
			if err := r.Send(r.Peer4, []byte("after")); err != nil {
				t.Fatal(err)
			}
			arena, pkts := make([]byte, tun.MaxPacket), make([]tun.Packet, 1)
			for {
				if _, err := young.ReadBatch(arena, pkts); err != nil {
					t.Fatal(err)
				}
				if _, _, payload, ok := tuntest.ParseUDP(pkts[0].Buf); ok && string(payload) == "after" {
					break
				}
			}
			tuntest.SuperClauses(t, r)
			young.Close()
			if _, err := net.InterfaceByName("galleon9"); err == nil {
				t.Error("the device outlives its last holder")
			}
		})
	}
}

func setHeader(t *testing.T, k *tun.Kernel, n int) {
	t.Helper()
	f, err := k.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		if err := unix.IoctlSetPointerInt(int(fd), unix.TUNSETVNETHDRSZ, n); err != nil {
			t.Error(err)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// What has been lost is seen, and where.
func TestTheKernelCountsWhatItDrops(t *testing.T) {
	d, r := open(t, "galleon%d", tun.Options{QueueLen: 16}, tuntest.All)
	before, err := d.Stats()
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := r.Send(r.Peer4, []byte("nobody reads")); err != nil {
			t.Fatal(err)
		}
	}
	n, err := d.WriteBatch(tuntest.Plain([]byte("\x00 no packet")))
	if n != 0 || err == nil {
		t.Errorf("wrote %d, %v", n, err)
	}
	after, err := d.Stats()
	if err != nil {
		t.Fatal(err)
	}
	if dropped := after.Dropped - before.Dropped; after.QueueLen != 16 || dropped < 100-16 || dropped > 100 || after.Refused == before.Refused {
		t.Errorf("of 100 packets for a queue of 16: %+v, before %+v", after, before)
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	needNamespace(t)
	d, err := tun.Open("galleon5", tun.Options{MTU: mtu})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for _, c := range []struct {
		name string
		mtu  int
		is   error
		says string
	}{
		{"galleon5", mtu, syscall.EBUSY, "another process holds it"},
		{"lo", mtu, syscall.EINVAL, "an interface of that name exists"},
		{"a-name-of-sixteen", mtu, syscall.EINVAL, "1 to 15 characters"},
		{"galleon6", 1 << 20, syscall.EINVAL, "set MTU 1048576"},
	} {
		d, err := tun.Open(c.name, tun.Options{MTU: c.mtu})
		if err == nil {
			d.Close()
		}
		if !errors.Is(err, c.is) || !strings.Contains(fmt.Sprint(err), c.says) {
			t.Errorf("open %s: %v; want %q", c.name, err, c.says)
		}
	}
	if _, err := net.InterfaceByName("galleon6"); err == nil {
		t.Error("a device whose MTU was refused was left behind")
	}
}

func TestFromFileRefusesOthers(t *testing.T) {
	needNamespace(t)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, err := tun.FromFile(null); err == nil {
		t.Error("took over /dev/null")
	}

	tap, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	if _, err := tun.FromFile(tap); err == nil {
		t.Error("took over a descriptor without device")
	}
	req, err := unix.NewIfreq("tap%d")
	if err != nil {
		t.Fatal(err)
	}
	req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(int(tap.Fd()), unix.TUNSETIFF, req); err != nil {
		t.Fatal(err)
	}
	if _, err := tun.FromFile(tap); err == nil || !strings.Contains(err.Error(), "not a TUN device") {
		t.Errorf("took over a TAP device: %v", err)
	}
}

func TestDownIsNotGone(t *testing.T) {
	needNamespace(t)
	d, err := tun.Open("galleon%d", tun.Options{MTU: mtu})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	pkt := tuntest.UDPPacket(netip.MustParseAddrPort("10.77.0.2:1"), netip.MustParseAddrPort("10.77.0.1:1"), nil)
	n, err := d.WriteBatch(tuntest.Plain(pkt, pkt))
	if n != 0 || !errors.Is(err, syscall.EIO) || errors.Is(err, tun.ErrGone) || !strings.Contains(err.Error(), "interface is down") {
		t.Errorf("wrote %d to an interface that is down, %v", n, err)
	}
}

func TestBatchesDoNotAllocate(t *testing.T) {
	for _, k := range kernels {
		t.Run(k.name, func(t *testing.T) {
			d, r := open(t, "galleon%d", k.o, k.most)
			batchesDoNotAllocate(t, d, r)
		})
	}
}

func batchesDoNotAllocate(t *testing.T, d *tun.Kernel, r tuntest.Rig) {
	const k = 16
	arena, in := make([]byte, 2*tun.MaxPacket), make([]tun.Packet, k)
	pkts, fresh := make([]tun.Packet, k), make([][]byte, k)
	for i := range pkts { // to an address of nobody: the kernel drops them, whatever it thinks of that
		pkts[i], _ = tuntest.Super(r.Peer4, netip.MustParseAddrPort("10.77.0.2:9"), i%2 == 0, make([]byte, 5000), 1000)
		fresh[i] = append([]byte(nil), pkts[i].Buf...)
	}
	payload := make([]byte, 100)
	read := 0
	one := testing.AllocsPerRun(20, func() {
		for range k {
			r.Send(r.Peer4, payload)
		}
	})
	both := testing.AllocsPerRun(20, func() {
		for i := range k {
			r.Send(r.Peer4, payload)
			copy(pkts[i].Buf, fresh[i]) // writing may spoil them
		}
		for got := 0; got < k; {
			n, err := d.ReadBatch(arena, in)
			if err != nil {
				t.Fatal(err)
			}
			got += n
			read += n
		}
		if _, err := d.WriteBatch(pkts); err != nil {
			t.Fatal(err)
		}
	})
	if both > one+2 { // under the race detector a sync.Pool forgets things
		t.Errorf("%d packets each way allocate %v times", k, both-one)
	}
	if read < k {
		t.Errorf("read %d packets", read)
	}
}
