package main

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// samples are the values of one figure, one for each round. Rounds in which it could not be had are not in it.
type samples []float64

// median is the middle value, or the mean of the two in the middle; not a number without any.
func (s samples) median() float64 {
	if len(s) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// bounds are the least and the greatest value.
func (s samples) bounds() (least, greatest float64) {
	if len(s) == 0 {
		return math.NaN(), math.NaN()
	}
	return slices.Min(s), slices.Max(s)
}

// ratio is that of two medians; not a number when either is missing.
func ratio(over, under samples) float64 {
	if u := under.median(); u != 0 {
		return over.median() / u
	}
	return math.NaN()
}

// percentile is the value below which a share q of the values lie, by the nearest rank; the zero value without any.
func percentile[T cmp.Ordered](values []T, q float64) T {
	var zero T
	if len(values) == 0 {
		return zero
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[max(0, min(len(sorted)-1, int(math.Ceil(q*float64(len(sorted))))-1))]
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
