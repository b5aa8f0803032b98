package world

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/netcfg/plan"
)

// Send has the host of one site send a packet to the host of another, and says how long it took. Zero is
// for a packet that did not come within three seconds.
func (w *World) Send(from, to *Site) time.Duration {
	w.seen.mu.Lock()
	w.seen.ports++
	payload := fmt.Sprintf("%s %s to %s number %d", marker, from.Zone, to.Zone, w.seen.ports)
	w.seen.mu.Unlock()
	if from.forward == nil || to.forward == nil {
		return 0
	}
	pkt := datagram(netip.AddrPortFrom(from.Host, 4242), netip.AddrPortFrom(to.Host, 4242), []byte(payload))
	began := time.Now()
	if !from.TUN.Inject(pkt) {
		return 0
	}
	patience := time.NewTimer(3 * time.Second)
	defer patience.Stop()
	for {
		select {
		case got := <-to.inbox:
			if bytes.HasSuffix(got, []byte(payload)) {
				return max(time.Since(began), time.Nanosecond)
			}
		case <-patience.C:
			return 0
		}
	}
}

// Connected waits until packets pass between every two of the zones, in both directions, and every kernel
// has the routes for it.
func (w *World) Connected(zones ...topo.Zone) {
	w.T.Helper()
	for _, a := range zones {
		for _, b := range zones {
			if a == b {
				continue
			}
			from, to := w.Site(a), w.Site(b)
			w.Until(minute, fmt.Sprintf("the kernel of %s has a route to %s", a, to.Prefix), func() bool { return from.Routed(to.Prefix) })
			w.Until(minute, fmt.Sprintf("a packet from %s arrives in %s", a, b), func() bool { return w.Send(from, to) > 0 })
		}
	}
}

// Routed says whether the site's kernel leads a prefix into the overlay.
func (s *Site) Routed(p topo.SegPrefix) bool {
	for _, r := range s.Kernel.Snapshot().Routes {
		if r.Prefix == p.Prefix && r.Kind == plan.Unicast && r.Protocol == s.conf.Fabric.Protocol {
			return true
		}
	}
	return false
}
