package weights

import (
	"testing"

	"pgregory.net/rapid"
)

func TestLevels(t *testing.T) {
	var r Rates
	for _, c := range []struct {
		mbits float64
		cores float64
		want  Level
	}{
		{100, 1, Densest}, {1000, 1, Densest}, {4000, 1, Dense}, {10_000, 1, Swift}, {10_000, 8, Densest}, {100_000, 1, Plain},
	} {
		if got := r.For(c.mbits/8*1e6, c.cores); got != c.want {
			t.Errorf("%.0f Mbit/s and %.0f cores: %v, want %v", c.mbits, c.cores, got, c.want)
		}
	}
	// A machine that is slower than was thought steps back.
	for range 50 {
		r.Observe(Dense, 1e9, 0.67e9, 10)
		r.Observe(Densest, 1e9, 0.66e9, 20)
	}
	if got := r.For(1000/8*1e6, 1); got != Swift {
		t.Errorf("at 100 MB/s of coding a link of 125 MB/s gets %v", got)
	}
}

// Whatever was seen, coding is not slower than the link.
func TestNeverSlower(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r Rates
		for range rapid.IntRange(0, 20).Draw(t, "n") {
			r.Observe(Level(rapid.IntRange(0, int(levels)-1).Draw(t, "level")), rapid.IntRange(1, 1e9).Draw(t, "file"),
				rapid.IntRange(0, 1e9).Draw(t, "wire"), rapid.Float64Range(0.001, 100).Draw(t, "seconds"))
		}
		link, cores := rapid.Float64Range(1, 1e11).Draw(t, "link"), rapid.Float64Range(0.1, 64).Draw(t, "cores")
		if l := r.For(link, cores); l != Plain && r.Of(l).Speed*cores < link {
			t.Fatalf("%v codes %.0f bytes/s for a link of %.0f", l, r.Of(l).Speed*cores, link)
		}
	})
}
