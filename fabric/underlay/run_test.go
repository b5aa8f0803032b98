package underlay

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// TestDatagramsOfARun: the datagrams of a packet, one behind the other, are the packet, and none reaches into
// the next.
func TestDatagramsOfARun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Packet{
			Buf: rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "octets"),
			Seg: rapid.IntRange(0, 320).Draw(t, "seg"),
		}
		var all []byte
		for i := range p.Count() {
			d := p.Datagram(i)
			last := i == p.Count()-1
			if p.Seg > 0 && (len(d) > p.Seg || !last && len(d) != p.Seg || cap(d) != len(d)) {
				t.Fatalf("datagram %d of %d has %d octets, room for %d", i, p.Count(), len(d), cap(d))
			}
			if len(d) == 0 && len(p.Buf) > 0 {
				t.Fatalf("datagram %d of %d is empty", i, p.Count())
			}
			all = append(all, d...)
		}
		if !bytes.Equal(all, p.Buf) {
			t.Fatalf("%v became %v", p.Buf, all)
		}
	})
}

func TestRunsThatNoKernelTakesPanic(t *testing.T) {
	s := newSilent()
	defer s.Close()
	for _, p := range []Packet{
		{Buf: make([]byte, 65), Seg: 1},
		{Buf: make([]byte, MaxRunOctets+1), Seg: 2000},
		{Buf: make([]byte, 10), Seg: -1},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d octets in datagrams of %d were taken", len(p.Buf), p.Seg)
				}
			}()
			_ = s.WriteBatch([]Packet{p})
		}()
	}
}

// slowSift is sift without its finesse.
func slowSift(p Packet) (ours [][]byte, quics, strange int) {
	for i := range p.Count() {
		switch d := p.Datagram(i); d[0] >> 6 {
		case 2:
			ours = append(ours, bytes.Clone(d))
		case 1, 3:
			quics++
		default:
			strange++
		}
	}
	return ours, quics, strange
}

func TestSiftAgainstASlowTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSilent()
		defer s.Close()
		p := Packet{
			Buf:  rapid.SliceOfN(rapid.Byte(), 1, 200).Draw(t, "octets"),
			Seg:  rapid.IntRange(0, 50).Draw(t, "seg"),
			Addr: VirtualAddr(1),
		}
		want, quics, strange := slowSift(p)
		left := s.sift(&p)
		var got [][]byte
		if left {
			for i := range p.Count() {
				got = append(got, p.Datagram(i))
			}
		}
		if !bytes.Equal(bytes.Join(got, nil), bytes.Join(want, nil)) || len(got) != len(want) {
			t.Fatalf("%d datagrams %v stayed, want %d %v", len(got), got, len(want), want)
		}
		st := s.Stats()
		if int(st.In) != len(want) || int(st.QUICIn) != quics || int(st.Strange) != strange {
			t.Fatalf("stats %+v, want %d, %d and %d", st, len(want), quics, strange)
		}
	})
}
