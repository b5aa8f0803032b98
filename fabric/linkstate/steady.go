package linkstate

import (
	"fmt"
	"time"
)

// How restless figures are calmed before all routers compute with them. Smoothing takes out what lasts less
// than a few seconds, the bands keep what is said until the truth is far from it, and the waits see whether
// that lasts.
const (
	// smoothFor is the time in which a figure that jumps has gone two thirds of the way.
	smoothFor = 2 * time.Second

	// worseWait is how long a figure must be worse before that is said, doubtWait how long when it is worse by
	// less than two bands, and betterWait how long it must be better. Bad news is urgent, good news can be wrong.
	worseWait  = 500 * time.Millisecond
	doubtWait  = 5 * time.Second
	betterWait = 3 * time.Second

	// maxBetterWait bounds the wait for good news, which doubles each time good news was followed by bad within
	// calmAfter: a link that is good every other minute is a bad link.
	maxBetterWait = 5 * time.Minute
	calmAfter     = 5 * time.Minute

	// alarm is how many times the band a figure must be worse for that to be said without smoothing: a cable was
	// cut, and the packets go round the other way.
	alarm = 5
)

// Steady decides what a router says of one direction of a link, so that routes do not flap with the figures.
// All routers compute from what is said, so calming it here calms all of them alike, and their ways still
// fit together: were each to hold on to its own ways instead, two could hold on to each other.
//
//	   within the bands        a band worse for 5 s, two for 0.5 s
//	┌──────────────────────┐  ┌──────────────────────────────────────────┐
//	│                      ▼  │                                          ▼
//	└──────────────── what is said                            what is said from now on
//	                          │                                          ▲
//	                          └──────────────────────────────────────────┘
//	                           a band better for 3 s, doubled by each relapse
//
// Down is said at once, and so is an MTU or a price; Up is good news. The zero value has said nothing. A Steady
// is a value: Next gives the next one and leaves its receiver as it is.
type Steady struct {
	Said   Link      // what the record should say
	Smooth Link      // the figures, smoothed
	At     time.Time // of the last figures; zero before the first

	Worse  time.Time     // since when the smoothed figures have been worse than what is said; zero when they are not
	Alarm  time.Time     // since when the figures themselves have been worse by many bands
	Better time.Time     // since when they have been better
	Good   time.Time     // when good news was said last, and not taken back since
	Unrest time.Time     // when something was said last, or would have been had it lasted
	Wait   time.Duration // how long good news waits now
	Since  time.Time     // when Said became what it is
	Why    string        // for people
}

// Next takes the figures of a link at a time, and says whether what the record should say has changed.
func (s Steady) Next(now time.Time, l Link) (next Steady, changed bool) {
	if s.At.IsZero() || l.To != s.Said.To {
		return Steady{Said: l, Smooth: l, At: now, Since: now, Wait: betterWait, Why: "the first figures"}, true
	}
	s.Smooth = s.smooth(now, l)
	s.At = now
	switch {
	case s.Said.Up && !l.Up:
		return s.say(now, l, false, "down"), true
	case !s.Said.Up && !l.Up:
		if !s.Better.IsZero() {
			s.Unrest = now
		}
		changed = s.Said != l
		s.Smooth, s.Said = l, l
		s.Better, s.Worse, s.Alarm = time.Time{}, time.Time{}, time.Time{}
		return s, changed
	}
	if l.MTU != s.Said.MTU || l.Price != s.Said.Price {
		s.Said.MTU, s.Said.Price = l.MTU, l.Price
		s.Since, s.Why, changed = now, "MTU or price", true
	}
	worse, why := worseBy(s.Said, s.Smooth)
	sudden, suddenWhy := worseBy(s.Said, l)
	better, betterWhy := worseBy(s.Smooth, s.Said)
	if !s.Said.Up {
		worse, sudden, better, betterWhy = 0, 0, 1, "up"
	}
	if now.Sub(s.Unrest) >= calmAfter {
		s.Wait = betterWait
	}
	if !s.Better.IsZero() || !s.Worse.IsZero() {
		s.Unrest = now
	}
	s.Worse, s.Better = begin(s.Worse, now, worse >= 1), begin(s.Better, now, better >= 1 && worse < 1)
	s.Alarm = begin(s.Alarm, now, sudden >= alarm)
	switch {
	case !s.Alarm.IsZero() && now.Sub(s.Alarm) >= worseWait:
		s.Smooth = l
		return s.say(now, l, false, suddenWhy), true
	case worse >= 2 && now.Sub(s.Worse) >= worseWait, worse >= 1 && now.Sub(s.Worse) >= doubtWait:
		return s.say(now, s.Smooth, false, why), true
	case !s.Better.IsZero() && now.Sub(s.Better) >= s.Wait:
		return s.say(now, s.Smooth, true, betterWhy), true
	}
	return s, changed
}

