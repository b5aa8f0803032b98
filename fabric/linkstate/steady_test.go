package linkstate

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// feed gives the same figures ten times a second for some time, and says when the first word changed.
func feed(s Steady, from, length time.Duration, l Link) (Steady, time.Duration, int) {
	first, words := time.Duration(-1), 0
	for at := from; at < from+length; at += 100 * time.Millisecond {
		var changed bool
		if s, changed = s.Next(epoch.Add(at), l); changed {
			if words++; first < 0 {
				first = at - from
			}
		}
	}
	return s, first, words
}

func TestSteadySaysInTime(t *testing.T) {
	base := Link{To: 2, RTT: 100 * time.Millisecond, MTU: 1400, RateMbps: 1000, Up: true}
	with := func(change func(*Link)) Link {
		l := base
		change(&l)
		return l
	}
	for name, c := range map[string]struct {
		to       Link
		from, by time.Duration // the word changes in this time; by 0 is never
	}{
		"the same":               {base, 0, 0},
		"within the bands":       {with(func(l *Link) { l.RTT, l.LossPPM, l.RateMbps = 108*time.Millisecond, 4000, 600 }), 0, 0},
		"down":                   {Link{To: 2}, 0, 1},
		"another MTU":            {with(func(l *Link) { l.MTU = 1280 }), 0, 1},
		"another price":          {with(func(l *Link) { l.Price = 5000 }), 0, 1},
		"three times as long":    {with(func(l *Link) { l.RTT = 300 * time.Millisecond }), 500 * time.Millisecond, time.Second},
		"a third longer":         {with(func(l *Link) { l.RTT = 133 * time.Millisecond }), time.Second, 3 * time.Second},
		"late packets":           {with(func(l *Link) { l.RTT95 = 150 * time.Millisecond }), 500 * time.Millisecond, 2 * time.Second},
		"a third shorter":        {with(func(l *Link) { l.RTT = 67 * time.Millisecond }), 3 * time.Second, 5 * time.Second},
		"one of ten lost":        {with(func(l *Link) { l.LossPPM = 100_000 }), 500 * time.Millisecond, time.Second},
		"one of a hundred lost":  {with(func(l *Link) { l.LossPPM = 10_000 }), 5 * time.Second, 8 * time.Second},
		"a quarter of the rate":  {with(func(l *Link) { l.RateMbps = 250 }), 5 * time.Second, 8 * time.Second},
		"four times of the rate": {with(func(l *Link) { l.RateMbps = 4000 }), 3 * time.Second, 5 * time.Second},
	} {
		s, _, _ := feed(Steady{}, 0, 10*time.Second, base)
		s, first, _ := feed(s, 10*time.Second, time.Minute, c.to)
		if c.by == 0 && first >= 0 || c.by > 0 && (first < c.from || first > c.by) {
			t.Errorf("%s: said after %v, want %v to %v", name, first, c.from, c.by)
		}
		if c.by > 0 && !c.to.Up != !s.Said.Up {
			t.Errorf("%s: said %+v", name, s.Said)
		}
	}
}

// TestSteadyLearnsWhomNotToBelieve: good news that is taken back again and again waits twice as long each time,
// and is believed again after calm.
func TestSteadyLearnsWhomNotToBelieve(t *testing.T) {
	good := Link{To: 2, RTT: 100 * time.Millisecond, Up: true}
	bad := Link{To: 2}
	s, _, _ := feed(Steady{}, 0, time.Second, good)
	at := time.Second
	var waits []time.Duration
	for range 9 {
		s, _, _ = feed(s, at, time.Second, bad)
		at += time.Second
		from := at
		for changed := false; !changed; at += 100 * time.Millisecond {
			s, changed = s.Next(epoch.Add(at), good)
		}
		waits = append(waits, (at - from).Round(time.Second))
		s, _, _ = feed(s, at, 10*time.Second, good)
		at += 10 * time.Second
	}
	for i := 1; i < len(waits); i++ {
		if want := min(2*waits[i-1], maxBetterWait); waits[i] != want {
			t.Fatalf("waits %v, want each twice the one before, up to %v", waits, maxBetterWait)
		}
	}
	if s, _, _ = feed(s, at, 6*time.Minute, good); s.Wait != betterWait {
		t.Errorf("after calm good news waits %v", s.Wait)
	}
}

// TestSteadyBounds: whatever is measured, what is said was measured or lies between what was; a link that is
// down is never said to be up, words about one state are never closer than the waits, and Due is honest.
func TestSteadyBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Steady
		var said time.Time
		now := epoch
		lo, hi := time.Duration(1<<62), time.Duration(0)
		for range rapid.IntRange(1, 80).Draw(t, "figures") {
			now = now.Add(time.Duration(rapid.IntRange(1, 3000).Draw(t, "ms")) * time.Millisecond)
			l := Link{To: 2, MTU: 1400, Up: rapid.IntRange(0, 5).Draw(t, "up") > 0}
			if l.Up {
				l.RTT = time.Duration(rapid.IntRange(1, 300).Draw(t, "rtt")) * time.Millisecond
				l.LossPPM = uint32(rapid.SampledFrom([]int{0, 0, 5000, 100_000}).Draw(t, "loss"))
				lo, hi = min(lo, l.RTT), max(hi, l.RTT)
			}
			before := s
			next, changed := s.Next(now, l)
			if s != before {
				t.Fatal("Next changed its receiver")
			}
			s = next
			if s.Said.Up && !l.Up {
				t.Fatalf("says up of %+v", l)
			}
			if s.Said.Up && (s.Said.RTT < lo-time.Microsecond || s.Said.RTT > hi+time.Microsecond) {
				t.Fatalf("says %v, measured %v to %v", s.Said.RTT, lo, hi)
			}
			if due := s.Due(); !due.IsZero() && due.Before(now) {
				t.Fatalf("at %v something was due at %v: %+v", now, due, s)
			}
			if changed && before.Said.Up && l.Up && !said.IsZero() && now.Sub(said) < worseWait && before.Said.MTU == l.MTU {
				t.Fatalf("two words within %v", now.Sub(said))
			}
			if changed {
				said = now
			}
		}
	})
}
