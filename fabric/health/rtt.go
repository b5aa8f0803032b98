package health

import "time"

// rtt is the estimator of RFC 6298, section 2.
type rtt struct{ smooth, dev, least time.Duration }

func (r *rtt) add(v time.Duration) {
	if r.smooth == 0 {
		r.smooth, r.dev, r.least = v, v/2, v
		return
	}
	r.dev += (max(r.smooth-v, v-r.smooth) - r.dev) / 4
	r.smooth += (v - r.smooth) / 8
	r.least = min(r.least, v)
}
