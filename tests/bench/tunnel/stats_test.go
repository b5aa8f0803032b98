package main

import (
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		in   samples
		want float64
	}{{samples{3}, 3}, {samples{9, 1, 2}, 2}, {samples{4, 1, 3, 2}, 2.5}} {
		before := slices.Clone(c.in)
		if got := c.in.median(); got != c.want {
			t.Errorf("median of %v is %v, want %v", c.in, got, c.want)
		}
		if !slices.Equal(c.in, before) {
			t.Errorf("%v became %v", before, c.in)
		}
	}
	if !math.IsNaN(samples(nil).median()) {
		t.Error("nothing has a median")
	}
}

func TestRatio(t *testing.T) {
	if got := ratio(samples{4, 6, 5}, samples{2, 1, 3}); got != 2.5 {
		t.Errorf("got %v", got)
	}
	for _, x := range []float64{ratio(nil, samples{1}), ratio(samples{1}, nil), ratio(samples{1}, samples{0})} {
		if !math.IsNaN(x) {
			t.Errorf("a ratio of nothing is %v", x)
		}
	}
}

// At least the share q of the values is not above a percentile, and it is one of them.
func TestPercentile(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.IntRange(0, 50), 1, 200).Draw(t, "values")
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		got := percentile(values, q)
		below := 0
		for _, v := range values {
			if v <= got {
				below++
			}
		}
		if !slices.Contains(values, got) || float64(below) < q*float64(len(values)) {
			t.Fatalf("percentile %v of %v is %v", q, values, got)
		}
	})
	if percentile([]int(nil), 0.5) != 0 {
		t.Error("nothing has a percentile")
	}
}
