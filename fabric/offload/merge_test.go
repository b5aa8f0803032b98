package offload

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

var both = Joins{TCP: true, UDP: true}

// put gives the Merger a packet as a cipher would: to where it says.
func put(m *Merger, pkt []byte, partial bool) bool {
	return m.Add(append(m.Place(), pkt...), partial)
}

func TestARowOfSegmentsBecomesOneSuperPacketAndComesApartAgain(t *testing.T) {
	for _, s := range []spec{{}, {v6: true}, {udp: true}, {udp: true, v6: true}, {options: 12}, {options: 40, v6: true}} {
		for _, size := range []int{1, 7, 27, 28, 60, 1200, 1348} {
			for _, partial := range []bool{true, false} {
				r := rand.New(rand.NewPCG(1, 2))
				m := NewMerger(0, 64, both)
				s.partial, s.flags, s.payload = partial, tcpACK, size
				var want [][]byte
				for i := range 20 {
					s.id, s.seq = uint16(i), uint32(i*size)
					if i == 19 {
						s.flags, s.payload = tcpACK|tcpPSH|tcpFIN, max(1, size/2)
					}
					want = append(want, s.build(r))
					if !put(m, want[i], partial) {
						t.Fatalf("%+v refused", s)
					}
				}
				got := m.Packets()
				if len(got) != 1 {
					t.Fatalf("%+v: %d packets", s, len(got))
				}
				back, _ := split(got)
				compare(t, back, want, true)
			}
		}
	}
}

// compare holds packets against each other; partial says that got has partial checksums and want may have whole.
func compare(t *testing.T, got, want [][]byte, partial bool) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d packets, want %d", len(got), len(want))
	}
	for i := range got {
		g := got[i]
		if partial && !bytes.Equal(g, want[i]) {
			meta, _ := PartialAt(g)
			Complete(g, meta)
		}
		if !bytes.Equal(g, want[i]) {
			t.Fatalf("packet %d:\n got %x\nwant %x", i, g, want[i])
		}
	}
}

// TestJoinedPacketsComeApartAsTheyWere gives the Merger a random mix of flows, kinds and faults.
func TestJoinedPacketsComeApartAsTheyWere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		m := NewMerger(0, 200, Joins{rapid.Bool().Draw(t, "tcp"), rapid.Bool().Draw(t, "udp")})
		var want [][]byte
		var partials []bool
		s := spec{flags: tcpACK, payload: 100}
		for range rapid.IntRange(1, 100).Draw(t, "packets") {
			// Most packets go on where the one before ended.
			s.id++
			s.seq += uint32(s.payload)
			s.flags, s.wrong, s.noChecksum = tcpACK, false, false
			switch rapid.IntRange(0, 19).Draw(t, "change") {
			case 0:
				s.v6 = !s.v6
			case 1:
				s.udp = !s.udp
			case 2:
				s.port++
			case 3:
				s.seq++
			case 4:
				s.id++
			case 5:
				s.flags = byte(rapid.IntRange(0, 255).Draw(t, "flags"))
			case 6:
				s.options = 4 * rapid.IntRange(0, 10).Draw(t, "options")
			case 7:
				s.payload = rapid.IntRange(0, 1400).Draw(t, "payload")
			case 8:
				s.partial = !s.partial
			case 9:
				s.wrong = !s.partial
			case 10:
				s.noChecksum = s.udp && !s.v6 && !s.partial
			case 11:
				s.extension = !s.extension
			}
			pkt := s.build(r)
			if rapid.IntRange(0, 30).Draw(t, "false") == 0 { // one that does not open
				m.Place()
				copy(m.Place()[:len(pkt)], make([]byte, len(pkt)))
				m.Cancel()
				continue
			}
			if m.Full(len(pkt)) {
				break
			}
			if !put(m, pkt, s.partial) {
				t.Fatalf("refused %x", pkt)
			}
			want, partials = append(want, pkt), append(partials, s.partial)
		}
		got, gotPartial := split(m.Packets())
		if len(got) != len(want) {
			t.Fatalf("%d packets, want %d", len(got), len(want))
		}
		for i := range got {
			if gotPartial[i] && !partials[i] {
				meta, ok := PartialAt(got[i])
				if !ok {
					t.Fatalf("packet %d has no checksum", i)
				}
				Complete(got[i], meta)
			}
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("packet %d:\n got %x\nwant %x", i, got[i], want[i])
			}
		}
	})
}

