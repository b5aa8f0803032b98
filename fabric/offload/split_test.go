package offload

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
)

// slowSum is RFC 1071 as it is written there.
func slowSum(sum uint16, b []byte) uint16 {
	s := uint32(sum)
	for ; len(b) >= 2; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func TestSum(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 300 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32()) | byte(-(n & 1)) // also all ones, where carries are
		}
		start := uint16(r.Uint32())
		if got, want := Sum(start, b), slowSum(start, b); got != want {
			t.Fatalf("%d octets: %04x, want %04x", n, got, want)
		}
		for cut := range n {
			if got, want := sumParts(b[:cut], b[cut:]), slowSum(0, b); got != want {
				t.Fatalf("%d octets cut at %d: %04x, want %04x", n, cut, got, want)
			}
		}
	}
}

func TestSplitterMakesThePacketsThatTheKernelWould(t *testing.T) {
	for _, s := range []spec{{}, {v6: true}, {options: 12}, {v6: true, extension: true}, {udp: true}, {udp: true, v6: true}} {
		for _, size := range []int{1, 100, 1348} {
			r := rand.New(rand.NewPCG(1, 2))
			s.partial, s.id, s.seq, s.flags, s.payload = true, 0xfffe, 0xffffff00, tcpACK|tcpPSH|tcpFIN|tcpCWR, 10*size+size/2
			super := s.build(r)
			meta, ok := PartialAt(super)
			if !ok {
				t.Fatal("no transport header")
			}
			meta.GSO, meta.Seg = kind(s), size
			payload := append([]byte(nil), super[len(super)-s.payload:]...)
			got, partial := split([]Packet{{super, meta}})
			for i, p := range got {
				want := s
				want.payload = min(size, s.payload-i*size)
				want.seq, want.id = s.seq+uint32(i*size), s.id+uint16(i)
				want.flags = tcpACK
				if i == 0 {
					want.flags |= tcpCWR
				}
				if i == len(got)-1 {
					want.flags |= tcpPSH | tcpFIN
				}
				w := want.build(r)
				copy(w[len(w)-want.payload:], payload[i*size:]) // a partial checksum does not know the payload
				if !partial[i] || !bytes.Equal(p, w) {
					t.Fatalf("%+v packet %d:\n got %x\nwant %x", s, i, p, w)
				}
			}
			if n := (s.payload + size - 1) / size; len(got) != n {
				t.Fatalf("%d packets, want %d", len(got), n)
			}
		}
	}
}

func kind(s spec) GSO {
	switch {
	case s.udp:
		return UDP
	case s.v6:
		return TCP6
	}
	return TCP4
}

func TestVnetHeaderThereAndBack(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range []spec{{}, {v6: true}, {udp: true}, {udp: true, v6: true}} {
		s.partial, s.flags, s.payload = true, tcpACK, 5000
		pkt := s.build(r)
		meta, _ := PartialAt(pkt)
		for _, m := range []Meta{{}, meta, {GSO: kind(s), Seg: 1000, Head: len(pkt) - 5000, Partial: true, Start: meta.Start, Offset: meta.Offset}} {
			var h [VnetLen]byte
			m.PutVnet(h[:])
			got, err := ParseVnet(h[:], pkt)
			if err != nil || got != m {
				t.Errorf("%+v came back as %+v, %v", m, got, err)
			}
		}
	}
}

func TestVnetHeadersThatDoNotFit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	pkt := spec{partial: true, flags: tcpACK, payload: 500}.build(r)
	for name, change := range map[string]func(h []byte){
		"checksum outside":       func(h []byte) { binary.NativeEndian.PutUint16(h[6:], 600) },
		"checksum in the header": func(h []byte) { binary.NativeEndian.PutUint16(h[6:], 2) },
		"another kind":           func(h []byte) { h[1] = vnetTCP6 },
		"unknown kind":           func(h []byte) { h[1] = 2 },
		"no segments":            func(h []byte) { h[4], h[5] = 0, 0 },
		"complete":               func(h []byte) { h[0] = 0 },
		"UDP":                    func(h []byte) { h[1] = vnetUDP },
	} {
		var h [VnetLen]byte
		Meta{GSO: TCP4, Seg: 100, Head: 40, Partial: true, Start: 20, Offset: tcpSum}.PutVnet(h[:])
		change(h[:])
		if m, err := ParseVnet(h[:], pkt); !errors.Is(err, ErrMeta) {
			t.Errorf("%s: %+v, %v", name, m, err)
		}
	}
	if _, err := ParseVnet(make([]byte, VnetLen-1), pkt); !errors.Is(err, ErrMeta) {
		t.Error("short header accepted")
	}
}

func FuzzSplit(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, s := range []spec{{}, {v6: true}, {udp: true}, {udp: true, v6: true}, {v6: true, extension: true}} {
		s.partial, s.flags, s.payload = true, tcpACK, 300
		pkt := s.build(r)
		meta, _ := PartialAt(pkt)
		meta.GSO, meta.Seg = kind(s), 99
		var h [VnetLen]byte
		meta.PutVnet(h[:])
		f.Add(h[:], pkt)
	}
	f.Fuzz(func(t *testing.T, h, pkt []byte) {
		if len(pkt) > maxLength {
			return
		}
		m, err := ParseVnet(h, pkt)
		if err != nil {
			return
		}
		var s Splitter
		if err := s.Init(pkt, m); err != nil {
			t.Fatalf("believed, then refused: %v", err)
		}
		n := 0
		for p, ok := s.Next(); ok; p, ok = s.Next() {
			if len(p) > s.Full() {
				t.Fatalf("packet of %d octets, full is %d", len(p), s.Full())
			}
			Complete(p, s.Meta())
			n++
		}
		if n != s.Count() {
			t.Fatalf("%d packets, promised %d", n, s.Count())
		}
	})
}

func BenchmarkSplitTCP(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	pkt := spec{partial: true, flags: tcpACK, payload: 45 * 1348, options: 12}.build(r)
	meta, _ := PartialAt(pkt)
	meta.GSO, meta.Seg = TCP4, 1348
	var s Splitter
	b.SetBytes(int64(len(pkt)))
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Init(pkt, meta); err != nil {
			b.Fatal(err)
		}
		for _, ok := s.Next(); ok; _, ok = s.Next() {
		}
	}
}

func BenchmarkSum(b *testing.B) {
	pkt := make([]byte, 1400)
	b.SetBytes(1400)
	for b.Loop() {
		Sum(0, pkt)
	}
}
