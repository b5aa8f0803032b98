package fabric

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tun"
	"github.com/galleon-net/galleon/fabric/underlay"
	"github.com/galleon-net/galleon/fabric/wire"
)

// batch is how many packets, super-packets and runs among them, one round of the data path handles.
const batch = underlay.MaxBatch

// socket is what the data path needs of the underlay.
type socket interface {
	ReadBatch(reader int, p []underlay.Packet) (int, error)
	WriteBatch([]underlay.Packet) error
	InjectQUIC(b []byte, from netip.AddrPort)
}

// forwarder is the data path. Few goroutines run it, each from one system call to the next without a queue
// in between:
//
//	ingress   TUN ─► source ours? ─► fib: egress ─► size? ─► cut, seal for the egress ─► tag if relayed ─► socket
//	receive   socket ─► parse ─┬─► for us: open ─► source granted? ─► destination ours? ─► join ─► TUN
//	                           └─► for another: tag good? ─► hop limit ─► next hop ─► tag ─► socket
//
// Packets come in super-packets from the TUN and in runs from the socket, and leave so; what is the same for
// all of one is looked up once. The octets of a packet are touched by its cipher, and by nothing else.
//
// What does not pass is dropped and counted under one reason.
type forwarder struct {
	socket socket
	device tun.Device
	view   atomic.Pointer[view]
	drops  [reasons]atomic.Uint64
	relays traffic

	// What the loop is told. None of these blocks: what a busy loop misses comes again.
	probes    chan heardProbe
	confirmed func(peer topo.RouterID, epoch uint16)
	stranded  func(peer topo.RouterID) // it seals with keys that we do not have
	spoofed   func(peer topo.RouterID, src netip.Addr, packets uint64)
	tooBig    func(addr netip.AddrPort, octets int)
}

// heardProbe is a probe that opened.
type heardProbe struct {
	peer topo.RouterID
	from netip.AddrPort
	at   time.Time
	size int   // of the datagram, octets
	lane uint8 // by which it came
	body wire.ProbeBody
}

// reason is why a packet was dropped.
type reason uint8

const (
	dropMalformed reason = iota
	dropLocal
	dropSource
	dropNoRoute
	dropNoLink
	dropNoKey
	dropTooBig
	dropUnknown
	dropNoTag
	dropHopLimit
	dropAuth
	dropReplay
	dropSpoofed
	dropNotOurs
	dropDevice
	dropMarked
	reasons
)

// reasonNames are the keys of Status.Drops.
var reasonNames = [reasons]string{
	dropMalformed: "malformed",
	dropLocal:     "link-local",           // from the TUN: what an interface says to its own wire
	dropSource:    "source-not-ours",      // from the TUN, with a source that this router has no grant for
	dropNoRoute:   "no-route",             // no router announces the destination
	dropNoLink:    "no-usable-link",       // next hop and backup are both down
	dropNoKey:     "no-keys",              // no session with the egress yet, or an epoch that is gone
	dropTooBig:    "too-big",              // answered with an ICMP message
	dropUnknown:   "unknown-router",       // source not in the catalog, or revoked
	dropNoTag:     "no-link-tag",          // to be relayed, but not for a neighbour
	dropHopLimit:  "hop-limit",            //
	dropAuth:      "not-authentic",        //
	dropReplay:    "replayed",             //
	dropSpoofed:   "source-refused",       // sealed by a router that was not granted the inner source
	dropNotOurs:   "destination-not-ours", //
	dropDevice:    "device-refused",       // the kernel did not take it
	dropMarked:    "congestion-mark",      // marked on the way, and its ends do not know the mark (RFC 6040)
}

func (f *forwarder) drop(r reason) { f.drops[r].Add(1) }

func (f *forwarder) dropN(r reason, n int) { f.drops[r].Add(uint64(n)) }

// send writes a batch. The sizes that the interface refuses are news for the link; other errors are lost
// packets, which the probes will judge.
func (f *forwarder) send(p []underlay.Packet) {
	if len(p) == 0 {
		return
	}
	if err := f.socket.WriteBatch(p); err != nil {
		f.unsent(err)
	}
}

// unsent looks at what could not be sent.
func (f *forwarder) unsent(err error) {
	for _, e := range underlay.SendErrors(err) {
		if errors.Is(e, underlay.ErrTooBig) {
			f.dropN(dropTooBig, e.Packets)
			f.tooBig(e.Addr, e.Size)
		}
	}
}

// deliver writes packets to the TUN.
func (f *forwarder) deliver(pkts []tun.Packet) error {
	if len(pkts) == 0 {
		return nil
	}
	n, err := f.device.WriteBatch(pkts)
	if n < len(pkts) {
		f.dropN(dropDevice, len(pkts)-n)
	}
	if err != nil && gone(err) {
		return fmt.Errorf("write to %s: %w", f.device.Name(), err)
	}
	return nil
}

// ended turns the errors of a device or socket that was closed because we stop into nil.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// pauseFor is how long a reader waits after an error that may pass, so that one which does not cannot
// take a core.
const pauseFor = 10 * time.Millisecond

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(pauseFor):
	}
}
