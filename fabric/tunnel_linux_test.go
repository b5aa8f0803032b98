package fabric

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// realSites are the combinations that go over real cables: all of today, a router without offloads at either end,
// neither with any, jumbo frames, and routers that do not know partial checksums.
var realSites = map[string]sitesOf{
	"today":            {mtu: 1400},
	"without to with":  {mtu: 1400, noOffloads: [3]bool{1: true}},
	"with to without":  {mtu: 1400, noOffloads: [3]bool{2: true}},
	"without offloads": {mtu: 1400, noOffloads: [3]bool{1: true, 2: true}},
	"old peers":        {mtu: 1400, oldPeers: true},
	"jumbo frames":     {mtu: 8952},
}

// carryFor is how long each of them carries.
const carryFor = 500 * time.Millisecond

// What is put into one kernel's TUN device comes out of the other's octet by octet: packets of every kind, right and
// wrong, through two kernels, two meshes and a cable. None is missing, doubled, or out of the order of its flow.
func TestRandomPacketsBetweenDevices(t *testing.T) {
	for name, of := range realSites {
		t.Run(name, func(t *testing.T) {
			s := of.start(t)
			// The far router looks at everything and hands on nothing, so that the tunnel carries no answers.
			must(t, s[2].router.Sysctl(map[string]string{"net.ipv4.ip_forward": "0", "net.ipv6.conf.all.forwarding": "0"}))
			in, out := tapOf(t, s[1].router, "galleon0"), tapOf(t, s[2].router, "galleon0")
			m := newMix(1, host4(1), "10.2.0.9", host6(1), "fd00:2::9", of.mtu)
			carryReal(t, s, m, in, out, func(b []byte) []byte { return b })
		})
	}
}

// The same from a host to another, whose packets two routers forward: what they change is a hop limit of two less,
// and in IPv4 the checksum that goes with it.
func TestRandomPacketsBetweenHosts(t *testing.T) {
	for _, name := range []string{"today", "without offloads"} {
		t.Run(name, func(t *testing.T) {
			of := realSites[name]
			s := of.start(t)
			reachable(t, s)
			in, out := tapOf(t, s[1].host, "lan"), tapOf(t, s[2].host, "lan")
			in.toward(t, s[1].router, "lan")
			m := newMix(2, host4(1), host4(2), host6(1), host6(2), of.mtu)
			m.tame = true
			out.receive(t, m.src4, m.src6, 100, 50*time.Millisecond) // what reachable left
			carryReal(t, s, m, in, out, func(b []byte) []byte {
				if b[0]>>4 == 6 {
					b[7] -= 2
					return b
				}
				b[8] -= 2
				b[10], b[11] = 0, 0
				binary.BigEndian.PutUint16(b[10:], ^slowSum(b[:int(b[0]&15)*4]))
				return b
			})
		})
	}
}

// reachable has the neighbours on the way learn of each other, which takes a kernel a moment and a packet's life.
func reachable(t *testing.T, s [3]*site) {
	t.Helper()
	for _, to := range []string{host4(2), host6(2)} {
		c, err := s[1].host.ListenPacket("udp", netip.AddrPortFrom(map[bool]netip.Addr{true: netip.IPv4Unspecified(), false: netip.IPv6Unspecified()}[netip.MustParseAddr(to).Is4()], 0).String())
		must(t, err)
		d, err := s[2].host.ListenPacket("udp", netip.AddrPortFrom(netip.MustParseAddr(to), 7).String())
		must(t, err)
		b := make([]byte, 10)
		wait(t, "a packet to "+to, func() bool {
			_, err := c.WriteTo([]byte("hello"), d.LocalAddr())
			must(t, err)
			must(t, d.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
			n, _, err := d.ReadFrom(b)
			return err == nil && n == 5
		})
		c.Close()
		d.Close()
	}
}

// carryReal sends parcels for a while, a few at a time, and holds what comes against them.
func carryReal(t *testing.T, s [3]*site, m *mix, in, out wiretap, changed func([]byte) []byte) {
	t.Helper()
	dropsBefore := []map[string]uint64{1: s[1].mesh.Status().Drops, 2: s[2].mesh.Status().Drops}
	total := 0
	m.least, m.most = 2, 120
	for end := time.Now().Add(carryFor); time.Now().Before(end); {
		var want [][]byte
		for range 1 + m.rng.IntN(8) {
			p := m.next()
			for _, q := range p.in {
				if err := in.send(q); err != nil {
					t.Fatalf("send a %s of %d octets, %+v: %v: %x", p.kind, len(q.Buf), q.Meta, err, q.Buf[:min(len(q.Buf), 80)])
				}
			}
			for _, b := range p.want {
				want = append(want, changed(bytes.Clone(b)))
			}
			if len(want) > 300 {
				break
			}
		}
		got := out.receive(t, m.src4, m.src6, len(want), time.Second)
		total += len(got)
		if err := sameByFlow(got, want); err != nil {
			t.Fatalf("after %d packets: %v\n%s dropped %v before and %v now, %s %v and %v", total, err,
				s[1].id, dropsBefore[1], s[1].mesh.Status().Drops, s[2].id, dropsBefore[2], s[2].mesh.Status().Drops)
		}
	}
	if more := out.receive(t, m.src4, m.src6, 1, 50*time.Millisecond); len(more) > 0 {
		t.Errorf("%d packets too many: %x", len(more), more[0])
	}
	if total < 500 {
		t.Errorf("only %d packets in %v", total, carryFor)
	}
	t.Logf("%d packets", total)
}

// sameByFlow says what is missing, too much, or out of its flow's order. A flow has one DSCP, addresses, protocol
// and ports; fragments of a pair of addresses and a protocol are one.
func sameByFlow(got, want [][]byte) error {
	key := func(b []byte) string {
		p, ok := parseIP(b)
		if !ok {
			return "none"
		}
		return fmt.Sprint(p.src, p.dst, p.proto, p.ports, p.tos>>2)
	}
	flows := map[string][][]byte{}
	for _, b := range want {
		flows[key(b)] = append(flows[key(b)], b)
	}
	for _, b := range got {
		k := key(b)
		q := flows[k]
		if len(q) == 0 {
			return fmt.Errorf("a packet that nobody sent, of %d octets: %x", len(b), b[:min(len(b), 100)])
		}
		if !bytes.Equal(b, q[0]) {
			return fmt.Errorf("flow %s, octet %d\n got %d octets %x\nwant %d octets %x", k, differ(b, q[0]), len(b), b[:min(len(b), 100)], len(q[0]), q[0][:min(len(q[0]), 100)])
		}
		flows[k] = q[1:]
	}
	for k, q := range flows {
		if len(q) > 0 {
			return fmt.Errorf("flow %s: %d packets missing, the first of %d octets: %x", k, len(q), len(q[0]), q[0][:min(len(q[0]), 100)])
		}
	}
	return nil
}
