package lab

import (
	"fmt"
	"time"
)

// PingReport is what a ping has seen.
type PingReport struct {
	Sent       int
	Received   int
	Duplicates int             // further replies to the same request
	Reordered  int             // replies that came after one to a later request
	RTTs       []time.Duration // of the replies, in the order of the requests
	SendErrors int             // requests that the kernel refused, counted as lost
	// LongestGap is the longest time without a reply, from the first request on: while all is well, about the interval
	// (and at the beginning the round-trip time). At an outage it is how long the outage was felt.
	LongestGap time.Duration
	// Lost are the sequence numbers without reply, from 0. Of a running ping, those just sent are among them.
	Lost []int
}

// Loss is the share of requests without reply.
func (r PingReport) Loss() float64 {
	if r.Sent == 0 {
		return 0
	}
	return float64(r.Sent-r.Received) / float64(r.Sent)
}

// Median is the median RTT, 0 without any.
func (r PingReport) Median() time.Duration { return quantile(r.RTTs, 0.5) }

// String is a line for people.
func (r PingReport) String() string {
	return fmt.Sprintf("%d sent, %d received, %.2g%% lost, rtt min/median/max %v/%v/%v, longest gap %v", r.Sent, r.Received, 100*r.Loss(),
		quantile(r.RTTs, 0).Round(10*time.Microsecond), r.Median().Round(10*time.Microsecond), quantile(r.RTTs, 1).Round(10*time.Microsecond), r.LongestGap.Round(100*time.Microsecond))
}