func TestAWrongChecksumIsNotMadeRight(t *testing.T) {
	for wrong := range 3 {
		r := rand.New(rand.NewPCG(1, 2))
		m := NewMerger(0, 8, both)
		var want [][]byte
		for i := range 3 {
			pkt := spec{udp: true, payload: 99, id: uint16(i), wrong: i == wrong}.build(r)
			want = append(want, pkt)
			put(m, pkt, false)
		}
		got, _ := split(m.Packets())
		compare(t, got, want, true)
		for _, p := range m.Packets() {
			if p.GSO == None && p.Partial {
				t.Error("a packet by itself lost its checksum")
			}
		}
	}
}

// Zero has two spellings in one's complement, and both are right. The one that nobody writes stays as it came.
func TestTheOtherSpellingOfZeroIsKept(t *testing.T) {
	for _, at := range []int{head4 + tcpSum, 10} {
		r := rand.New(rand.NewPCG(1, 2))
		build := func(i int, id uint16) []byte {
			return spec{payload: 100, id: id + uint16(i), seq: uint32(100 * i), flags: tcpACK}.build(r)
		}
		// What makes the sum zero: the header's by the identification, TCP's by the end of the payload.
		id := uint16(0)
		if at == 10 {
			id = binary.BigEndian.Uint16(build(1, 0xffff)[at:])
		}
		m := NewMerger(0, 8, both)
		var want [][]byte
		for i := range 3 {
			pkt := build(i, id-1)
			if i == 1 {
				if end := pkt[len(pkt)-2:]; at != 10 {
					binary.BigEndian.PutUint16(end, add(binary.BigEndian.Uint16(end), binary.BigEndian.Uint16(pkt[at:])))
					pkt[at], pkt[at+1] = 0, 0
				}
				if pkt[at]|pkt[at+1] != 0 {
					t.Fatalf("the sum at %d is %x", at, pkt[at:at+2])
				}
				pkt[at], pkt[at+1] = 0xff, 0xff
			}
			want = append(want, pkt)
			put(m, pkt, false)
		}
		got, _ := split(m.Packets())
		compare(t, got, want, true)
	}
}

func TestMergerIsFullInTime(t *testing.T) {
	m := NewMerger(0, 1000, Joins{})
	pkt := make([]byte, 9000)
	pkt[0] = 0x45
	n := 0
	for !m.Full(len(pkt)) {
		put(m, pkt, false)
		n++
	}
	if n < 14 || len(m.Packets()) != n {
		t.Errorf("%d packets, %d kept", n, len(m.Packets()))
	}
	m.Reset()
	if m.Full(len(pkt)) || len(m.Packets()) != 0 {
		t.Error("not empty after Reset")
	}
}

func FuzzMerger(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	f.Add(spec{payload: 30, flags: tcpACK}.build(r), spec{payload: 30, seq: 30, id: 1, flags: tcpACK}.build(r), true)
	f.Add(spec{payload: 3, udp: true, v6: true}.build(r), spec{payload: 3, udp: true, v6: true}.build(r), false)
	f.Fuzz(func(t *testing.T, a, b []byte, partial bool) {
		if len(a) > maxLength || len(b) > maxLength {
			return
		}
		m := NewMerger(0, 4, both)
		var want [][]byte
		for _, p := range [][]byte{a, b} {
			if put(m, p, partial) {
				want = append(want, p)
			}
		}
		if got, _ := split(m.Packets()); len(got) != len(want) {
			t.Fatalf("%d packets, want %d", len(got), len(want))
		}
	})
}

func BenchmarkMergeTCP(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	var pkts [][]byte
	for i := range 45 {
		pkts = append(pkts, spec{partial: true, flags: tcpACK, payload: 1348, options: 12, seq: uint32(i * 1348), id: uint16(i)}.build(r))
	}
	m := NewMerger(0, 64, both)
	b.SetBytes(45 * 1400)
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range pkts {
			put(m, p, true)
		}
		if len(m.Packets()) != 1 {
			b.Fatal("not joined")
		}
		m.Reset()
	}
}
