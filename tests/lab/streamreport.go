package lab

import (
	"fmt"
	"time"
)

// StreamReport is what the receiver of a stream has seen.
type StreamReport struct {
	Sent       uint64
	Received   uint64
	Bytes      uint64 // of payload received
	Duplicates uint64
	Reordered  uint64 // arrived after one with a higher number
	SendErrors uint64
	// Overrun counts packets that arrived, but found the receiver's buffer full, because this process was kept from
	// reading it: the machine's fault, not the network's. The report learns of them with the next packet that is read.
	Overrun uint64
	// LongestGap is the longest time in which nothing arrived, from the first arrival to the last sending.
	LongestGap time.Duration
	// First and Last are when the first and the last packet arrived.
	First, Last time.Time
	// One-way delay.
	DelayMin, DelayMean, DelayMax time.Duration
	delaySum                      time.Duration
	// Delays are those of the first packets (131,072 at most), in the order of arrival, and Arrivals when they came,
	// counted from the first.
	Delays, Arrivals []time.Duration
}

// Delay gives the one-way delay below which a share q of the packets lie.
func (r StreamReport) Delay(q float64) time.Duration { return quantile(r.Delays, q) }

// Loss is the share that did not arrive. What the receiver's buffer had no room for did.
func (r StreamReport) Loss() float64 {
	if r.Sent == 0 {
		return 0
	}
	return max(0, float64(r.Sent)-float64(r.Received+r.Overrun)) / float64(r.Sent)
}

// Throughput is the bits per second of IP packets that arrived, headers included: the median of ten parts of the stream, so
// that a moment in which the sender was kept waiting does not count.
func (r StreamReport) Throughput(header int) float64 {
	const parts = 10
	each := len(r.Arrivals) / parts
	if each < 2 {
		return 0
	}
	took := make([]time.Duration, parts)
	for i := range parts {
		took[i] = r.Arrivals[(i+1)*each-1] - r.Arrivals[i*each]
	}
	bits := 8 * (float64(r.Bytes)/float64(r.Received) + float64(header))
	return bits * float64(each-1) / quantile(took, 0.5).Seconds()
}

// String is a line for people.
func (r StreamReport) String() string {
	return fmt.Sprintf("%d sent, %d received, %.2g%% lost, delay min/mean/max %v/%v/%v, longest gap %v", r.Sent, r.Received, 100*r.Loss(),
		r.DelayMin.Round(10*time.Microsecond), r.DelayMean.Round(10*time.Microsecond), r.DelayMax.Round(10*time.Microsecond), r.LongestGap.Round(100*time.Microsecond))
}
