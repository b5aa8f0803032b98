package lab

import (
	"slices"
	"time"
)

// quantile gives the value below which a share q of the durations lie; 0 without any.
func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	sorted := slices.Clone(d)
	slices.Sort(sorted)
	return sorted[int(q*float64(len(sorted)-1)+0.5)]
}
