package fabric

import (
	"time"

	"github.com/galleon-net/galleon/fabric/route"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/wire"
)

// SafeMTU is the IP packet, in octets, that a way is trusted with while a link of it was never measured:
// with everything round it, it fits an underlay of 1,500 octets, also over IPv6.
const SafeMTU = 1400

// shortMTU is the IP packet under which a link costs more than its delay: what usual underlays leave where
// the provider has a tunnel of its own in between (PPPoE, GRE). That another link takes jumbo frames makes
// none of those short.
const shortMTU = 1380

// riseAfter is how long a way must have carried more before more is asked of it. A way that carries less
// is believed at once, since what is too large is lost meanwhile; one that carries more can wait, and a
// path that goes to and fro between two ways costs the kernel one change and not one each time.
const riseAfter = 2 * time.Second

// wayMTU is what the way to one router is said to carry.
type wayMTU struct {
	told  int       // octets of an IP packet
	rise  int       // the least above told since that was passed; 0 while it is not
	since time.Time // when that was
}

// see takes what the way carries now.
func (w *wayMTU) see(now time.Time, mtu int) {
	switch {
	case w.told == 0 || mtu <= w.told:
		w.told, w.rise = mtu, 0
	case w.rise == 0:
		w.rise, w.since = mtu, now
	default:
		w.rise = min(w.rise, mtu)
	}
	if w.rise > 0 && now.Sub(w.since) >= riseAfter {
		w.told, w.rise = w.rise, 0
		if mtu > w.told {
			w.rise, w.since = mtu, now
		}
	}
}

// due is when the way's MTU is to be seen again, zero for not before there is news.
func (w *wayMTU) due() time.Time {
	if w.rise == 0 {
		return time.Time{}
	}
	return w.since.Add(riseAfter)
}

// carries is the IP packet that passes whatever happens to the way: its backup must carry it, too, or the
// data path could not switch without a word.
func (m *Mesh) carries(h route.Hop) int {
	mtu := m.innerMTU(h.MTU)
	if h.Backup != 0 {
		mtu = min(mtu, m.innerMTU(h.BackupMTU))
	}
	return mtu
}

// innerMTU is the IP packet that fits a way whose datagrams may have the given size, 0 for not known.
func (m *Mesh) innerMTU(datagram int) int {
	if datagram == 0 {
		return min(SafeMTU, m.conf.FabricMTU)
	}
	return max(min(datagram-wire.Overhead, m.conf.FabricMTU), wire.MinMTU)
}

// wayTo takes what the computed way to a router carries, and gives what is said of it.
func (m *Mesh) wayTo(now time.Time, id topo.RouterID, h route.Hop) int {
	w := m.ways[id]
	if w == nil {
		w = &wayMTU{}
		m.ways[id] = w
	}
	w.see(now, m.carries(h))
	m.wake(w.due())
	return w.told
}

// heldMTU is what is said of a way that is held though it can no longer be computed.
func (m *Mesh) heldMTU(id topo.RouterID) int {
	if w := m.ways[id]; w != nil {
		return w.told
	}
	return m.innerMTU(0)
}
