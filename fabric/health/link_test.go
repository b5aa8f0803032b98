package health

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestLinkNeverTrustsNumbers hands a link samples that no honest peer would send.
func TestLinkNeverTrustsNumbers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(0, 0)
		cfg := Config{Reports: rapid.Bool().Draw(t, "reports"), Lanes: rapid.IntRange(1, MaxLanes).Draw(t, "lanes")}
		l := New(cfg, now)
		for range rapid.IntRange(1, 300).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 200).Draw(t, "ms")) * time.Millisecond)
			for _, p := range l.Plan(now) {
				if int(p.Lane) >= l.cfg.Lanes || p.Size > l.cfg.Max {
					t.Fatalf("probe %+v", p)
				}
			}
			u := rapid.OneOf(rapid.Uint64Range(0, 400), rapid.Uint64())
			l.Heard(now, Sample{Seq: u.Draw(t, "seq"), EchoSeq: u.Draw(t, "echo"), Received: u.Draw(t, "received"),
				Hold: time.Duration(rapid.Int64().Draw(t, "hold")), Size: rapid.IntRange(0, 1400).Draw(t, "size"),
				Report: Report{Heard: rapid.Uint64().Draw(t, "heard"), LossPPM: rapid.Uint32().Draw(t, "loss")}})
			l.Tick(now)
			st := l.Status()
			if st.LossIn > 1e6 || st.LossOut > 1e6 || st.RTT < 0 || st.Flaps > maxFlaps {
				t.Fatalf("status out of range: %+v", st)
			}
			for slot, lane := range l.Flows() {
				if int(lane) >= l.cfg.Lanes {
					t.Fatalf("slot %d by lane %d of %d", slot, lane, l.cfg.Lanes)
				}
			}
			if st.State.Usable() && l.Due().Sub(now) > 4*l.cfg.Interval {
				t.Fatalf("due %s after now", l.Due().Sub(now))
			}
		}
	})
}

// TestImpossibleCounts has a peer that says it received more than a number holds.
func TestImpossibleCounts(t *testing.T) {
	var w outbound
	w.add(mark{echo: 1, received: 0})
	w.add(mark{echo: 3, received: ^uint64(0)})
	if ppm, _ := w.loss(func(uint64) bool { return false }); ppm != 0 {
		t.Errorf("loss of %d ppm", ppm)
	}
}

// TestWindowAgainstTwin compares the loss of the ring with one counted from a plain list.
func TestWindowAgainstTwin(t *testing.T) {
	never := func(uint64) bool { return false }
	rapid.Check(t, func(t *rapid.T) {
		var w inbound
		heard := map[uint64]bool{}
		first, high := uint64(0), uint64(0)
		lose := rapid.IntRange(0, 90).Draw(t, "lose")
		start := rapid.Uint64Range(1, 1<<40).Draw(t, "start")
		for s := start; s < start+uint64(rapid.IntRange(1, 3*window).Draw(t, "n")); s++ {
			if s != start && rapid.IntRange(0, 99).Draw(t, "dice") < lose {
				continue
			}
			w.add(s)
			heard[s] = true
			if first == 0 {
				first = s
			}
			high = s
		}
		got, _ := w.loss(never)
		expected, missing := 0, 0
		for s := first; s+reorder <= high; s++ {
			if s+window <= high {
				continue
			}
			expected++
			if !heard[s] {
				missing++
			}
		}
		if high <= first+reorder {
			expected, missing = 0, 0
		}
		if want := ppmOf(missing, expected); got != want {
			t.Fatalf("loss %d, want %d of a million (%d of %d)", got, want, missing, expected)
		}
	})
}
