package tuntest

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/tun"
)

// Rig is a device with a host behind it, for the suite. The host has one UDP socket in each family.
type Rig struct {
	Device tun.Device
	MTU    int

	Host4, Host6 netip.AddrPort // the host's sockets
	Peer4, Peer6 netip.AddrPort // addresses that the host routes into the device

	Send    func(to netip.AddrPort, payload []byte) error                          // the host sends a datagram
	Receive func(d time.Duration) (from netip.AddrPort, payload []byte, err error) // the next at either socket

	Offloads      tun.Offloads                              // that the device shall have
	SendPacket    func(p tun.Packet) error                  // the host sends a packet or super-packet
	ReceivePacket func(d time.Duration) (tun.Packet, error) // the next that enters the host, whole or not

	SetMTU func(mtu int) error
	Remove func() error // deletes the interface behind the device's back
}

// wait is how long the suite waits for what must happen.
const wait = 5 * time.Second

// Suite holds a device to the contract in package tun. open makes a new one for each clause.
func Suite(t *testing.T, open func(t *testing.T) Rig) {
	for _, c := range clauses {
		t.Run(c.name, func(t *testing.T) {
			r := open(t)
			defer r.Device.Close()
			c.check(t, r)
		})
	}
}

var clauses = []struct {
	name  string
	check func(t *testing.T, r Rig)
}{
	{"what the host sends is read as whole IP packets", checkRead},
	{"what is written reaches the host", checkWrite},
	{"a batch takes what is there and does not wait for more", checkBatch},
	{"what is no IP packet does not stop the rest", checkJunk},
	{"the offloads are those that were asked for", checkOffloads},
	{"super-packets and partial checksums that the host sends are read", checkSuperRead},
	{"super-packets and partial checksums that are written reach the host", checkSuperWrite},
	{"nonsense beside a packet harms nobody", checkNonsense},
	{"the MTU is the one of now", checkMTU},
	{"Close ends a reader and everything after", checkClose},
	{"a device removed from outside is gone", checkRemove},
}

func checkRead(t *testing.T, r Rig) {
	for _, way := range []struct{ host, peer netip.AddrPort }{{r.Host4, r.Peer4}, {r.Host6, r.Peer6}} {
		want := "to " + way.peer.String()
		if err := r.Send(way.peer, []byte(want)); err != nil {
			t.Fatal(err)
		}
		from, to, got := readUDP(t, r.Device, way.peer)
		if from != way.host || to != way.peer || got != want {
			t.Errorf("read %q from %s to %s, want %q from %s to %s", got, from, to, want, way.host, way.peer)
		}
	}
	full := strings.Repeat("x", r.MTU-28) // IPv4 and UDP headers
	if err := r.Send(r.Peer4, []byte(full)); err != nil {
		t.Fatal(err)
	}
	if _, _, got := readUDP(t, r.Device, r.Peer4); got != full {
		t.Errorf("read %d octets of a packet of MTU size, want %d", len(got), len(full))
	}
}

func checkWrite(t *testing.T, r Rig) {
	n, err := r.Device.WriteBatch(Plain(
		UDPPacket(r.Peer4, r.Host4, []byte("over IPv4")),
		UDPPacket(r.Peer6, r.Host6, []byte("over IPv6")),
	))
	if n != 2 || err != nil {
		t.Fatalf("wrote %d, %v", n, err)
	}
	got := map[string]netip.AddrPort{}
	for range 2 {
		from, payload, err := r.Receive(wait)
		if err != nil {
			t.Fatal(err)
		}
		got[string(payload)] = from
	}
	if got["over IPv4"] != r.Peer4 || got["over IPv6"] != r.Peer6 {
		t.Errorf("the host received %v", got)
	}
}

