package fabric

import (
	"math/bits"
	"net/netip"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/underlay"
)

// Status is what a router knows of the fabric, for people and metrics.
type Status struct {
	Self      topo.RouterID     `json:"self"`
	Ready     bool              `json:"ready"` // Run has its first configuration
	FabricMTU int               `json:"fabric_mtu"`
	Device    string            `json:"device"`
	Peers     []PeerStatus      `json:"peers"`    // ascending
	Prefixes  []PrefixStatus    `json:"prefixes"` // the forwarding table
	Records   []RecordStatus    `json:"records"`  // the link-state database
	Drops     map[string]uint64 `json:"drops"`    // packets by reason; reasons that never occurred are left out
	Relayed   Traffic           `json:"relayed"`  // for others
	Socket    underlay.Stats    `json:"socket"`
}

// PeerStatus is one other router.
type PeerStatus struct {
	Router   topo.RouterID   `json:"router"`
	Name     string          `json:"name,omitempty"`
	Region   topo.Region     `json:"region"`
	Zone     topo.Zone       `json:"zone"`
	Reached  string          `json:"reached"` // direct, relayed, or no
	Next     topo.RouterID   `json:"next,omitempty"`
	Backup   topo.RouterID   `json:"backup,omitempty"`
	Path     []topo.RouterID `json:"path,omitempty"`
	Link     *LinkStatus     `json:"link,omitempty"`
	Sessions []SessionStatus `json:"sessions,omitempty"`
	Epochs   []EpochStatus   `json:"epochs,omitempty"`
	Out      Traffic         `json:"out"` // sealed for the peer
	In       Traffic         `json:"in"`  // opened from it
	Refused  uint64          `json:"sources_refused"`
	Failures int             `json:"dial_failures"` // in a row
	Error    string          `json:"dial_error,omitempty"`
}

// LinkStatus is the direct path to a peer, as this end measures it.
type LinkStatus struct {
	Addr     netip.AddrPort `json:"addr"`
	State    string         `json:"state"`
	Why      string         `json:"why"`
	Since    time.Time      `json:"since"`
	RTT      time.Duration  `json:"rtt"`
	RTTVar   time.Duration  `json:"rtt_var"`
	MinRTT   time.Duration  `json:"rtt_min"`
	LossIn   uint32         `json:"loss_in_ppm"`
	LossOut  uint32         `json:"loss_out_ppm"`
	MTU      int            `json:"mtu"`              // octets of a datagram that we may send
	MTUIn    int            `json:"mtu_in,omitempty"` // that the peer may send, by its own word
	OutKbps  uint64         `json:"out_kbps"`
	InKbps   uint64         `json:"in_kbps"`
	PeakKbps uint64         `json:"peak_kbps"` // most sent in one second of the last ten minutes
	Out      Traffic        `json:"out"`
	In       Traffic        `json:"in"`
	Flaps    int            `json:"flaps"`
	Lanes    []LaneStatus   `json:"lanes"`    // source ports of ours
	LanesIn  int            `json:"lanes_in"` // how many the peer uses
}

// LaneStatus is one five-tuple of a link: a source port of ours to the peer's port.
type LaneStatus struct {
	State  string        `json:"state"` // untried, used, left
	Why    string        `json:"why,omitempty"`
	Since  time.Time     `json:"since"`
	RTT    time.Duration `json:"rtt"`      // out by this lane, back by whichever the peer chose
	Loss   uint32        `json:"loss_ppm"` // of our probes by this lane
	Share  float64       `json:"share"`    // of flows that take it, 0 to 1
	Flaps  int           `json:"flaps"`
	Out    Traffic       `json:"out"`
	InFrom string        `json:"in_from,omitempty"` // where the peer's packets of its lane of this number come from
}

// SessionStatus is one pair session.
type SessionStatus struct {
	Kind   string         `json:"kind"` // direct or carried
	Dialed bool           `json:"dialed"`
	Addr   netip.AddrPort `json:"addr"`
	Epoch  uint16         `json:"epoch"`
	Since  time.Time      `json:"since"`
	RTT    time.Duration  `json:"rtt"` // by QUIC
}

// EpochStatus is one set of keys.
type EpochStatus struct {
	Epoch uint16    `json:"epoch"`
	Stage string    `json:"stage"`
	Suite string    `json:"suite"`
	Born  time.Time `json:"born"`
	Used  float64   `json:"used"` // share of the key, 0 to 1
}

// PrefixStatus is one line of the forwarding table.
type PrefixStatus struct {
	Prefix topo.SegPrefix `json:"prefix"`
	Egress topo.RouterID  `json:"egress"`
	Local  bool           `json:"local"`
}

