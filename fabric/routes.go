package fabric

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/galleon-net/galleon/fabric/fib"
	"github.com/galleon-net/galleon/fabric/route"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/wire"
)

// recomputeAfter is how long news may gather before the routes are computed anew. The data path has
// switched long before; this is for everything else.
const recomputeAfter = 20 * time.Millisecond

// restShare is how many times as long as a computation the loop does other things after it, so that a storm
// of news in a large mesh cannot keep the probes waiting.
const restShare = 5

// RouteSet is what the kernel should send into the fabric.
type RouteSet struct {
	Prefixes []Reach          `json:"prefixes"` // of other routers: granted, announced, reachable now
	Known    []topo.SegPrefix `json:"known"`    // every overlay prefix granted since the mesh started: never to leave in clear

	// Verified says that every router of the catalog has been reached, or that there was time to: before, a
	// prefix that is not there says nothing, and a route that a former process left should stay.
	Verified bool `json:"verified"`
}

// Reach is a prefix of another router and what the way there carries.
type Reach struct {
	topo.SegPrefix
	MTU int `json:"mtu"` // largest IP packet that passes by the way and by its backup, octets; see carries
}

// verifyAfter is how long after its start a mesh speaks with certainty also of what it did not reach.
const verifyAfter = 15 * time.Second

// holdFor is how long a router that can no longer be reached keeps its routes. Trying a link that may be dead
// costs nothing, while a route that is gone surely loses the packet; and on a machine that was too busy
// for its probes the link was never dead.
const holdFor = 10 * time.Second

// maxKnown bounds RouteSet.Known. Beyond it, prefixes that no grant names any more are forgotten.
const maxKnown = 1 << 14

// recompute makes routes of the link-state, and swaps the forwarding table.
func (m *Mesh) recompute() {
	now := time.Now()
	in := route.FromRecords(m.conf.Self, m.flood.db.All())
	in.FabricMTU = min(shortMTU, m.conf.FabricMTU) + wire.Overhead
	for i := range in.Links {
		if l := &in.Links[i]; l.MTU == 0 { // one such link makes the whole way uncertain
			l.MTU = m.innerMTU(0) + wire.Overhead
		}
	}
	in.Announcements = slices.DeleteFunc(in.Announcements, func(a route.Announcement) bool { return !m.mayAnnounce(a) })
	old := m.routes
	m.routes = route.Compute(in)
	m.tellRerouted(old)

	m.wakeAt = time.Time{}
	var entries []fib.Entry
	hops := make(map[topo.RouterID]fib.Hop, len(m.routes.Hops))
	relayed := 0
	for id, h := range m.routes.Hops {
		if m.peers[id] == nil {
			continue
		}
		hops[id] = fib.Hop{Next: h.Next, Backup: h.Backup, MTU: m.wayTo(now, id, h)}
		if h.Next != id {
			relayed++
		}
		m.reached[id] = now
		for _, l := range m.peers[id].Loopbacks {
			entries = append(entries, fib.Entry{Prefix: l, Egress: id})
		}
	}
	reachable := len(hops)
	for p, egress := range m.routes.Prefixes {
		if egress == m.conf.Self {
			entries = append(entries, fib.Entry{Prefix: p, Local: true})
		} else if _, ok := hops[egress]; ok {
			entries = append(entries, fib.Entry{Prefix: p, Egress: egress})
		}
	}
	for _, l := range m.me().Loopbacks {
		entries = append(entries, fib.Entry{Prefix: l, Local: true})
	}
	entries = m.hold(now, entries, hops)
	m.table = fib.Build(entries, hops)
	m.show()

	remote := make([]Reach, 0, len(entries))
	for _, e := range m.table.Entries() {
		if !e.Local {
			remote = append(remote, Reach{e.Prefix, hops[e.Egress].MTU})
		}
	}
	m.verified = m.verified || reachable == len(m.peers) || time.Since(m.began) >= verifyAfter
	if !slices.Equal(remote, m.told.Prefixes) || !slices.Equal(m.known, m.told.Known) || m.verified != m.told.Verified {
		m.told = RouteSet{Prefixes: remote, Known: slices.Clone(m.known), Verified: m.verified}
		if m.env.Routes != nil {
			m.env.Routes(m.told)
		}
	}
	if e := (RoutesChanged{Reachable: reachable, Relayed: relayed, Prefixes: len(remote)}); e != m.lastRoutes {
		m.lastRoutes = e
		m.emit(e)
	}
}

