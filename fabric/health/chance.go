package health

import "math"

// tail is the chance that of n probes at least k are lost when each is lost with probability p: the upper
// tail of the binomial distribution.
func tail(n, k int, p float64) float64 {
	if k <= 0 || p >= 1 {
		return 1
	}
	if k > n || p <= 0 {
		return 0
	}
	// The term for exactly k, in logarithms since it may be tiny, then each from the one before.
	lg := func(x int) float64 { v, _ := math.Lgamma(float64(x + 1)); return v }
	term := math.Exp(lg(n) - lg(k) - lg(n-k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
	sum := term
	for i := k; i < n; i++ {
		term *= float64(n-i) / float64(i+1) * p / (1 - p)
		sum += term
	}
	return min(sum, 1)
}

// tally counts probes whose fate is known.
type tally struct{ n, lost int }

func (t *tally) add(f fate) {
	t.n++
	if f == lost {
		t.lost++
	}
}

func (t tally) ppm() uint32 { return ppmOf(t.lost, t.n) }

// leastLoss is what is taken for the loss of the best path: it has one at times, and from "never" nothing follows.
const leastLoss = 0.002

// likely is the loss to expect of whatever gave t: one more lost than was seen, so that few probes promise
// little.
func (t tally) likely() float64 { return max(float64(t.lost+1)/float64(t.n+2), leastLoss) }