// RecordStatus is one router's word.
type RecordStatus struct {
	Origin   topo.RouterID `json:"origin"`
	Issued   time.Time     `json:"issued"` // by the origin's clock
	Links    int           `json:"links"`
	LinksUp  int           `json:"links_up"`
	Prefixes int           `json:"prefixes"`
	Draining bool          `json:"draining"`
}

// Traffic counts since the mesh started.
type Traffic struct {
	Packets uint64 `json:"packets"`
	Octets  uint64 `json:"octets"`
}

func (t *traffic) status() Traffic { return Traffic{t.packets.Load(), t.octets.Load()} }

// Status returns what is known now. Before Run has its configuration, and after it ended, it returns little.
func (m *Mesh) Status() Status {
	var s Status
	m.query(func(now time.Time) { s = m.status() })
	return s
}

// query has f run by the loop, if there is one.
func (m *Mesh) query(f func(time.Time)) bool {
	if !m.running.Load() {
		return false
	}
	done := make(chan struct{})
	select {
	case m.inbox <- func(now time.Time) { f(now); close(done) }:
	case <-m.over:
		return false
	}
	select {
	case <-done:
		return true
	case <-m.over:
		// The loop may have been in f when it ended.
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
}

func (m *Mesh) status() Status {
	s := Status{
		Self: m.conf.Self, Ready: true, FabricMTU: m.conf.FabricMTU, Device: m.env.Device.Name(),
		Drops: map[string]uint64{}, Relayed: m.fwd.relays.status(), Socket: m.env.Socket.Stats(),
	}
	for r, name := range reasonNames {
		if n := m.fwd.drops[r].Load(); n > 0 {
			s.Drops[name] = n
		}
	}
	for _, id := range m.order {
		if p := m.peers[id]; p != nil {
			s.Peers = append(s.Peers, m.peerStatus(p))
		}
	}
	for _, e := range m.table.Entries() {
		p := PrefixStatus{Prefix: e.Prefix, Egress: e.Egress, Local: e.Local}
		if e.Local {
			p.Egress = m.conf.Self
		}
		s.Prefixes = append(s.Prefixes, p)
	}
	for _, r := range m.flood.db.All() {
		rs := RecordStatus{Origin: r.Origin, Issued: r.Issued, Links: len(r.Links), Prefixes: len(r.Prefixes), Draining: r.Draining}
		for _, l := range r.Links {
			if l.Up {
				rs.LinksUp++
			}
		}
		s.Records = append(s.Records, rs)
	}
	return s
}

func (m *Mesh) peerStatus(p *peer) PeerStatus {
	f := p.face
	s := PeerStatus{
		Router: p.ID, Name: p.Name, Region: p.Region, Zone: p.Zone, Reached: "no",
		Out: f.out.status(), In: f.in.status(), Refused: f.spoofed.Load(),
	}
	if h, ok := m.routes.Hops[p.ID]; ok {
		s.Next, s.Backup, s.Path = h.Next, h.Backup, h.Path
		if next, _ := m.fwd.view.Load().toward(p.ID, 0); next != nil {
			s.Reached = "relayed"
			if next == f {
				s.Reached = "direct"
			}
		}
	}
	for k := range kinds {
		if d := p.pair.dials[k]; d.err != nil && d.fails > 0 {
			s.Failures, s.Error = d.fails, d.err.Error()
		}
		if ps := p.sessions[k]; ps != nil {
			s.Sessions = append(s.Sessions, SessionStatus{
				Kind: k.String(), Dialed: ps.dialed, Addr: ps.addr, Epoch: ps.epoch,
				Since: p.pair.held[k].since, RTT: ps.sess.Stats().RTT,
			})
		}
	}
	for _, e := range f.ring.Epochs() {
		s.Epochs = append(s.Epochs, EpochStatus{e.Epoch, e.Stage.String(), e.Suite.String(), e.Born, e.Used})
	}
	if l := p.link; l != nil {
		h := l.health.Status()
		s.Link = &LinkStatus{
			Addr: l.addr, State: h.State.String(), Why: h.Why, Since: h.Since, RTT: h.RTT, RTTVar: h.RTTVar, MinRTT: h.MinRTT,
			LossIn: h.LossIn, LossOut: h.LossOut, MTU: h.MTU, MTUIn: h.MTUIn, Flaps: h.Flaps,
			OutKbps: l.rate.out, InKbps: l.rate.in, PeakKbps: l.rate.peak(), Out: f.sent(), In: f.link.in.status(),
			Lanes: f.laneStatus(l), LanesIn: bits.OnesCount16(h.LanesIn),
		}
	}
	return s
}
