package object

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/galleon-net/galleon/fabric/topo"
)

func drawChange(t *rapid.T) Change {
	n := rapid.IntRange(0, 5).Draw(t, "at")
	if n == 0 {
		return Change{}
	}
	return Change{VersionID{HLC(n), topo.RouterID(n)}, topo.Region([]string{"", "a", "b", "c", "d", "e"}[n])}
}

// drawAttributes makes attributes whose values follow from their changes, as those of one version do.
func drawAttributes(t *rapid.T) Attributes {
	a := Attributes{TagsAt: drawChange(t), HoldAt: drawChange(t), RetentionAt: drawChange(t)}
	if n := int(a.TagsAt.Time); n > 0 {
		a.Tags = []Tag{{"n", string(rune('0' + n))}}
	}
	a.Hold = a.HoldAt.Time%2 == 1
	if n := int(a.RetentionAt.Time); n > 0 {
		a.Retention = Retention{Mode: []Mode{Governance, Compliance}[n%2], Until: time.Unix(int64(n*7%5), 0)}
	}
	return a
}

// TestMerge: regions that learn of the same changes end the same, in whatever order and however often they
// learn of them, and no compliance retention is ever lost.
func TestMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := drawAttributes(t), drawAttributes(t), drawAttributes(t)
		if x, y := a.Merge(b), b.Merge(a); !x.Equal(y) {
			t.Fatalf("not commutative: %+v, %+v", x, y)
		}
		if x, y := a.Merge(b).Merge(c), a.Merge(b.Merge(c)); !x.Equal(y) {
			t.Fatalf("not associative: %+v, %+v", x, y)
		}
		m := a.Merge(b)
		if x := m.Merge(b).Merge(a); !x.Equal(m) {
			t.Fatalf("not idempotent: %+v, %+v", x, m)
		}
		for _, one := range []Attributes{a, b} {
			if one.Retention.Mode == Compliance && (m.Retention.Mode != Compliance || m.Retention.Until.Before(one.Retention.Until)) {
				t.Fatalf("%+v and %+v make %+v", a.Retention, b.Retention, m.Retention)
			}
		}
	})
}

func TestProtected(t *testing.T) {
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		a               Attributes
		plain, bypassed bool
	}{
		{Attributes{}, false, false},
		{Attributes{Hold: true}, true, true},
		{Attributes{Retention: Retention{Governance, now.Add(1)}}, true, false},
		{Attributes{Retention: Retention{Compliance, now.Add(1)}}, true, true},
		{Attributes{Retention: Retention{Compliance, now}}, false, false},
		{Attributes{Retention: Retention{Governance, now}, Hold: true}, true, true},
	} {
		if p, b := c.a.Protected(now, false), c.a.Protected(now, true); p != c.plain || b != c.bypassed {
			t.Errorf("%+v: %v and %v, want %v and %v", c.a, p, b, c.plain, c.bypassed)
		}
	}
}