func checkBatch(t *testing.T, r Rig) {
	const sent = 10
	for i := range sent {
		if err := r.Send(r.Peer4, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	arena, pkts := room(4)
	for got := 0; got < sent; {
		n, err := r.Device.ReadBatch(arena, pkts)
		if n < 1 || n > len(pkts) || err != nil {
			t.Fatalf("read %d, %v", n, err)
		}
		for _, p := range pkts[:n] {
			if _, to, payload, ok := ParseUDP(p.Buf); ok && to == r.Peer4 {
				if string(payload) != fmt.Sprint(got) {
					t.Fatalf("read %q as number %d", payload, got)
				}
				got++
			}
		}
	}
	if n, err := r.Device.ReadBatch(arena, nil); n != 0 || err != nil {
		t.Errorf("read %d into nothing, %v", n, err)
	}
	if n, err := r.Device.WriteBatch(nil); n != 0 || err != nil {
		t.Errorf("wrote %d of nothing, %v", n, err)
	}
}

func checkJunk(t *testing.T, r Rig) {
	n, err := r.Device.WriteBatch(Plain(
		UDPPacket(r.Peer4, r.Host4, []byte("one")),
		[]byte("\x00 not a packet of any version of IP"),
		UDPPacket(r.Peer4, r.Host4, []byte("two")),
	))
	if n != 2 || err == nil || !strings.Contains(err.Error(), "not an IP packet") {
		t.Errorf("wrote %d, %v", n, err)
	}
	for _, want := range []string{"one", "two"} {
		if _, got, err := r.Receive(wait); string(got) != want || err != nil {
			t.Errorf("the host received %q, %v; want %q", got, err, want)
		}
	}
}

func checkMTU(t *testing.T, r Rig) {
	if mtu, err := r.Device.MTU(); mtu != r.MTU || err != nil {
		t.Errorf("MTU %d, %v; want %d", mtu, err, r.MTU)
	}
	if err := r.SetMTU(1300); err != nil {
		t.Fatal(err)
	}
	if mtu, err := r.Device.MTU(); mtu != 1300 || err != nil {
		t.Errorf("MTU %d, %v; want 1300", mtu, err)
	}
}

func checkClose(t *testing.T, r Rig) {
	err := whileReading(t, r, func() error { return r.Device.Close() })
	if !errors.Is(err, os.ErrClosed) {
		t.Errorf("the reader ended with %v", err)
	}
	checkEnd(t, r, os.ErrClosed)
}

func checkRemove(t *testing.T, r Rig) {
	err := whileReading(t, r, r.Remove)
	if !errors.Is(err, tun.ErrGone) {
		t.Errorf("the reader ended with %v", err)
	}
	checkEnd(t, r, tun.ErrGone)
}

// whileReading runs end while somebody waits in ReadBatch, and returns what the reader got.
func whileReading(t *testing.T, r Rig, end func() error) error {
	ended := make(chan error, 1)
	reading := make(chan struct{})
	go func() {
		arena, pkts := room(1)
		for first := true; ; first = false {
			if _, err := r.Device.ReadBatch(arena, pkts); err != nil {
				ended <- err
				return
			}
			if first {
				close(reading)
			}
		}
	}()
	if err := r.Send(r.Peer4, []byte("so that the reader has been there")); err != nil {
		t.Fatal(err)
	}
	<-reading
	if err := end(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(wait):
		t.Fatal("the reader still waits")
		return nil
	}
}

func checkEnd(t *testing.T, r Rig, want error) {
	t.Helper()
	arena, pkts := room(1)
	if n, err := r.Device.ReadBatch(arena, pkts); n != 0 || !errors.Is(err, want) {
		t.Errorf("then read %d, %v", n, err)
	}
	pkt := UDPPacket(r.Peer4, r.Host4, []byte("late"))
	if n, err := r.Device.WriteBatch(Plain(pkt, pkt)); n != 0 || !errors.Is(err, want) {
		t.Errorf("then wrote %d, %v", n, err)
	}
	if _, err := r.Device.MTU(); !errors.Is(err, want) {
		t.Errorf("then asked the MTU: %v", err)
	}
}

// readUDP reads until a datagram for to comes by: a kernel also speaks for itself (IPv6 neighbours).
func readUDP(t *testing.T, d tun.Device, to netip.AddrPort) (netip.AddrPort, netip.AddrPort, string) {
	t.Helper()
	arena, pkts := room(1)
	for {
		if _, err := d.ReadBatch(arena, pkts); err != nil {
			t.Fatal(err)
		}
		if from, dst, payload, ok := ParseUDP(pkts[0].Buf); ok && dst == to {
			return from, dst, string(payload)
		}
	}
}

// Plain makes packets of IP packets that have nothing left to be done.
func Plain(bufs ...[]byte) []tun.Packet {
	pkts := make([]tun.Packet, len(bufs))
	for i, b := range bufs {
		pkts[i].Buf = b
	}
	return pkts
}

// room is for reading n packets.
func room(n int) ([]byte, []tun.Packet) {
	return make([]byte, 2*tun.MaxPacket), make([]tun.Packet, n)
}
