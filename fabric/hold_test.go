package fabric

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// told says whether the kernel was told of a prefix of b as seen by a.
func (w *world) told(a, b topo.RouterID) bool {
	r := w.routers[a]
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.routes.Prefixes, func(p Reach) bool { return p.Prefix.Contains(netip.MustParseAddr(host4(b))) })
}

// A router whose every link is silent for a moment, as on a machine that is too busy, keeps its routes and
// goes on as soon as anything passes; one that stays away loses them.
func TestRoutesAreHeldForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := triangle(t)
		isolate := func() { w.cut(1, 2); w.cut(1, 3) }
		isolate()
		w.until("all links are down", 5*time.Second, func() bool { return w.reaches(1, 2) == "no" && w.reaches(1, 3) == "no" })
		if !w.told(1, 2) || !w.told(1, 3) {
			t.Error("the routes went with the links")
		}
		w.heal(1, 2)
		if !w.passes(1, 2) {
			t.Error("the way is free and the packet was not sent")
		}
		w.heal(1, 3)
		w.untilMeshed(1, 2, 3)

		isolate()
		w.until("the routes are given up", 2*holdFor, func() bool { return !w.told(1, 2) && !w.told(1, 3) })
		w.heal(1, 2)
		w.heal(1, 3)
		w.untilMeshed(1, 2, 3)
		if !w.told(1, 2) || !w.passes(1, 2) {
			t.Error("the routes did not come back")
		}
	})
}
