package main

import (
	"errors"
	"math"
	"testing"

	"pgregory.net/rapid"
)

// pipe passes packets up to a rate; what is offered above is lost. When it collapses it delivers less the more is offered.
func pipe(limit float64, collapses bool) func(float64) (trial, error) {
	return func(rate float64) (trial, error) {
		t := trial{Offered: rate, Seconds: 1, Sent: uint64(rate)}
		t.Delivered = uint64(math.Min(rate, limit))
		if collapses && rate > limit {
			t.Delivered = uint64(limit * limit / rate)
		}
		return t, nil
	}
}

// Wherever it begins within reason, the search comes within a grain and a rounding of the limit, and never above.
func TestFindRate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Float64Range(1e4, 2e6).Draw(t, "limit")
		start := limit * rapid.Float64Range(0.4, 1.6).Draw(t, "start")
		best, err := findRate(start, pipe(limit, rapid.Bool().Draw(t, "collapses")))
		if err != nil {
			t.Fatal(err)
		}
		if got := best.rate(); got > limit || got < limit/searchGrain/1.001 {
			t.Fatalf("found %.0f of %.0f", got, limit)
		}
	})
}

// One bad moment is no limit.
func TestFindRateOutlivesHiccup(t *testing.T) {
	n, passes := 0, pipe(1e5, false)
	best, err := findRate(5e4, func(rate float64) (trial, error) {
		r, err := passes(rate)
		if n++; n == 1 {
			r.Delivered /= 2
		}
		return r, err
	})
	if err != nil || best.rate() < 1e5/searchGrain/1.001 {
		t.Errorf("found %.0f, %v", best.rate(), err)
	}
}

// A generator that has no more to offer ends the search, long before the trials are used up.
func TestFindRateShortGenerator(t *testing.T) {
	n := 0
	best, err := findRate(8e4, func(rate float64) (trial, error) {
		n++
		sent := math.Min(rate, 1e5)
		return trial{Offered: rate, Sent: uint64(sent), Delivered: uint64(sent), Seconds: 1, Short: sent < generatorShort*rate}, nil
	})
	if err != nil || best.rate() != 1e5 || n > 6 {
		t.Errorf("found %.0f in %d trials, %v", best.rate(), n, err)
	}
}

// What loses always has no rate; what fails ends the search; neither goes on for ever.
func TestFindRateEnds(t *testing.T) {
	n := 0
	best, err := findRate(1e5, func(rate float64) (trial, error) {
		n++
		return trial{Sent: 1000, Delivered: 900, Seconds: 1}, nil
	})
	if err != nil || best.rate() != 0 || n > searchTrials {
		t.Errorf("found %.0f in %d trials, %v", best.rate(), n, err)
	}
	broken := errors.New("broken")
	if _, err := findRate(1e5, func(float64) (trial, error) { return trial{}, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

func TestTrial(t *testing.T) {
	for _, c := range []struct {
		t     trial
		loss  float64
		clean bool
	}{
		{trial{Sent: 10000, Delivered: 10000}, 0, true},
		{trial{Sent: 10000, Delivered: 9991}, 0.0009, true},
		{trial{Sent: 10000, Delivered: 9990}, 0.001, false},
		{trial{Sent: 10000, Delivered: 10001}, 0, true}, // one was doubled
		{trial{}, 1, false},
	} {
		if math.Abs(c.t.loss()-c.loss) > 1e-12 || c.t.clean() != c.clean {
			t.Errorf("%+v: loss %v, clean %v", c.t, c.t.loss(), c.t.clean())
		}
	}
}
