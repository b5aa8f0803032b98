//go:build linux

package wan

import (
	"bytes"
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// super makes a super-packet as a kernel hands it over: partial checksum, lengths of the whole.
func super(v6, tcp bool, payload, size int) frame {
	ip, transport := 20, 8
	if v6 {
		ip = 40
	}
	if tcp {
		transport = 32 // with time stamps
	}
	f := make(frame, vnetLen+ip+transport+payload)
	f[0] = unix.VIRTIO_NET_HDR_F_NEEDS_CSUM
	f[1] = unix.VIRTIO_NET_HDR_GSO_UDP_L4
	protocol, check := byte(unix.IPPROTO_UDP), 6
	if tcp {
		f[1], protocol, check = unix.VIRTIO_NET_HDR_GSO_TCPV4, unix.IPPROTO_TCP, 16
		if v6 {
			f[1] = unix.VIRTIO_NET_HDR_GSO_TCPV6
		}
	}
	f.setGSOSize(size)
	binary.NativeEndian.PutUint16(f[6:], uint16(ip))
	binary.NativeEndian.PutUint16(f[8:], uint16(check))
	p := f.packet()
	if v6 {
		p[0], p[6], p[7] = 0x60, protocol, 64
		binary.BigEndian.PutUint16(p[4:], uint16(len(p)-40))
		copy(p[8:], bytes.Repeat([]byte{0x20, 0x01, 1, 2}, 8))
	} else {
		p[0], p[8], p[9] = 0x45, 64, protocol
		binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
		binary.BigEndian.PutUint16(p[4:], 0xfffe) // so that it wraps
		copy(p[12:], []byte{198, 18, 1, 1, 198, 18, 2, 1})
	}
	t := p[ip:]
	binary.BigEndian.PutUint32(t, 0x12345678) // ports
	if tcp {
		binary.BigEndian.PutUint32(t[4:], 0xffffff00) // so that it wraps
		t[12], t[13] = 8<<4, 0x10|tcpPSH|tcpFIN|tcpCWR
	} else {
		binary.BigEndian.PutUint16(t[4:], uint16(len(t)))
	}
	for i := range payload {
		t[transport+i] = byte(i * i >> 3)
	}
	return f
}

// checkSegment holds one segment to what the RFCs say, with the checksum done the long way, and gives its payload.
func checkSegment(t *rapid.T, f frame, v6, tcp bool, n, of, size int) []byte {
	p := f.packet()
	ip := 20
	var pseudo []byte
	if v6 {
		ip = 40
		if got := int(binary.BigEndian.Uint16(p[4:])); got != len(p)-40 {
			t.Fatalf("segment %d: payload length %d of %d", n, got, len(p)-40)
		}
		pseudo = append(pseudo, p[8:40]...)
	} else {
		if got := int(binary.BigEndian.Uint16(p[2:])); got != len(p) {
			t.Fatalf("segment %d: total length %d of %d", n, got, len(p))
		}
		if got, want := binary.BigEndian.Uint16(p[4:]), uint16(0xfffe+n); got != want {
			t.Fatalf("segment %d: identification %x, want %x", n, got, want)
		}
		if fold(add(0, p[:20])) != 0xffff {
			t.Fatalf("segment %d: IP header checksum is wrong", n)
		}
		pseudo = append(pseudo, p[12:20]...)
	}
	if f.isSuper() || f.flags() != unix.VIRTIO_NET_HDR_F_NEEDS_CSUM {
		t.Fatalf("segment %d: header %x", n, f[:vnetLen])
	}
	seg := p[ip:]
	pseudo = binary.BigEndian.AppendUint32(pseudo, uint32(len(seg)))
	header := 8
	if tcp {
		pseudo, header = append(pseudo, 0, 0, 0, unix.IPPROTO_TCP), 32
		if got, want := binary.BigEndian.Uint32(seg[4:]), 0xffffff00+uint32(n*size); got != want {
			t.Fatalf("segment %d: sequence %x, want %x", n, got, want)
		}
		want := byte(0x10)
		if n == 0 {
			want |= tcpCWR
		}
		if n == of-1 {
			want |= tcpPSH | tcpFIN
		}
		if seg[13] != want {
			t.Fatalf("segment %d of %d: flags %x, want %x", n, of, seg[13], want)
		}
	} else {
		pseudo = append(pseudo, 0, 0, 0, unix.IPPROTO_UDP)
		if got := int(binary.BigEndian.Uint16(seg[4:])); got != len(seg) {
			t.Fatalf("segment %d: UDP length %d of %d", n, got, len(seg))
		}
	}
	at := f.checkOffset()
	if got, want := binary.BigEndian.Uint16(seg[at:]), fold(add(0, pseudo)); got != want {
		t.Fatalf("segment %d: partial checksum %x, want %x", n, got, want)
	}
	return seg[header:]
}

// TestCut: cut into single segments, in one step or by way of smaller super-packets, a super-packet becomes what a network
// card would make of it, and nothing of its payload is lost.
func TestCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v6, tcp := rapid.Bool().Draw(t, "v6"), rapid.Bool().Draw(t, "tcp")
		size := rapid.IntRange(1, 1448).Draw(t, "size")
		payload := rapid.IntRange(size+1, min(60000, size*50)).Draw(t, "payload")
		f := super(v6, tcp, payload, size)
		whole := bytes.Clone(f)
		s, err := f.read()
		if err != nil {
			t.Fatal(err)
		}
		if want := (payload + size - 1) / size; s.Segments != want {
			t.Fatalf("%d segments, want %d", s.Segments, want)
		}
		var got []byte
		n := 0
		for first := 0; first < s.Segments; {
			count := rapid.IntRange(1, s.Segments-first).Draw(t, "count")
			part := f.cut(s, first, count, nil)
			ps, err := part.read()
			if err != nil || ps.Segments != count {
				t.Fatalf("a part of %d segments has %d (%v)", count, ps.Segments, err)
			}
			for i := range count {
				one := part
				if count > 1 {
					one = part.cut(ps, i, 1, nil)
				}
				if wire := (Burst{s.Segments, s.Size, s.Last}); n < s.Segments-1 && len(one.packet()) != wire.Size || n == s.Segments-1 && len(one.packet()) != wire.Last {
					t.Fatalf("segment %d has %d bytes, the shape says %+v", n, len(one.packet()), wire)
				}
				got = append(got, checkSegment(t, one, v6, tcp, n, s.Segments, size)...)
				n++
			}
			first += count
		}
		if !bytes.Equal(got, f[len(f)-payload:]) {
			t.Fatal("the payload is not what it was")
		}
		if !bytes.Equal(f, whole) {
			t.Fatal("cutting changed the super-packet itself")
		}
	})
}

