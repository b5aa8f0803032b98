package tuntest

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/galleon-net/galleon/fabric/tun"
)

func fakeRig(o tun.Offloads) Rig {
	f := NewWith("fake0", 1400, o)
	r := Rig{
		Device: f, MTU: 1400,
		Host4: netip.MustParseAddrPort("10.77.0.1:1000"), Host6: netip.MustParseAddrPort("[fd77::1]:1000"),
		Peer4: netip.MustParseAddrPort("10.77.0.2:2000"), Peer6: netip.MustParseAddrPort("[fd77::2]:2000"),
		Offloads: o,
		SetMTU:   func(mtu int) error { f.SetMTU(mtu); return nil },
		Remove:   func() error { f.Remove(); return nil },
	}
	r.Send = func(to netip.AddrPort, payload []byte) error {
		from := r.Host4
		if to.Addr().Is6() {
			from = r.Host6
		}
		if !f.Inject(UDPPacket(from, to, payload)) {
			return errors.New("dropped")
		}
		return nil
	}
	r.Receive = func(d time.Duration) (netip.AddrPort, []byte, error) {
		select {
		case p := <-f.Delivered():
			from, _, payload, _ := ParseUDP(p)
			return from, payload, nil
		case <-time.After(d):
			return netip.AddrPort{}, nil, os.ErrDeadlineExceeded
		}
	}
	r.SendPacket = func(p tun.Packet) error {
		if !f.InjectPacket(p) {
			return errors.New("dropped")
		}
		return nil
	}
	r.ReceivePacket = func(d time.Duration) (tun.Packet, error) {
		select {
		case p := <-f.Whole():
			return p, nil
		case <-time.After(d):
			return tun.Packet{}, os.ErrDeadlineExceeded
		}
	}
	return r
}

func TestFake(t *testing.T) {
	for name, o := range map[string]tun.Offloads{
		"all offloads": All, "without USO": {Checksum: true, TSO: true}, "checksums": {Checksum: true}, "no offloads": {},
	} {
		t.Run(name, func(t *testing.T) {
			Suite(t, func(*testing.T) Rig { return fakeRig(o) })
		})
	}
}

func TestFakeInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := fakeRig(All)
		checkClose(t, r)
	})
}

func TestFakeDropsWhatNobodyTakes(t *testing.T) {
	f := New("fake0", 1400)
	pkt := UDPPacket(netip.MustParseAddrPort("10.0.0.1:1"), netip.MustParseAddrPort("10.0.0.2:2"), nil)
	for i := range queue + 1 {
		if ok := f.Inject(pkt); ok != (i < queue) {
			t.Fatalf("inject %d: %v", i, ok)
		}
	}
	for range queue + 1 {
		if n, err := f.WriteBatch(Plain(pkt)); n != 1 || err != nil {
			t.Fatalf("wrote %d, %v", n, err)
		}
	}
	if f.Inject(make([]byte, 1401)) {
		t.Error("a packet longer than the MTU went in")
	}
	if f.Drops() != 3 {
		t.Errorf("%d drops", f.Drops())
	}
}
