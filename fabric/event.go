package fabric

import (
	"log/slog"
	"net/netip"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Event is something that happened in the mesh, or in the tunnel below it (tunnel.Event, for what the mesh has
// no event of its own for). Events come from several goroutines: who receives them must not block and must
// not call the Mesh.
type Event interface {
	Name() string
	slog.LogValuer
}

// SessionUp is a pair session that is ready: keys agreed, control stream open.
type SessionUp struct {
	Peer    topo.RouterID
	Carried bool           // through relays
	Dialed  bool           // by this router
	Addr    netip.AddrPort // of the peer; not valid when carried
	Epoch   uint16         // of the keys that it made
}

// SessionDown is a pair session that ended. The keys that it made stay until replaced.
type SessionDown struct {
	Peer    topo.RouterID
	Carried bool
	Epoch   uint16
	Why     string
}

// DialFailed is an attempt that gave no session.
type DialFailed struct {
	Peer    topo.RouterID
	Carried bool
	Addr    netip.AddrPort
	Err     error
	Retry   time.Duration // until the next attempt
}

// LinkChanged is a new verdict on a direct link.
type LinkChanged struct {
	Peer     topo.RouterID
	From, To string
	Why      string
	RTT      time.Duration
}

// LaneLeft is a source port of ours toward a peer that is not used any more: its flows take the others.
type LaneLeft struct {
	Peer topo.RouterID
	Lane int
	Why  string
}

// LaneBack is one that is used again.
type LaneBack struct {
	Peer topo.RouterID
	Lane int
	Why  string
}

// LinkMTU is a new verdict on how large a datagram to the peer may be.
type LinkMTU struct {
	Peer topo.RouterID
	MTU  int // octets of UDP payload
	Why  string
}

// LinkMoved is a peer whose probes come from another address than before (a NAT that forgot).
type LinkMoved struct {
	Peer     topo.RouterID
	From, To netip.AddrPort
}

// RoutesChanged is a new forwarding table.
type RoutesChanged struct {
	Reachable int // routers
	Relayed   int // of those, reached through others
	Prefixes  int // remote prefixes
}

// Rerouted is a router that is reached another way than before. The data path may have switched earlier, at
// the LinkChanged that was the cause.
type Rerouted struct {
	To         topo.RouterID
	From, Path []topo.RouterID // both ends included; empty is no way
}

// AnnouncementRefused is a prefix that a router announces without a grant. The rest of what the router
// says stands: this router's catalog may only be behind.
type AnnouncementRefused struct {
	Router topo.RouterID
	Prefix topo.SegPrefix
}

// RecordRefused is link-state that a neighbour passed on and that does not hold.
type RecordRefused struct {
	From topo.RouterID
	Err  error
}

// SourceRefused counts packets whose inner source the sending router has no grant for; told at most once
// a second for each router.
type SourceRefused struct {
	Router  topo.RouterID
	Source  netip.Addr // of the last one
	Packets uint64     // since the mesh started
}

// RouterGone is a peer that the catalog revoked or removed. Its sessions and keys are gone with it.
type RouterGone struct {
	Router  topo.RouterID
	Revoked bool
}

// Name and LogValue make these events.
func (SessionUp) Name() string           { return "fabric.session.up" }
func (SessionDown) Name() string         { return "fabric.session.down" }
func (DialFailed) Name() string          { return "fabric.dial.failed" }
func (LinkChanged) Name() string         { return "fabric.link.changed" }
func (LinkMTU) Name() string             { return "fabric.link.mtu" }
func (LaneLeft) Name() string            { return "fabric.lane.left" }
func (LaneBack) Name() string            { return "fabric.lane.back" }
func (LinkMoved) Name() string           { return "fabric.link.moved" }
func (Rerouted) Name() string            { return "fabric.rerouted" }
func (RoutesChanged) Name() string       { return "fabric.routes.changed" }
func (AnnouncementRefused) Name() string { return "fabric.announcement.refused" }
func (RecordRefused) Name() string       { return "fabric.record.refused" }
func (SourceRefused) Name() string       { return "fabric.source.refused" }
func (RouterGone) Name() string          { return "fabric.router.gone" }

func (e SessionUp) LogValue() slog.Value {
	return slog.GroupValue(peerAttr(e.Peer), slog.Bool("carried", e.Carried), slog.Bool("dialed", e.Dialed),
		addrAttr(e.Addr), slog.Int("epoch", int(e.Epoch)))
}

func (e SessionDown) LogValue() slog.Value {
	return slog.GroupValue(peerAttr(e.Peer), slog.Bool("carried", e.Carried), slog.Int("epoch", int(e.Epoch)),
		slog.String("why", e.Why))
}

func (e DialFailed) LogValue() slog.Value {
	return slog.GroupValue(peerAttr(e.Peer), slog.Bool("carried", e.Carried), addrAttr(e.Addr),
		slog.String("err", e.Err.Error()), slog.Duration("retry", e.Retry))
}

func (e LinkChanged) LogValue() slog.Value {
	return slog.GroupValue(peerAttr(e.Peer), slog.String("from", e.From), slog.String("to", e.To),
		slog.String("why", e.Why), slog.Duration("rtt", e.RTT))
}

func (e LinkMTU) LogValue() slog.Value {
	return slog.GroupValue(peerAttr(e.Peer), slog.Int("mtu", e.MTU), slog.String("why", e.Why))
}

func (e LaneLeft) LogValue() slog.Value { return laneValue(e.Peer, e.Lane, e.Why) }
func (e LaneBack) LogValue() slog.Value { return laneValue(e.Peer, e.Lane, e.Why) }

func laneValue(peer topo.RouterID, lane int, why string) slog.Value {
	return slog.GroupValue(peerAttr(peer), slog.Int("lane", lane), slog.String("why", why))
}

func (e LinkMoved) LogValue() slog.Value {
	return slog.GroupValue(peerAttr(e.Peer), slog.String("from", e.From.String()), slog.String("to", e.To.String()))
}

func (e RoutesChanged) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("reachable", e.Reachable), slog.Int("relayed", e.Relayed), slog.Int("prefixes", e.Prefixes))
}

func (e Rerouted) LogValue() slog.Value {
	return slog.GroupValue(peerAttr(e.To), slog.Any("from", e.From), slog.Any("path", e.Path))
}

func (e AnnouncementRefused) LogValue() slog.Value {
	return slog.GroupValue(peerAttr(e.Router), slog.String("prefix", e.Prefix.String()))
}

func (e RecordRefused) LogValue() slog.Value {
	return slog.GroupValue(peerAttr(e.From), slog.String("err", e.Err.Error()))
}

func (e SourceRefused) LogValue() slog.Value {
	return slog.GroupValue(peerAttr(e.Router), slog.String("source", e.Source.String()), slog.Uint64("packets", e.Packets))
}

func (e RouterGone) LogValue() slog.Value {
	return slog.GroupValue(peerAttr(e.Router), slog.Bool("revoked", e.Revoked))
}

func peerAttr(r topo.RouterID) slog.Attr  { return slog.String("peer", r.String()) }
func addrAttr(a netip.AddrPort) slog.Attr { return slog.String("addr", a.String()) }
