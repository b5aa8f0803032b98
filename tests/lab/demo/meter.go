package main

import (
	"fmt"
	"strings"
	"time"
)

// meter turns counts that grow into a line that says how far it is, how fast and how long still. The clock is handed in.
type meter struct {
	what  string // like "uploaded"
	unit  string // of items, like "files"; empty when bytes alone are counted
	items int64  // in total
	bytes int64  // in total

	samples []sample // of the last rateWindow, oldest first
	moved   time.Time
}

type sample struct {
	at           time.Time
	items, bytes int64
}

// rateWindow is over how long the speed is taken: long enough to be steady, short enough to notice a stall.
const rateWindow = 5 * time.Second

// observe notes how far it is now.
func (m *meter) observe(now time.Time, items, bytes int64) {
	s := sample{now, items, bytes}
	if n := len(m.samples); n == 0 || m.samples[n-1].items != items || m.samples[n-1].bytes != bytes {
		m.moved = now
	}
	m.samples = append(m.samples, s)
	for len(m.samples) > 2 && now.Sub(m.samples[1].at) >= rateWindow {
		m.samples = m.samples[1:]
	}
}

// stalled is for how long nothing has moved.
func (m *meter) stalled(now time.Time) time.Duration {
	if m.moved.IsZero() {
		return 0
	}
	return now.Sub(m.moved)
}

// rates are bytes and items per second over the window.
func (m *meter) rates() (bytes, items float64) {
	if len(m.samples) < 2 {
		return 0, 0
	}
	first, last := m.samples[0], m.samples[len(m.samples)-1]
	seconds := last.at.Sub(first.at).Seconds()
	if seconds <= 0 {
		return 0, 0
	}
	return float64(last.bytes-first.bytes) / seconds, float64(last.items-first.items) / seconds
}

// left estimates the time to the end: the longer of what the bytes and the items need at their speed. ok is false
// when nothing moves, so that nothing can be said.
func (m *meter) left() (d time.Duration, ok bool) {
	if len(m.samples) == 0 {
		return 0, false
	}
	last := m.samples[len(m.samples)-1]
	bytesRate, itemsRate := m.rates()
	var seconds float64
	for _, x := range []struct {
		todo int64
		rate float64
	}{{m.bytes - last.bytes, bytesRate}, {m.items - last.items, itemsRate}} {
		if x.todo <= 0 {
			continue
		}
		if x.rate <= 0 {
			return 0, false
		}
		seconds = max(seconds, float64(x.todo)/x.rate)
	}
	return time.Duration(seconds * float64(time.Second)), true
}

// String is the line.
func (m *meter) String() string {
	var last sample
	if len(m.samples) > 0 {
		last = m.samples[len(m.samples)-1]
	}
	var b strings.Builder
	b.WriteString(m.what)
	if m.unit != "" {
		fmt.Fprintf(&b, " %s of %s %s,", thousands(last.items), thousands(m.items), m.unit)
	}
	fmt.Fprintf(&b, " %s of %s", size(last.bytes), size(m.bytes))
	if m.bytes > 0 {
		fmt.Fprintf(&b, "  %d %%", last.bytes*100/m.bytes)
	}
	if rate, _ := m.rates(); len(m.samples) > 1 {
		fmt.Fprintf(&b, "  %s/s", size(int64(rate)))
	}
	if left, ok := m.left(); ok {
		fmt.Fprintf(&b, "  %s left", short(left))
	}
	return b.String()
}

// size is bytes as people read them.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	v, i := float64(n), 0
	for v >= 1024 && i < len(units)-1 {
		v /= 1024
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[i])
}

// thousands groups digits, as in 11,478.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// objects counts them in words.
func objects(n int64) string {
	if n == 1 {
		return "1 object"
	}
	return thousands(n) + " objects"
}

// short is a duration to the second, at least one.
func short(d time.Duration) string {
	s := int64((d + time.Second - 1) / time.Second)
	if s < 60 {
		return fmt.Sprintf("%d s", max(1, s))
	}
	return fmt.Sprintf("%d min %02d s", s/60, s%60)
}

// millis is a duration as milliseconds with a decimal.
func millis(d time.Duration) string { return fmt.Sprintf("%.1f ms", ms(d)) }

// ms is a duration in milliseconds, rounded to a tenth.
func ms(d time.Duration) float64 {
	return float64(d.Round(100*time.Microsecond)) / float64(time.Millisecond)
}

// seconds is a duration in seconds, rounded to a tenth.
func seconds(d time.Duration) float64 {
	return float64(d.Round(100*time.Millisecond)) / float64(time.Second)
}
