package fabric

import (
	"net/netip"
	"time"

	"github.com/galleon-net/galleon/fabric/health"
	"github.com/galleon-net/galleon/fabric/linkstate"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/underlay"
	"github.com/galleon-net/galleon/fabric/wire"
)

// linked notes where a new direct session found the peer.
func (m *Mesh) linked(now time.Time, p *peer, s *pairSession) {
	if p.link == nil || p.link.life != s.life {
		p.link = newLink(s, m.env.ProbeInterval, now, m.start)
		m.judged(now, p, nil)
	}
	m.moved(now, p, s.addr)
}

// moved changes the address that a peer's packets go to. Its other lanes tell of theirs themselves.
func (m *Mesh) moved(now time.Time, p *peer, addr netip.AddrPort) {
	if old := p.face.addr.Load(); old != nil && *old == addr {
		return
	}
	if p.link.addr != addr {
		p.link.health.Moved(now)
	}
	p.link.addr, p.link.from[0] = addr, addr
	p.face.addr.Store(&addr)
	m.show()
}

// downFor is how long a link must have been down before new sessions are tried because of it. The data
// path does not wait for that.
const downFor = 2 * time.Second

// linkDown says that the probes have condemned the link, and that it did not come back by itself.
func (m *Mesh) linkDown(p *peer, now time.Time) bool {
	st := p.link.health.Status()
	return st.State == health.Down && now.Sub(st.Since) >= downFor
}

// probeAll sends every neighbour the probes of this slot. They go out one by one, since they are few, from a
// buffer that is made once.
func (m *Mesh) probeAll(now time.Time) {
	if m.viewDue {
		m.show() // before these probes tell the peers that their lanes were heard, and they use them
	}
	for _, p := range m.peers {
		if p.link == nil {
			continue
		}
		for _, probe := range p.link.health.Plan(now) {
			m.probe(now, p, probe)
		}
	}
}

func (m *Mesh) probe(now time.Time, p *peer, probe health.Probe) {
	sender, ok := p.face.ring.SenderFor(probe.Lane)
	if !ok {
		return
	}
	m.probeBody = wire.AppendProbe(m.probeBody[:0], p.link.body(probe, now, m.start))
	h := wire.Header{Type: wire.Probe, HopLimit: 1, Class: topo.ClassControl, Source: m.conf.Self, Dest: p.ID}
	pkt, err := sender.Seal(m.probePkt[:0], h, m.probeBody)
	if err != nil {
		return // the lane is used up; the pairing is already at new keys
	}
	m.probePkt = pkt[:0]
	m.fwd.send([]underlay.Packet{{Buf: pkt, Addr: p.link.addr, Lane: probe.Lane}})
}

// heard takes a probe from the data path. Where it came from is where the peer's packets of that lane come
// from: relayed ones are known by that alone.
func (m *Mesh) heard(h heardProbe) {
	p := m.peers[h.peer]
	if p == nil || p.link == nil {
		return // keys from a carried session, and no direct one yet
	}
	if h.from != p.link.from[h.lane] {
		if h.lane == 0 {
			m.emit(LinkMoved{Peer: p.ID, From: p.link.addr, To: h.from})
			m.moved(h.at, p, h.from)
		} else {
			p.link.from[h.lane] = h.from
			m.viewDue = true
		}
	}
	m.judged(h.at, p, p.link.heard(h))
}

// tickLinks lets silence be judged.
func (m *Mesh) tickLinks(now time.Time) {
	for _, p := range m.peers {
		if p.link == nil {
			continue
		}
		p.link.rate.update(now, p.face.sent().Octets, p.face.link.in.octets.Load())
		m.judged(now, p, p.link.health.Tick(now))
	}
}

// judged carries out a verdict: the data path first, then everybody else.
func (m *Mesh) judged(now time.Time, p *peer, events []health.Event) {
	st := p.link.health.Status()
	if usable := st.State.Usable(); usable != p.face.usable.Load() {
		p.face.usable.Store(usable)
		m.saySoon()
	}
	p.face.lanes.store(p.link.health.Flows())
	for _, e := range events {
		switch e.Kind {
		case health.MTUChanged:
			m.emit(LinkMTU{Peer: p.ID, MTU: e.MTU, Why: e.Why})
		case health.LaneLeft:
			m.emit(LaneLeft{Peer: p.ID, Lane: int(e.Lane), Why: e.Why})
		case health.LaneBack:
			m.emit(LaneBack{Peer: p.ID, Lane: int(e.Lane), Why: e.Why})
		default:
			m.emit(LinkChanged{Peer: p.ID, From: e.From.String(), To: e.To.String(), Why: e.Why, RTT: st.RTT})
		}
		m.saySoon()
	}
}

// narrowed hears that our own interface refused a datagram of that size.
func (m *Mesh) narrowed(now time.Time, addr netip.AddrPort, octets int) {
	for _, p := range m.peers {
		if p.link != nil && p.link.addr == addr {
			m.judged(now, p, p.link.health.Refused(now, octets))
		}
	}
}

// word is this router's own record as things are now.
func (m *Mesh) word() linkstate.Record {
	r := linkstate.Record{Draining: m.conf.Drain}
	for _, id := range m.order {
		p := m.peers[id]
		if p == nil || p.link == nil {
			continue
		}
		st := p.link.health.Status()
		if st.State == health.Unknown {
			continue
		}
		r.Links = append(r.Links, linkstate.Link{
			To: id, RTT: st.RTT, LossPPM: st.LossOut, RateMbps: uint32(p.link.rate.peak() / 1000),
			MTU: st.MTU, Up: st.State.Usable(),
		})
	}
	for _, a := range m.conf.Announce {
		r.Prefixes = append(r.Prefixes, linkstate.Announcement{SegPrefix: a})
	}
	return r
}