// begin is since when something has been so.
func begin(since, now time.Time, so bool) time.Time {
	switch {
	case !so:
		return time.Time{}
	case since.IsZero():
		return now
	}
	return since
}

// say makes figures what is said.
func (s Steady) say(now time.Time, l Link, good bool, why string) Steady {
	if good {
		s.Good = now
	} else if !s.Good.IsZero() && now.Sub(s.Good) < calmAfter {
		s.Wait = min(2*s.Wait, maxBetterWait)
		s.Good = time.Time{} // one relapse for each good news
	}
	s.Said, s.Since, s.Unrest, s.Why = l, now, now, why
	s.Better, s.Worse, s.Alarm = time.Time{}, time.Time{}, time.Time{}
	return s
}

// smooth moves the smoothed figures toward the newest, by as much as time has passed.
func (s Steady) smooth(now time.Time, l Link) Link {
	if !s.Smooth.Up || !l.Up {
		return l
	}
	dt := max(now.Sub(s.At), 0)
	share := float64(dt) / float64(dt+smoothFor) // e^x is 1+x nearly, and never less
	toward := func(old, new float64) float64 { return old + (new-old)*share }
	out := l
	out.RTT = time.Duration(toward(float64(s.Smooth.RTT), float64(l.RTT))).Round(time.Microsecond)
	out.RTT95 = time.Duration(toward(float64(s.Smooth.RTT95), float64(l.RTT95))).Round(time.Microsecond)
	out.LossPPM = uint32(toward(float64(s.Smooth.LossPPM), float64(l.LossPPM)))
	out.RateMbps = uint32(toward(float64(s.Smooth.RateMbps), float64(l.RateMbps)))
	return out
}

// worseBy is by how many bands b is worse than a, in the figure where that is most, and which that is. A band
// is a tenth of a round trip and at least 2 ms, half of a loss and at least 0.5 %, half of a rate.
func worseBy(a, b Link) (bands float64, why string) {
	take := func(by, band float64, what string) {
		if by/band > bands {
			bands, why = by/band, what
		}
	}
	for _, r := range []struct {
		a, b time.Duration
		what string
	}{{a.RTT, b.RTT, "round trip"}, {a.RTT95, b.RTT95, "round trip of 95 in 100"}} {
		band := max(significantRTT, max(r.a, r.b)/significantPart)
		take(float64(r.b-r.a), float64(band), r.what)
	}
	take(float64(b.LossPPM)-float64(a.LossPPM), max(significantLoss, float64(max(a.LossPPM, b.LossPPM))/2), "loss")
	if a.RateMbps > 0 {
		take(float64(a.RateMbps)-float64(b.RateMbps), float64(a.RateMbps)/2, "rate")
	}
	return bands, why
}

// Due is when Next should be asked even if the figures stay as they are; zero is never.
func (s Steady) Due() time.Time {
	switch {
	case !s.Alarm.IsZero():
		return s.Alarm.Add(worseWait)
	case !s.Worse.IsZero():
		if wait := s.Worse.Add(worseWait); s.At.Before(wait) {
			return wait
		}
		return s.Worse.Add(doubtWait)
	case !s.Better.IsZero():
		return s.Better.Add(s.Wait)
	}
	return time.Time{}
}

// String tells what waits to be said, for people.
func (s Steady) String() string {
	what := fmt.Sprintf("said %s", describe(s.Said))
	switch {
	case !s.Worse.IsZero():
		return fmt.Sprintf("%s; worse since %s: %s", what, s.Worse.Format(time.TimeOnly), describe(s.Smooth))
	case !s.Better.IsZero():
		return fmt.Sprintf("%s; better since %s, to be said after %v: %s", what, s.Better.Format(time.TimeOnly), s.Wait, describe(s.Smooth))
	}
	return what
}

func describe(l Link) string {
	if !l.Up {
		return "down"
	}
	return fmt.Sprintf("rtt %v loss %d", l.RTT.Round(100*time.Microsecond), l.LossPPM)
}
