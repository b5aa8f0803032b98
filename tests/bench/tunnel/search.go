package main

import (
	"fmt"
	"math"
)

// trial is one attempt to pass packets at a rate.
type trial struct {
	Offered   float64 // packets per second that the generator was to send; 0 is as fast as it can
	Sent      uint64
	Delivered uint64
	Seconds   float64 // of sending
	Short     bool    // the generator could not send all that it was to offer
}

// lossBound is the share of packets that may be lost: RFC 2544 would have none, but on a machine whose processors are shared
// a moment without one loses some.
const lossBound = 0.001

func (t trial) loss() float64 {
	if t.Sent == 0 {
		return 1
	}
	return 1 - float64(min(t.Delivered, t.Sent))/float64(t.Sent)
}

func (t trial) clean() bool { return t.Sent > 0 && t.loss() < lossBound }

// rate is what was delivered, in packets per second.
func (t trial) rate() float64 {
	if t.Seconds == 0 {
		return 0
	}
	return float64(t.Delivered) / t.Seconds
}

// Of a search.
const (
	searchStep   = 1.3  // by which the rate goes up or down until a clean and an unclean trial enclose the limit
	searchGrain  = 1.04 // when these are as near as this, it is found
	searchTrials = 11   // at most; each unclean one is tried twice
	leastRate    = 100  // packets per second: below this nothing is looked for
)

// findRate looks for the highest rate that passes cleanly: up or down from start in steps until it is enclosed, then by halves (of
// the logarithm). A trial that is not clean is repeated once, since a moment without a processor is not a limit. It gives the
// clean trial that delivered most; without any, one that delivered nothing.
func findRate(start float64, try func(rate float64) (trial, error)) (trial, error) {
	var best trial
	low, high := 0.0, 0.0 // 0: not known yet
	left := searchTrials
	passes := func(rate float64) (bool, error) {
		for range 2 {
			if left == 0 {
				return false, nil
			}
			left--
			t, err := try(rate)
			if err != nil {
				return false, fmt.Errorf("offer %.0f packets/s: %w", rate, err)
			}
			if t.clean() {
				if t.Short && t.rate() < best.rate()*searchGrain {
					high = rate // offering more brings no more
				}
				if t.rate() > best.rate() {
					best = t
				}
				return true, nil
			}
		}
		return false, nil
	}
	for rate := max(start, leastRate); left > 0; {
		ok, err := passes(rate)
		if err != nil {
			return best, err
		}
		if ok {
			low = rate
		} else {
			high = rate
		}
		switch {
		case high == 0:
			rate = low * searchStep
		case low == 0:
			rate = high / searchStep
		case high/low <= searchGrain:
			return best, nil
		default:
			rate = middle(low, high)
		}
		if rate < leastRate {
			return best, nil
		}
	}
	return best, nil
}

// middle is the geometric mean.
func middle(low, high float64) float64 { return math.Sqrt(low * high) }
