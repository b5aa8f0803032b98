package object

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// MaxClockLead is how far ahead of the wall clock a version may be minted. A clock that is further ahead
// would win every write for as long as it is, so it mints nothing and says so.
const MaxClockLead = 5 * time.Minute

// ErrClock says that a version time cannot be minted now; the text says by how much the clock is off.
var ErrClock = errors.New("hybrid clock is too far ahead of the wall clock")

const hlcCounterBits = 16

// MakeHLC puts a wall time and a counter together. Times before 1970 and counters are cut to their range.
func MakeHLC(wall time.Time, counter uint16) HLC {
	return HLC(uint64(max(wall.UnixMilli(), 0))<<hlcCounterBits | uint64(counter))
}

// Counter gives the logical part.
func (h HLC) Counter() uint16 { return uint16(h) }

// Clock is a hybrid logical clock (Kulkarni et al., "Logical Physical Clocks", 2014, figure 5): it never
// goes back, it stays within MaxClockLead of the wall clock, and what it mints is after everything that
// it has observed. The wall time is handed in. The zero value is ready; it is safe for concurrent use.
//
// A replicated version is never refused for its time (a store that did would be out of step for ever), but
// one from too far in the future does not drag the clock along either: else one router with a wrong clock
// would stop every other from minting. Only writes to the key that it holds are refused, by NowAfter.
type Clock struct {
	mu   sync.Mutex
	last HLC // greatest time minted or followed
}

// Now mints a time after every one that was minted or followed before.
func (c *Clock) Now(wall time.Time) (HLC, error) { return c.NowAfter(wall, 0) }

// NowAfter is Now, and also after floor: the time of the version that a write replaces, which the clock
// may have declined to follow. It fails with ErrClock, and mints nothing, where that lies more than
// MaxClockLead ahead of wall.
func (c *Clock) NowAfter(wall time.Time, floor HLC) (HLC, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// Adding 1 carries from the counter into the milliseconds: 65,536 mints in a millisecond run
	// the clock one millisecond ahead, which the paper allows and MaxClockLead bounds.
	next := max(MakeHLC(wall, 0), c.last+1, floor+1)
	if next > bound(wall) {
		return 0, fmt.Errorf("%w: it stands at %s, the wall clock at %s; at most %s is allowed: set this router's clock, "+
			"or find the router that wrote with a wrong one", ErrClock, next.Wall().Format(time.RFC3339), wall.UTC().Format(time.RFC3339), MaxClockLead)
	}
	c.last = next
	return next, nil
}

// Observe follows a time that came from elsewhere, unless it is more than MaxClockLead ahead of wall;
// it reports whether the clock is at or past h now.
func (c *Clock) Observe(wall time.Time, h HLC) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h > bound(wall) {
		return h <= c.last
	}
	c.last = max(c.last, h)
	return true
}

// bound is the last time that may be minted or followed at wall.
func bound(wall time.Time) HLC { return MakeHLC(wall.Add(MaxClockLead), 0xffff) }

// Restore moves a fresh clock past the last time that this router minted before it restarted, however far
// ahead that is: a time must never be minted twice.
func (c *Clock) Restore(last HLC) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last, last)
}

// Last gives the greatest time minted or followed.
func (c *Clock) Last() HLC {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.last
}

// Less orders version identities: by time, then by origin. The greatest of a key is its latest version.
func (v VersionID) Less(w VersionID) bool {
	if v.Time != w.Time {
		return v.Time < w.Time
	}
	return v.Origin < w.Origin
}

// IsZero says that no version is meant: the latest, or one still to be minted.
func (v VersionID) IsZero() bool { return v == VersionID{} }
