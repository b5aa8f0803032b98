package object

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

func mustNow(t *testing.T, c *Clock, wall time.Time) HLC {
	t.Helper()
	h, err := c.Now(wall)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestClockCountsWithinAMillisecond(t *testing.T) {
	var c Clock
	if h := mustNow(t, &c, noon); h != MakeHLC(noon, 0) || !h.Wall().Equal(noon) || h.Counter() != 0 {
		t.Errorf("first time is %v %d", h.Wall(), h.Counter())
	}
	if h := mustNow(t, &c, noon); h != MakeHLC(noon, 1) {
		t.Errorf("second time in a millisecond is %v %d", h.Wall(), h.Counter())
	}
	if h := mustNow(t, &c, noon.Add(-time.Minute)); h != MakeHLC(noon, 2) {
		t.Errorf("after the wall clock went back the time is %v %d", h.Wall(), h.Counter())
	}
	c.Restore(MakeHLC(noon, 0xffff))
	if h := mustNow(t, &c, noon); h != MakeHLC(noon.Add(time.Millisecond), 0) {
		t.Errorf("a full counter carries into the milliseconds, got %v %d", h.Wall(), h.Counter())
	}
}

// A router whose clock was an hour ahead and is set right must not mint until the hour is over, and must
// say why; what it took from others is never refused.
func TestClockRefusesToLead(t *testing.T) {
	var c Clock
	mustNow(t, &c, noon.Add(time.Hour))
	_, err := c.Now(noon)
	if !errors.Is(err, ErrClock) || !strings.Contains(err.Error(), "13:00:00") {
		t.Fatalf("got %v", err)
	}
	if _, err := c.Now(noon.Add(55 * time.Minute)); err != nil {
		t.Errorf("five minutes ahead is allowed: %v", err)
	}
	if _, err := c.Now(noon.Add(55*time.Minute - time.Second)); !errors.Is(err, ErrClock) {
		t.Errorf("more than five minutes ahead is not: %v", err)
	}
}

// A neighbour with a wrong clock stops writes to the keys it wrote, and no others.
func TestClockIsNotDraggedAlong(t *testing.T) {
	var c Clock
	future := MakeHLC(noon.Add(time.Hour), 0)
	if c.Observe(noon, future) {
		t.Error("the clock followed an hour into the future")
	}
	if h := mustNow(t, &c, noon); h != MakeHLC(noon, 0) {
		t.Errorf("other keys are written at %v", h.Wall())
	}
	if _, err := c.NowAfter(noon, future); !errors.Is(err, ErrClock) {
		t.Errorf("the key from the future: %v", err)
	}
	if h, err := c.NowAfter(noon.Add(56*time.Minute), future); err != nil || h != future+1 {
		t.Errorf("once within five minutes it can be replaced: %v, %v", h, err)
	}
	near := MakeHLC(noon.Add(61*time.Minute), 7)
	if !c.Observe(noon.Add(56*time.Minute), near) || mustNow(t, &c, noon.Add(56*time.Minute)) != near+1 {
		t.Error("a time within the lead is followed")
	}
}

func TestClockProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c Clock
		wall, last := noon, HLC(0)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			wall = wall.Add(time.Duration(rapid.IntRange(-2000, 2000).Draw(t, "ms")) * time.Millisecond)
			if rapid.Bool().Draw(t, "observe") {
				h := MakeHLC(wall.Add(time.Duration(rapid.IntRange(-600, 600).Draw(t, "s"))*time.Second), rapid.Uint16().Draw(t, "n"))
				if c.Observe(wall, h) && c.Last() < h {
					t.Fatalf("followed %v but stands at %v", h, c.Last())
				}
				continue
			}
			before := c.Last()
			h, err := c.Now(wall)
			switch {
			case err != nil && before < bound(wall):
				t.Fatalf("refused although at %v, wall %v: %v", before.Wall(), wall, err)
			case err == nil && (h <= last || h <= before || h > bound(wall)):
				t.Fatalf("minted %v after %v, wall %v", h, last, wall)
			}
			last = max(last, h)
		}
	})
}

func TestVersionIDOrder(t *testing.T) {
	a, b, c := VersionID{1, 9}, VersionID{2, 1}, VersionID{2, 2}
	if !a.Less(b) || !b.Less(c) || c.Less(b) || b.Less(b) || (VersionID{}).Less(VersionID{}) || !(VersionID{}).IsZero() || a.IsZero() {
		t.Error("order is time, then origin")
	}
}
