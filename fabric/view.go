package fabric

import (
	"net/netip"
	"sync/atomic"

	"github.com/galleon-net/galleon/fabric/fib"
	"github.com/galleon-net/galleon/fabric/seal"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/wire"
)

// view is all that a packet needs to find its way. The loop makes a new one when anything in it changes
// and swaps it whole; the data path loads it once for a batch.
type view struct {
	self   topo.RouterID
	mtu    int // of the fabric
	table  *fib.Table
	faces  map[topo.RouterID]*face    // routers that the catalog knows and has not revoked, without self
	byAddr map[netip.AddrPort]*face   // neighbours by the addresses that their packets come from, one for each lane
	mine   *fib.Table                 // what self may send from
	icmp   map[topo.SegmentID]icmpSrc // addresses that too-big messages come from
}

// face is the side of a peer that the data path sees. The loop writes the atomics, packets read them.
type face struct {
	id      topo.RouterID
	ring    *seal.Keyring
	sources atomic.Pointer[fib.Table] // what the peer may send from
	addr    atomic.Pointer[netip.AddrPort]
	lanes   laneMap // see lane

	// usable says that the direct link carries. It is cleared in the moment of the verdict, so the next
	// packet already takes the backup; the routes follow later.
	usable atomic.Bool

	// partial says that the peer delivers packets whose checksum is partial (wire.FeaturePartial).
	partial atomic.Bool

	// offered is an epoch that waits for the peer's confirmation, with bit 16 set, or 0. A packet of
	// that epoch that opens is one.
	offered atomic.Uint32

	// stranded says that the loop was told of packets without keys. The loop clears it, so that a flood
	// of them costs one message for each round of its tending.
	stranded atomic.Bool

	out, in traffic // sealed for the peer, opened from it: end to end
	link    struct {
		out [wire.MaxLanes]traffic
		in  traffic
	}
	spoofed atomic.Uint64
}

// traffic counts packets and their octets.
type traffic struct{ packets, octets atomic.Uint64 }

func (t *traffic) add(octets int) { t.addN(1, octets) }

// addN counts n packets of octets in all.
func (t *traffic) addN(n, octets int) {
	t.packets.Add(uint64(n))
	t.octets.Add(uint64(octets))
}

func (f *face) offer(epoch uint16) { f.offered.Store(uint32(epoch) | 1<<16) }

// confirms says, once, that an authentic packet of epoch was the confirmation waited for.
func (f *face) confirms(epoch uint16) bool {
	want := uint32(epoch) | 1<<16
	return f.offered.Load() == want && f.offered.CompareAndSwap(want, 0)
}

// toward finds the neighbour that a packet for dest goes to: the next hop, or, while the link to that
// one is down, the backup. It never answers with the router that the packet came from.
func (v *view) toward(dest, from topo.RouterID) (next *face, mtu int) {
	h, ok := v.table.Hop(dest)
	if !ok {
		return nil, 0
	}
	if f := v.faces[h.Next]; f != nil && h.Next != from && f.usable.Load() {
		return f, h.MTU
	}
	if f := v.faces[h.Backup]; f != nil && h.Backup != from && f.usable.Load() {
		return f, h.MTU
	}
	return nil, 0
}

// lastResort is the direct link to dest, though it is thought to be down: for our own packets that would else
// be lost for certain.
func (v *view) lastResort(dest topo.RouterID) (next *face, mtu int) {
	h, ok := v.table.Hop(dest)
	if f := v.faces[dest]; ok && f != nil && f.addr.Load() != nil {
		return f, h.MTU
	}
	return nil, 0
}