// hold keeps what led to routers that were reachable until lately, by their own links, where nobody else
// offers the prefix now.
func (m *Mesh) hold(now time.Time, entries []fib.Entry, hops map[topo.RouterID]fib.Hop) []fib.Entry {
	held := map[topo.RouterID]bool{}
	for id, p := range m.peers {
		last, was := m.reached[id]
		if _, is := hops[id]; is || !was || p.link == nil {
			continue
		}
		if now.Sub(last) >= holdFor {
			delete(m.reached, id)
			continue
		}
		held[id] = true
		hops[id] = fib.Hop{Next: id, MTU: m.heldMTU(id)}
		m.wake(last.Add(holdFor))
	}
	if len(held) == 0 || m.table == nil {
		return entries
	}
	offered := make(map[topo.SegPrefix]bool, len(entries))
	for _, e := range entries {
		offered[e.Prefix] = true
	}
	for _, e := range m.table.Entries() {
		if !e.Local && held[e.Egress] && !offered[e.Prefix] && m.catalog[e.Egress].granted(e.Prefix) {
			entries = append(entries, e)
		}
	}
	return entries
}

// tellRerouted tells of the routers that are reached another way than before.
func (m *Mesh) tellRerouted(old *route.Result) {
	for _, id := range m.order {
		was, is := old.Hops[id], m.routes.Hops[id]
		if !slices.Equal(was.Path, is.Path) {
			m.emit(Rerouted{To: id, From: was.Path, Path: is.Path})
		}
	}
}

// wake has the routes computed again at a moment, unless that is zero.
func (m *Mesh) wake(at time.Time) {
	if !at.IsZero() && (m.wakeAt.IsZero() || at.Before(m.wakeAt)) {
		m.wakeAt = at
	}
}

// mayAnnounce holds an announcement against the grants. It is asked at every computation rather than when
// a record arrives, so that a grant that comes later makes the announcement good.
func (m *Mesh) mayAnnounce(a route.Announcement) bool {
	r := m.catalog[a.Router]
	if r != nil && !r.Revoked && r.granted(a.Prefix) {
		return true
	}
	e := AnnouncementRefused{Router: a.Router, Prefix: a.Prefix}
	if !m.refused[e] && len(m.refused) < maxRefused {
		m.refused[e] = true
		m.emit(e)
	}
	return false
}

// maxRefused bounds the announcements whose refusal was told and is remembered.
const maxRefused = 1024

// learnPrefixes adds to the prefixes that are known to be overlay.
func (m *Mesh) learnPrefixes() {
	known := map[topo.SegPrefix]bool{}
	for _, r := range m.conf.Routers {
		for _, p := range slices.Concat(r.Grants, r.Loopbacks) {
			known[p] = true
		}
	}
	for _, p := range m.known {
		if len(known) < maxKnown {
			known[p] = true
		}
	}
	m.known = slices.SortedFunc(maps.Keys(known), comparePrefix)
}

func comparePrefix(a, b topo.SegPrefix) int {
	if a.Segment != b.Segment {
		return int(a.Segment) - int(b.Segment)
	}
	if c := a.Prefix.Addr().Compare(b.Prefix.Addr()); c != 0 {
		return c
	}
	return a.Prefix.Bits() - b.Prefix.Bits()
}

// hasWay says whether packets get to a router now, by whatever way.
func (m *Mesh) hasWay(id topo.RouterID) bool {
	v := m.fwd.view.Load()
	if v == nil {
		return false
	}
	next, _ := v.toward(id, 0)
	return next != nil
}

// show gives the data path a new view.
func (m *Mesh) show() {
	m.viewDue = false
	me := m.me()
	v := &view{
		self: m.conf.Self, mtu: m.conf.FabricMTU, table: m.table,
		faces: make(map[topo.RouterID]*face, len(m.peers)), byAddr: make(map[netip.AddrPort]*face, len(m.peers)),
		mine: sources(me), icmp: map[topo.SegmentID]icmpSrc{},
	}
	for id, p := range m.peers {
		v.faces[id] = p.face
		if p.link != nil {
			for _, from := range p.link.from {
				if from.IsValid() {
					v.byAddr[from] = p.face
				}
			}
		}
	}
	for _, l := range me.Loopbacks {
		s := v.icmp[l.Segment]
		if a := l.Prefix.Addr(); a.Is4() && !s.v4.IsValid() {
			s.v4 = a
		} else if a.Is6() && !s.v6.IsValid() {
			s.v6 = a
		}
		v.icmp[l.Segment] = s
	}
	m.fwd.view.Store(v)
}

// sources is the table of what a router may send from.
func sources(r *Router) *fib.Table {
	var es []fib.Entry
	for _, p := range slices.Concat(r.Grants, r.Loopbacks) {
		es = append(es, fib.Entry{Prefix: p, Local: true})
	}
	return fib.Build(es, nil)
}
