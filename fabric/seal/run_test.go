package seal

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/galleon-net/galleon/fabric/wire"
)

// TestARunSealsAsOneByOne holds a Run against Seal of a sender with the same keys.
func TestARunSealsAsOneByOne(t *testing.T) {
	for _, suite := range suites {
		a, _ := pairOfEnds(t, suite)
		b, open := pairOfEnds(t, suite)
		var r Run
		h := dataHeader
		h.Partial, h.ECN = true, 2
		for n := 1; n < 5; n++ {
			if err := r.Begin(b, h, n, 100*n); err != nil {
				t.Fatal(err)
			}
			for i := range n {
				payload := bytes.Repeat([]byte{byte(i)}, 100-i)
				want, err := a.Seal(nil, h, payload)
				if err != nil {
					t.Fatal(err)
				}
				got := r.Seal([]byte("before"), payload)
				if !bytes.Equal(got[6:], want) {
					t.Fatalf("packet %d of %d:\n got %x\nwant %x", i, n, got[6:], want)
				}
				if back, err := open.Open(nil, got[6:]); err != nil || !bytes.Equal(back, payload) {
					t.Fatalf("opened %x, %v", back, err)
				}
			}
		}
	}
}

func TestARunTakesNoMoreThanThereIs(t *testing.T) {
	s, _ := pairOfEnds(t, AES128GCM)
	s.next = MaxPackets - 3
	var r Run
	if err := r.Begin(s, dataHeader, 4, 400); !errors.Is(err, ErrExhausted) || s.next != MaxPackets-3 {
		t.Errorf("%v, next %d", err, s.next)
	}
	if err := r.Begin(s, dataHeader, 3, 300); err != nil {
		t.Error(err)
	}
	if _, err := s.Seal(nil, dataHeader, nil); !errors.Is(err, ErrExhausted) {
		t.Error(err)
	}
	s, _ = pairOfEnds(t, AES128GCM)
	s.blocks = maxBlocks - 10
	if err := r.Begin(s, dataHeader, 1, 200); !errors.Is(err, ErrExhausted) {
		t.Error(err)
	}
	h := dataHeader
	h.Type = wire.Session
	if r.Begin(s, h, 1, 10) == nil || r.Begin(s, dataHeader, 0, 0) == nil {
		t.Error("a session packet, or nothing, was to be sealed")
	}
}

func TestARunThatIsOverPanics(t *testing.T) {
	for _, octets := range []int{100, 101} {
		s, _ := pairOfEnds(t, AES128GCM)
		var r Run
		if err := r.Begin(s, dataHeader, 1, 100); err != nil {
			t.Fatal(err)
		}
		func() {
			defer func() {
				if fmt.Sprint(recover()) == "<nil>" {
					t.Errorf("sealed beyond its end")
				}
			}()
			r.Seal(nil, make([]byte, octets))
			r.Seal(nil, nil)
		}()
	}
}

func BenchmarkRun(b *testing.B) {
	s, _ := pairOfEnds(b, AES128GCM)
	var r Run
	dst, payload := make([]byte, 0, 2000), make([]byte, 1400)
	b.SetBytes(1400)
	b.ReportAllocs()
	for b.Loop() {
		s.next, s.blocks = 0, 0
		if err := r.Begin(s, dataHeader, 45, 45*1400); err != nil {
			b.Fatal(err)
		}
		for range 45 {
			r.Seal(dst, payload)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/45, "ns/packet")
}
