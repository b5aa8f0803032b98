package wan

import (
	"fmt"
	"strings"
	"time"
)

// Params is how one direction between two sites treats packets. The zero value is a perfect wire: no
// delay, no limit, no loss.
type Params struct {
	Delay     time.Duration // propagation, one way
	Rate      Rate          // bits per second; 0 is unlimited
	Queue     Size          // bytes that may wait for Rate; 0 is a tenth of a second of Rate (at least 64 KiB)
	MTU       Size          // larger IP packets vanish; 0 is no limit
	Loss      Share         // of packets, each by its own throw
	Duplicate Share         // of packets, that arrive twice
	Reorder   Share         // of packets, that arrive late by Late
	Late      time.Duration // how much later a reordered packet arrives; 0 is a millisecond
	Cut       bool          // nothing passes
}

// Bounds of what a link can be set to: beyond them a setting is a slip of the pen.
const (
	maxDelay  = time.Minute
	leastRate = Rate(1e3) // a full queue then leaves in a time that an Instant can hold
	maxRate   = Rate(1e12)
	maxSize   = Size(1 << 32)
)

// Defaults for fields that are zero.
const (
	defaultLate     = time.Millisecond
	defaultQueueFor = 100 * time.Millisecond
	leastQueue      = Size(64 << 10)
)

// Check refuses values that no link can have.
func (p Params) Check() error {
	switch {
	case p.Delay < 0 || p.Delay > maxDelay:
		return fmt.Errorf("delay %v: want 0 to %v", p.Delay, maxDelay)
	case p.Late < 0 || p.Late > maxDelay:
		return fmt.Errorf("late %v: want 0 to %v", p.Late, maxDelay)
	case p.Rate != 0 && (p.Rate < leastRate || p.Rate > maxRate):
		return fmt.Errorf("rate %v: want unlimited, or %v to %v", p.Rate, leastRate, maxRate)
	case p.Queue < 0 || p.Queue > maxSize:
		return fmt.Errorf("queue %v: want 0 to %v", p.Queue, maxSize)
	case p.MTU < 0 || p.MTU > maxSize:
		return fmt.Errorf("mtu %v: want 0 to %v", p.MTU, maxSize)
	}
	for name, s := range map[string]Share{"loss": p.Loss, "duplicate": p.Duplicate, "reorder": p.Reorder} {
		if !(s >= 0 && s <= 1) { // also refuses NaN
			return fmt.Errorf("%s %v: want 0%% to 100%%", name, float64(s))
		}
	}
	return nil
}

// QueueLimit is the bytes that may wait, with the default worked out.
func (p Params) QueueLimit() Size {
	if p.Queue != 0 {
		return p.Queue
	}
	return max(leastQueue, Size(float64(p.Rate)/8*defaultQueueFor.Seconds()))
}

// late is Late with the default worked out.
func (p Params) late() time.Duration {
	if p.Late == 0 {
		return defaultLate
	}
	return p.Late
}

// String is the text that Apply reads: only what differs from a perfect wire, in a fixed order.
func (p Params) String() string {
	var b strings.Builder
	put := func(name string, v any) { fmt.Fprintf(&b, " %s=%v", name, v) }
	if p.Cut {
		b.WriteString(" cut")
	}
	put("delay", p.Delay)
	if p.Rate != 0 {
		put("rate", p.Rate)
	}
	if p.Queue != 0 {
		put("queue", p.Queue)
	}
	if p.MTU != 0 {
		put("mtu", p.MTU)
	}
	if p.Loss != 0 {
		put("loss", p.Loss)
	}
	if p.Duplicate != 0 {
		put("duplicate", p.Duplicate)
	}
	if p.Reorder != 0 {
		put("reorder", p.Reorder)
	}
	if p.Late != 0 {
		put("late", p.Late)
	}
	return b.String()[1:]
}

// MarshalText gives String, so that JSON shows the text that people write.
func (p Params) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads what MarshalText gives.
func (p *Params) UnmarshalText(b []byte) (err error) {
	*p, err = Params{}.Apply(string(b))
	return err
}

// Apply changes p as text says: words like delay=18ms, rtt=36ms (a delay of half as much), rate=1gbit,
// queue=4MB, mtu=1400, loss=0.5%, duplicate=1%, reorder=2%, late=3ms, cut and heal, separated by spaces.
// What is not named stays. It is the one grammar of topology files, the control socket, the command line and tests.
func (p Params) Apply(text string) (Params, error) {
	for word := range strings.FieldsSeq(text) {
		name, value, _ := strings.Cut(word, "=")
		var err error
		switch name {
		case "cut", "heal":
			if value != "" {
				err = fmt.Errorf("takes no value")
			}
			p.Cut = name == "cut"
		case "delay":
			p.Delay, err = time.ParseDuration(value)
		case "rtt":
			p.Delay, err = time.ParseDuration(value)
			p.Delay /= 2
		case "late":
			p.Late, err = time.ParseDuration(value)
		case "rate":
			err = p.Rate.UnmarshalText([]byte(value))
		case "queue":
			err = p.Queue.UnmarshalText([]byte(value))
		case "mtu":
			err = p.MTU.UnmarshalText([]byte(value))
		case "loss":
			err = p.Loss.UnmarshalText([]byte(value))
		case "duplicate":
			err = p.Duplicate.UnmarshalText([]byte(value))
		case "reorder":
			err = p.Reorder.UnmarshalText([]byte(value))
		default:
			err = fmt.Errorf("not a property of a link: want delay, rtt, rate, queue, mtu, loss, duplicate, reorder, late, cut or heal")
		}
		if err != nil {
			return p, fmt.Errorf("link setting %q: %w", word, err)
		}
	}
	return p, p.Check()
}
