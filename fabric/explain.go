package fabric

import (
	"fmt"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Explanation is why packets from this router to another go the way they go, as `galleon path show`
// prints it. Costs are microseconds of one-way delay with penalties; see package route.
type Explanation struct {
	From         topo.RouterID   `json:"from"`
	To           topo.RouterID   `json:"to"`
	Reachable    bool            `json:"reachable"`
	Why          string          `json:"why"` // one sentence
	Path         []topo.RouterID `json:"path,omitempty"`
	Cost         uint64          `json:"cost"`
	RTT          time.Duration   `json:"rtt"` // sum of the links'
	MTU          int             `json:"mtu"` // largest IP packet, octets
	Backup       []topo.RouterID `json:"backup,omitempty"`
	OnBackup     bool            `json:"on_backup"` // the link to the next hop is down and the routes have not followed yet
	Steps        []Step          `json:"steps,omitempty"`
	Alternatives []Alternative   `json:"alternatives,omitempty"`
}

// Step is one link of the path, as the router at its near end measures it.
type Step struct {
	From     topo.RouterID `json:"from"`
	To       topo.RouterID `json:"to"`
	RTT      time.Duration `json:"rtt"`
	LossPPM  uint32        `json:"loss_ppm"`
	RateMbps uint32        `json:"rate_mbps"` // most that it was seen to carry lately; 0 is not known
	MTU      int           `json:"mtu"`       // octets of a datagram
	Cost     uint64        `json:"cost"`
}

// Alternative is another neighbour as next hop, and why it was not chosen.
type Alternative struct {
	Next    topo.RouterID   `json:"next"`
	Path    []topo.RouterID `json:"path,omitempty"`
	Cost    uint64          `json:"cost"`
	Verdict string          `json:"verdict"` // best, equal, backup, turn, loop-free, would-loop, barred, unusable
	Why     string          `json:"why"`
}

// Explain says why packets to a router go the way they go.
func (m *Mesh) Explain(to topo.RouterID) (Explanation, error) {
	var e Explanation
	var err error
	if !m.query(func(time.Time) { e, err = m.explain(to) }) {
		return e, fmt.Errorf("explain the way to %s: the mesh is not running yet", to)
	}
	return e, err
}

func (m *Mesh) explain(to topo.RouterID) (Explanation, error) {
	e := Explanation{From: m.conf.Self, To: to}
	r := m.catalog[to]
	switch {
	case to == m.conf.Self:
		e.Reachable, e.Why, e.Path, e.MTU = true, "it is this router", []topo.RouterID{to}, m.conf.FabricMTU
		return e, nil
	case r == nil:
		return e, fmt.Errorf("explain the way to %s: the catalog has no such router", to)
	case r.Revoked:
		return e, fmt.Errorf("explain the way to %s: it is revoked", to)
	}
	x := m.routes.Explain(to)
	e.Reachable, e.Path, e.Cost, e.Backup = x.Reachable, x.Hop.Path, x.Hop.Cost, x.Hop.BackupPath
	for _, s := range x.Steps {
		e.RTT += s.Link.RTT
		e.Steps = append(e.Steps, Step{
			From: s.Link.From, To: s.Link.To, RTT: s.Link.RTT, LossPPM: s.Link.LossPPM,
			RateMbps: s.Link.RateMbps, MTU: s.Link.MTU, Cost: s.Cost,
		})
	}
	for _, a := range x.Alternatives {
		e.Alternatives = append(e.Alternatives, Alternative{Next: a.Next, Path: a.Path, Cost: a.Cost, Verdict: a.Verdict.String(), Why: a.Why})
	}
	if !x.Reachable {
		e.Why = m.whyNot(to)
		return e, nil
	}
	e.MTU = m.heldMTU(to)
	next, _ := m.fwd.view.Load().toward(to, 0)
	switch {
	case next == nil:
		e.Why = fmt.Sprintf("the link to the next hop %s is down, and there is no loop-free backup", x.Hop.Next)
	case next.id != x.Hop.Next:
		e.OnBackup = true
		e.Why = fmt.Sprintf("the link to the next hop %s is down; the backup %s carries until the routes have followed", x.Hop.Next, next.id)
	case x.Hop.Next == to:
		e.Why = "the direct link is the cheapest way"
	default:
		e.Why = m.whyRelayed(to, x.Hop.Next)
	}
	return e, nil
}

// whyRelayed says what is wrong with the direct link to a router that is reached through another.
func (m *Mesh) whyRelayed(to, next topo.RouterID) string {
	p := m.peers[to]
	switch {
	case p == nil || p.link == nil:
		return fmt.Sprintf("there is no direct link; %s relays", next)
	case !p.face.usable.Load():
		return fmt.Sprintf("the direct link is %s (%s); %s relays", p.link.health.Status().State, p.link.health.Status().Why, next)
	}
	return fmt.Sprintf("the way through %s is cheaper than the direct link (RTT %v)", next,
		p.link.health.Status().RTT.Round(10*time.Microsecond))
}

// whyNot says why a router cannot be reached.
func (m *Mesh) whyNot(to topo.RouterID) string {
	p := m.peers[to]
	switch {
	case p == nil:
		return "this router does not know it"
	case p.link != nil && !p.face.usable.Load():
		return fmt.Sprintf("the direct link is %s (%s), and no other router has a link to it", p.link.health.Status().State, p.link.health.Status().Why)
	case p.link == nil && p.pair.dials[direct].err != nil:
		return fmt.Sprintf("no session yet: %v", p.pair.dials[direct].err)
	case len(p.Endpoints) == 0:
		return "it has no endpoint, so it must dial first, and has not"
	}
	return "no session yet, and no other router has a link to it"
}
