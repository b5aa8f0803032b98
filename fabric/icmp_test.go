package fabric

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"github.com/galleon-net/galleon/fabric/offload"
	"github.com/galleon-net/galleon/fabric/topo"
)

// packet makes a UDP packet of size octets with payload behind the ports, for tests.
func packet(src, dst string, size int, payload string) []byte {
	s, d := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	b := make([]byte, size)
	head := 20
	if s.Is4() {
		b[0], b[8], b[9] = 0x45, 64, 17
		binary.BigEndian.PutUint16(b[2:], uint16(size))
		b[6] = 0x40 // don't fragment
		copy(b[12:], s.AsSlice())
		copy(b[16:], d.AsSlice())
		binary.BigEndian.PutUint16(b[10:], ^offload.Sum(0, b[:20]))
	} else {
		head = 40
		b[0], b[6], b[7] = 0x60, 17, 64
		binary.BigEndian.PutUint16(b[4:], uint16(size-40))
		copy(b[8:], s.AsSlice())
		copy(b[24:], d.AsSlice())
	}
	binary.BigEndian.PutUint16(b[head+4:], uint16(size-head))
	copy(b[head+8:], payload)
	return b
}

func TestParseIP(t *testing.T) {
	p4, p6 := packet("10.1.0.5", "10.2.0.9", 100, "x"), packet("fd00:1::5", "fd00:2::9", 100, "x")
	p4[1] = 48<<2 | 1           // CS6, ECT(1)
	p6[0], p6[1] = 0x62, 0x2<<4 // CS1, ECT(0)
	for _, tt := range []struct {
		name  string
		in    []byte
		ok    bool
		dst   string
		class topo.Class
		ecn   uint8
		size  int
	}{
		{"v4", p4, true, "10.2.0.9", topo.ClassControl, 1, 100},
		{"v6", p6, true, "fd00:2::9", topo.ClassBulk, 2, 100},
		{"trailing octets go", append(packet("10.1.0.5", "10.2.0.9", 60, ""), 1, 2, 3), true, "10.2.0.9", topo.ClassInteractive, 0, 60},
		{"cut short", p4[:99], false, "", 0, 0, 0},
		{"v6 cut short", p6[:39], false, "", 0, 0, 0},
		{"empty", nil, false, "", 0, 0, 0},
		{"another version", append([]byte{0x50}, p4[1:]...), false, "", 0, 0, 0},
		{"header longer than packet", append([]byte{0x4f, 0, 0, 24}, p4[4:]...), false, "", 0, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, ok := parseIP(tt.in)
			if ok != tt.ok {
				t.Fatalf("parsed: %v, want %v", ok, tt.ok)
			}
			if ok && (p.dst.String() != tt.dst || p.class() != tt.class || p.ecn() != tt.ecn || len(p.pkt) != tt.size) {
				t.Errorf("got %+v", p)
			}
		})
	}
}

func FuzzParseIP(f *testing.F) {
	f.Add(packet("10.1.0.5", "10.2.0.9", 60, "x"))
	f.Add(packet("fd00:1::5", "fd00:2::9", 100, "x"))
	f.Fuzz(func(t *testing.T, in []byte) {
		p, ok := parseIP(in)
		if ok && (len(p.pkt) > len(in) || !p.src.IsValid() || p.src.Is4() != p.dst.Is4()) {
			t.Fatalf("%+v", p)
		}
		if ok {
			answerable(p)
			var r icmpReplies
			r.tooBig(icmpSrc{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}, p, 1280, time.Unix(1, 0))
		}
	})
}

