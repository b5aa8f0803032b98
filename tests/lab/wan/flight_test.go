//go:build linux

package wan

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestFlight: frames leave in the order of their time, those of one time in the order of sending; against a sorted list.
func TestFlight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var f flight
		var twin []arrival
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			if len(twin) > 0 && rapid.Bool().Draw(t, "pop") {
				if due, ok := f.next(); !ok || due != twin[0].at {
					t.Fatalf("next is due at %v, %v; want %v", due, ok, twin[0].at)
				}
				if got := f.pop(); got.at != twin[0].at || got.count != twin[0].count {
					t.Fatalf("popped %v, want %v", got, twin[0])
				}
				twin = twin[1:]
				continue
			}
			a := arrival{at: Instant(rapid.IntRange(0, 20).Draw(t, "at")), count: len(twin) + int(f.order)*1000, frame: make(frame, 10)}
			f.push(a)
			at, _ := slices.BinarySearchFunc(twin, a, func(b, a arrival) int {
				if b.at <= a.at {
					return -1
				}
				return 1
			})
			twin = slices.Insert(twin, at, a)
		}
		if f.bytes != 10*len(twin) {
			t.Fatalf("%d bytes in flight with %d frames of 10", f.bytes, len(twin))
		}
	})
}

func TestBuffers(t *testing.T) {
	var p buffers
	a := p.get(1500)
	if cap(a) != bufferSizes[0] || len(a) != 0 {
		t.Errorf("for 1500 bytes: length %d, capacity %d", len(a), cap(a))
	}
	p.put(a)
	if b := p.get(2000); &b[:1][0] != &a[:1][0] {
		t.Error("a buffer that came back was not lent again")
	}
	for range 2 * maxKept / maxFrame {
		p.put(make([]byte, 0, maxFrame))
	}
	if p.kept > maxKept {
		t.Errorf("%d bytes kept, want at most %d", p.kept, maxKept)
	}
	defer func() {
		if recover() == nil {
			t.Error("a stranger's buffer was taken")
		}
	}()
	(&buffers{}).put(make([]byte, 0, 77))
}

func TestHistogram(t *testing.T) {
	var h histogram
	for i := range 1000 {
		h.add(Instant(i) * 1000) // 0 to 999 µs
	}
	h.add(histogramStep * 5000)
	h.add(-1)
	if l := h.summary(); l.P99 < 980_000 || l.P99 > 1_000_000 || l.Max != histogramStep*5000 {
		t.Errorf("%+v", l)
	}
}
