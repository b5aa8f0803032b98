package seal

import (
	"testing"

	"pgregory.net/rapid"
)

// slowWindow is the window's dumb twin: it remembers every counter.
type slowWindow struct {
	seen map[uint64]bool
	next uint64
}

func (w *slowWindow) fresh(n uint64) bool {
	return !w.seen[n] && (n >= w.next || w.next-n <= WindowLen)
}

func (w *slowWindow) mark(n uint64) {
	w.seen[n] = true
	w.next = max(w.next, n+1)
}

func TestWindowLikeItsSlowTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var fast window
		slow := slowWindow{seen: map[uint64]bool{}}
		at := uint64(rapid.IntRange(0, 20_000).Draw(t, "start"))
		for range rapid.IntRange(1, 300).Draw(t, "packets") {
			// Mostly near the newest, sometimes at the edges of the window, of a word, or far ahead.
			step := rapid.OneOf(
				rapid.Int64Range(-70, 70),
				rapid.Int64Range(-WindowLen-66, -WindowLen+66),
				rapid.Int64Range(WindowLen-66, WindowLen+200),
				rapid.Int64Range(0, 100_000),
			).Draw(t, "step")
			n := uint64(max(0, int64(at)+step))
			if fast.fresh(n) != slow.fresh(n) {
				t.Fatalf("counter %d with %d next: fresh is %v, twin says %v", n, fast.next, fast.fresh(n), slow.fresh(n))
			}
			if rapid.IntRange(0, 9).Draw(t, "genuine") > 0 && fast.fresh(n) {
				fast.mark(n)
				slow.mark(n)
				at = slow.next
			}
		}
	})
}

func TestWindowEdges(t *testing.T) {
	var w window
	for _, n := range []uint64{0, 1, 63, 64, WindowLen, 2*WindowLen + 1} {
		if !w.fresh(n) {
			t.Errorf("%d is not fresh", n)
		}
		w.mark(n)
		if w.fresh(n) {
			t.Errorf("%d is fresh twice", n)
		}
	}
	last := w.next - WindowLen // the oldest that can be told
	if !w.fresh(last) || w.fresh(last-1) {
		t.Errorf("with %d next, %d fresh %v, %d fresh %v", w.next, last, w.fresh(last), last-1, w.fresh(last-1))
	}
}