func TestTooBigIsReadByOthers(t *testing.T) {
	from := icmpSrc{netip.MustParseAddr("100.64.0.1"), netip.MustParseAddr("fd00::1")}
	now := time.Unix(1_800_000_000, 0)

	var r icmpReplies
	p, _ := parseIP(packet("10.1.0.5", "10.2.0.9", 1400, "x"))
	r.tooBig(from, p, 1300, now)
	p, _ = parseIP(packet("fd00:1::5", "fd00:2::9", 1400, "x"))
	r.tooBig(from, p, 1300, now)
	if len(r.pkts) != 2 {
		t.Fatalf("%d messages, want 2", len(r.pkts))
	}

	h, err := ipv4.ParseHeader(r.pkts[0].Buf)
	if err != nil || h.TotalLen != len(r.pkts[0].Buf) || h.Src.String() != "100.64.0.1" || h.Dst.String() != "10.1.0.5" {
		t.Fatalf("IPv4 header %v, %v", h, err)
	}
	if offload.Sum(0, r.pkts[0].Buf[:20]) != 0xffff || offload.Sum(0, r.pkts[0].Buf[20:]) != 0xffff {
		t.Error("IPv4: a checksum is wrong")
	}
	m, err := icmp.ParseMessage(1, r.pkts[0].Buf[20:])
	if err != nil || m.Type != ipv4.ICMPTypeDestinationUnreachable || m.Code != 4 {
		t.Errorf("IPv4 message %+v, %v", m, err)
	}
	if mtu := binary.BigEndian.Uint16(r.pkts[0].Buf[26:]); mtu != 1300 || len(r.pkts[0].Buf) > 576 {
		t.Errorf("IPv4: MTU %d in %d octets", mtu, len(r.pkts[0].Buf))
	}

	h6, err := ipv6.ParseHeader(r.pkts[1].Buf)
	if err != nil || h6.PayloadLen != len(r.pkts[1].Buf)-40 || h6.Src.String() != "fd00::1" {
		t.Fatalf("IPv6 header %v, %v", h6, err)
	}
	psh := icmp.IPv6PseudoHeader(net.ParseIP("fd00::1"), net.ParseIP("fd00:1::5"))
	m, err = icmp.ParseMessage(58, r.pkts[1].Buf[40:])
	if err != nil || m.Type != ipv6.ICMPTypePacketTooBig || m.Body.(*icmp.PacketTooBig).MTU != 1300 {
		t.Errorf("IPv6 message %+v, %v", m, err)
	}
	m.Checksum = 0
	if want, err := m.Marshal(psh); err != nil || string(want) != string(r.pkts[1].Buf[40:]) {
		t.Errorf("IPv6: x/net marshals the message differently (%v)", err)
	}
}

func TestTooBigKeepsQuiet(t *testing.T) {
	from := icmpSrc{v4: netip.MustParseAddr("100.64.0.1")}
	now := time.Unix(1_800_000_000, 0)
	frag := packet("10.1.0.5", "10.2.0.9", 1400, "x")
	frag[7] = 5
	anError := packet("10.1.0.5", "10.2.0.9", 1400, "x")
	anError[9], anError[20] = icmpProto4, 3
	for name, b := range map[string][]byte{
		"a later fragment":         frag,
		"an ICMP error":            anError,
		"a group":                  packet("10.1.0.5", "224.0.0.5", 1400, "x"),
		"no address of the family": packet("fd00:1::5", "fd00:2::9", 1400, "x"),
	} {
		p, ok := parseIP(b)
		var r icmpReplies
		if r.tooBig(from, p, 1300, now); !ok || len(r.pkts) != 0 {
			t.Errorf("%s was answered", name)
		}
	}
	var r icmpReplies
	p, _ := parseIP(packet("10.1.0.5", "10.2.0.9", 1400, "x"))
	sent := 0
	for range 2 * icmpPerSec {
		r.pkts = r.pkts[:0]
		r.tooBig(from, p, 1300, now)
		sent += len(r.pkts)
	}
	if sent != icmpPerSec {
		t.Errorf("%d messages in one second, want %d", sent, icmpPerSec)
	}
	r.pkts = r.pkts[:0]
	if r.tooBig(from, p, 1300, now.Add(time.Second)); len(r.pkts) != 1 {
		t.Error("silent after the second was over")
	}
}