func FuzzFrame(f *testing.F) {
	for _, v6 := range []bool{false, true} {
		for _, tcp := range []bool{false, true} {
			f.Add([]byte(super(v6, tcp, 300, 100)))
		}
	}
	f.Add([]byte{})
	f.Add(make([]byte, vnetLen+20))
	f.Fuzz(func(t *testing.T, b []byte) {
		fr := frame(b)
		s, err := fr.read()
		if err != nil || s.Segments < 2 {
			return
		}
		total := 0
		for i := range s.Segments {
			total += len(fr.cut(s, i, 1, nil).packet()) - s.headers
		}
		if total != len(fr.packet())-s.headers {
			t.Fatalf("segments hold %d bytes of %d", total, len(fr.packet())-s.headers)
		}
		newTally(t).stray("a", s, fr)
	})
}

func newTally(t *testing.T) *tally { return &tally{} }

// TestStraysAreBounded: a flood from ever new addresses is counted, but not remembered one by one.
func TestStraysAreBounded(t *testing.T) {
	var tl tally
	for i := range 1000 {
		f := super(false, false, 3, 2)
		binary.BigEndian.PutUint16(f[vnetLen+14:], uint16(i))
		s, err := f.read()
		if err != nil {
			t.Fatal(err)
		}
		tl.stray("a", s, f)
	}
	if len(tl.strays) != maxStrays || tl.strayPackets != 2000 {
		t.Errorf("%d kinds kept, %d packets counted", len(tl.strays), tl.strayPackets)
	}
}
