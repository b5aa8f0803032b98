package underlay

import (
	"sync"
	"time"
)

// deadline is a channel that is closed while a point in time lies behind. Use newDeadline.
type deadline struct {
	mu    sync.Mutex
	past  chan struct{} // closed when the deadline is over
	timer *time.Timer   // nil, or will close past
}

func newDeadline() deadline { return deadline{past: make(chan struct{})} }

// wait returns the channel of the deadline in force.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.past
}

// set changes the deadline; the zero time means never. Whoever waits on the channel of an earlier,
// still open deadline is woken, so that it looks at the new one.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	old := d.past
	d.past = make(chan struct{})
	closeOnce(old)
	switch wait := time.Until(t); {
	case t.IsZero():
	case wait <= 0:
		close(d.past)
	default:
		past := d.past // the timer must not close a later deadline's channel
		d.timer = time.AfterFunc(wait, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			closeOnce(past)
		})
	}
}

// closeOnce closes c unless it is; d.mu must be held.
func closeOnce(c chan struct{}) {
	select {
	case <-c:
	default:
		close(c)
	}
}
