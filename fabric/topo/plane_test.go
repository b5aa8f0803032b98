package topo

import "testing"

func TestPlanesAreNumberedOnce(t *testing.T) {
	seen := make([]bool, Planes)
	for a := range MaxAvoid + 1 {
		for c := range ClassBulk + 1 {
			i := Plane{c, a}.Index()
			if seen[i] || a == 0 && i > int(ClassBulk) {
				t.Fatalf("class %d, avoid %d: index %d", c, a, i)
			}
			seen[i] = true
		}
	}
	for p, want := range map[Plane]string{{Class: ClassBulk}: "bulk", {ClassControl, 2}: "control avoiding set 2"} {
		if got := p.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
