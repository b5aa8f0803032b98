package pmtu

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestNeverMoreThanArrived hands a search fates that contradict each other, of sizes that it never asked for:
// what may be sent stays between Base and Max, and is something that arrived.
func TestNeverMoreThanArrived(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(0, 0)
		top := rapid.IntRange(1328, 9000).Draw(t, "max")
		s := New(Config{Base: 1328, Usual: 1448, Max: top, Head: 28}, now)
		arrived := map[int]bool{1328: true}
		for range rapid.IntRange(1, 400).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 700).Draw(t, "ms")) * time.Millisecond)
			size := s.Next(now)
			if size > top || size < 0 || size > 0 && size < 1328 {
				t.Fatalf("asked for %d", size)
			}
			if size == 0 || rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
				size = rapid.IntRange(0, 1<<17).Draw(t, "size")
			}
			sent := now.Add(-time.Duration(rapid.IntRange(0, 3000).Draw(t, "age")) * time.Millisecond)
			switch rapid.IntRange(0, 3).Draw(t, "fate") {
			case 0:
				s.Heard(now, sent, size)
				arrived[min(size, top)] = true
			case 1:
				s.Lost(now, sent, size, rapid.Float64Range(-1, 2).Draw(t, "loss"))
			case 2:
				s.Refused(now, size)
			case 3:
				s.Moved(now)
			}
			if got := s.Size(); got < 1328 || got > top || !arrived[got] {
				t.Fatalf("size %d of 1328 to %d, arrived %v", got, top, arrived)
			}
		}
	})
}

// TestEveryPath searches every path from the base to the largest: what is found is at most one part in 64,
// or 16 octets, less than what passes, in under 10 s and under 90 probes.
func TestEveryPath(t *testing.T) {
	for mtu := 1328; mtu <= 9016; mtu += 7 {
		now := time.Unix(0, 0)
		s := New(Config{Base: 1328, Usual: 1448, Max: 9000, Head: 28}, now)
		probes := 0
		for end := now.Add(10 * time.Second); now.Before(end); now = now.Add(50 * time.Millisecond) {
			if size := s.Next(now); size > 0 {
				probes++
				if size <= mtu {
					s.Heard(now, now, size)
				} else {
					s.Lost(now, now, size, 0)
				}
			}
		}
		want := min(mtu, 9000)
		if got := s.Size(); got > want || want-got > max(16, want/64) || s.Searching() || probes > 90 {
			t.Errorf("path of %d: found %d with %d probes, still searching: %v", mtu, got, probes, s.Searching())
		}
	}
}

// TestNumbersOfLosses is the table behind rare.
func TestNumbersOfLosses(t *testing.T) {
	for _, c := range []struct {
		loss float64
		want int
	}{{0, 3}, {0.001, 3}, {0.009, 3}, {0.02, 4}, {0.05, 5}, {0.09, 6}, {0.5, 20}} {
		n := 1
		for byChance(c.loss, n) {
			n++
		}
		if n != c.want {
			t.Errorf("at a loss of %v: %d in a row, want %d", c.loss, n, c.want)
		}
	}
	if !byChance(1, 1000) {
		t.Error("where everything is lost, size is not why")
	}
}
