package world

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/netcfg/plan"
)

// datagram is an IPv4 packet with a UDP datagram in it.
func datagram(from, to netip.Addr, payload string) []byte {
	const ip, udp = 20, 8
	p := make([]byte, ip+udp+len(payload))
	p[0], p[8], p[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[12:], from.AsSlice())
	copy(p[16:], to.AsSlice())
	var sum uint32
	for i := 0; i < ip; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum))
	binary.BigEndian.PutUint16(p[ip:], 4242)
	binary.BigEndian.PutUint16(p[ip+2:], 4242)
	binary.BigEndian.PutUint16(p[ip+4:], uint16(udp+len(payload)))
	copy(p[ip+udp:], payload)
	return p
}

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
	pkt := datagram(from.Host, to.Host, payload)
	began := time.Now()
	if !from.TUN.Inject(pkt) {
		return 0
	}
	patience := time.NewTimer(3 * time.Second)
	defer patience.Stop()
	for {
		select {
		case got := <-to.TUN.Delivered():
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
