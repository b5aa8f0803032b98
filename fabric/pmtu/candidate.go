package pmtu

import (
	"math"
	"slices"
)

// mtus are IP packet sizes that paths are made of, in octets: tunnels and dial-up lines below Ethernet's
// 1,500, the jumbo frames of switches and clouds above.
var mtus = []int{1400, 1420, 1450, 1460, 1480, 1492, 1500, 2304, 4352, 8500, 8896, 9000, 9001}

const ethernet = 1500

// next is the size between confirmed and refuted that promises most; 0 when the rest is not worth a probe.
func (s *Search) next() int {
	lo, hi := s.confirmed, s.refuted
	switch {
	case hi == 0 && lo >= s.cfg.Max:
		return 0
	case hi == 0 && lo < s.cfg.Usual:
		return s.cfg.Usual
	case hi == 0:
		return s.cfg.Max
	case hi-lo <= max(16, lo/64):
		return 0
	}
	if e := ethernet - s.cfg.Head; lo < e && e < hi && hi > 2*lo {
		return e
	}
	known := slices.DeleteFunc(slices.Clone(mtus), func(m int) bool { return m-s.cfg.Head <= lo || m-s.cfg.Head >= hi })
	if len(known) > 0 {
		return known[len(known)/2] - s.cfg.Head
	}
	return (lo + hi) / 2
}

// rare is how seldom chance may imitate a size that does not pass.
const rare = 1e-6

// byChance says whether n losses in a row may be bad luck. Fewer than three always may.
func byChance(loss float64, n int) bool {
	return n < 3 || math.Pow(min(max(loss, 0), 1), float64(n)) > rare
}
