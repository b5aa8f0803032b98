package fabric

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/galleon-net/galleon/fabric/seal"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/underlay"
	"github.com/galleon-net/galleon/fabric/wire"
)

// peer is another router of the catalog, as the loop knows it.
type peer struct {
	Router
	pair     pairing
	face     *face
	sessions [kinds]*pairSession
	link     *link // nil until there was a direct session
	endpoint int   // of Router.Endpoints, the next to dial

	ctx    context.Context // ends when the catalog drops the peer; dials and dialed sessions live in it
	cancel context.CancelFunc
}

// conditions is what the peer's pairing must know now.
func (m *Mesh) conditions(p *peer, now time.Time) conditions {
	c := conditions{
		dialable: len(p.Endpoints) > 0,
		linkDown: p.link != nil && m.linkDown(p, now),
		way:      m.hasWay(p.ID),
	}
	for _, e := range p.face.ring.Epochs() {
		if e.Stage == seal.Current {
			age := now.Sub(e.Born)
			c.rekey = age >= m.conf.RekeyAfter || e.Used*seal.MaxPackets >= float64(m.conf.RekeyPackets)
			c.newest = odd(e.Epoch) == (m.conf.Self < p.ID)
		}
	}
	return c
}

// voice is the session that link-state is exchanged over: the direct one. Where that is missing though the link
// carries, as when QUIC's own lane is the broken one, it is the carried one, whose packets take the same link
// by another lane.
func (p *peer) voice() *pairSession {
	if s := p.sessions[direct]; s != nil || !p.face.usable.Load() {
		return s
	}
	return p.sessions[carried]
}

// dialDue starts the dials that are due with one peer.
func (m *Mesh) dialDue(now time.Time, p *peer) {
	c := m.conditions(p, now)
	for k := range kinds {
		if !p.pair.wants(k, now, c) {
			continue
		}
		addr := underlay.VirtualAddr(p.ID)
		if k == direct {
			addr = p.Endpoints[p.endpoint%len(p.Endpoints)]
			if p.sessions[direct] != nil && !c.linkDown {
				addr = p.link.addr // new keys for the path that there is
			}
		}
		epoch := p.pair.begin(k)
		m.wg.Go(func() { m.dial(p.ctx, p.ID, k, addr, epoch) })
	}
	// A carried session has done its work when the direct one has been good for a while.
	if s := p.sessions[carried]; s != nil && p.sessions[direct] != nil && p.face.usable.Load() &&
		now.Sub(p.pair.held[direct].since) >= settleFor && now.Sub(p.pair.held[carried].since) >= settleFor {
		s.retire()
	}
}

// dialed hears how a dial ended.
func (m *Mesh) dialed(now time.Time, id topo.RouterID, k kind, addr netip.AddrPort, err error) {
	p := m.peers[id]
	if p == nil {
		return
	}
	retry := p.pair.finish(k, now, err, m.rng)
	if k == direct && err != nil {
		p.endpoint++
	} else if k == direct {
		p.endpoint = 0 // the next search begins with the preferred one again
	}
	if err != nil && !errors.Is(err, errTwin) {
		e := DialFailed{Peer: id, Carried: k == carried, Err: err, Retry: retry}
		if k == direct {
			e.Addr = addr
		}
		m.emit(e)
	}
}

// admit answers a hello: may this session be, and under which epoch.
func (m *Mesh) admit(now time.Time, s *pairSession, theirs greeting) (mine greeting, err error) {
	p := m.peers[s.peer]
	if p == nil {
		return mine, fmt.Errorf("router %s is not in the catalog, or revoked", s.peer)
	}
	if err := p.pair.admit(s.kind, s.dialed, theirs.life, now, m.conditions(p, now)); err != nil {
		return mine, err
	}
	return m.greet(p.pair.agree(theirs.hello.Epoch)), nil
}

// install puts the keys of a session on the peer's ring. Packets that the peer seals with them open from
// now on.
func (m *Mesh) install(now time.Time, s *pairSession) error {
	p := m.peers[s.peer]
	if p == nil {
		return fmt.Errorf("router %s is not in the catalog, or revoked", s.peer)
	}
	p.pair.noticed(s.epoch)
	if err := p.face.ring.Install(s.offer, now); err != nil {
		return err
	}
	if !s.dialed {
		p.face.offer(s.epoch)
	}
	return nil
}

// establish makes a session the one of its kind, and its keys the ones that are sealed with.
func (m *Mesh) establish(now time.Time, s *pairSession) error {
	p := m.peers[s.peer]
	if p == nil {
		return fmt.Errorf("router %s is not in the catalog, or revoked", s.peer)
	}
	if err := p.pair.admit(s.kind, s.dialed, s.life, now, m.conditions(p, now)); err != nil {
		return err
	}
	if s.dialed {
		if err := m.install(now, s); err != nil {
			return err
		}
	}
	m.confirm(now, p, s.epoch)
	p.face.partial.Store(s.shared&wire.FeaturePartial != 0)
	if old := p.sessions[s.kind]; old != nil {
		old.retire()
	}
	p.sessions[s.kind], s.established = s, true
	p.pair.ready(s.kind, holding{epoch: s.epoch, dialed: s.dialed, life: s.life, since: now})
	if s.kind == direct {
		m.linked(now, p, s)
	}
	if p.voice() == s {
		m.flood.greet(s.out)
	}
	m.emit(SessionUp{Peer: s.peer, Carried: s.kind == carried, Dialed: s.dialed, Addr: s.addr, Epoch: s.epoch})
	return nil
}

// confirm seals with an epoch from now on, unless a later one is in use already.
func (m *Mesh) confirm(now time.Time, p *peer, epoch uint16) {
	for _, e := range p.face.ring.Epochs() {
		if e.Stage == seal.Current && newer(e.Epoch, epoch) {
			return
		}
	}
	// An error says that the epoch is gone: it waited too long, and the peer will shake hands again.
	_ = p.face.ring.Confirm(epoch, now)
}

// ended hears that a session is over. One that was never established is not worth a word: who dialed it
// says what went wrong.
func (m *Mesh) ended(now time.Time, s *pairSession, why error) {
	if !s.established {
		return
	}
	if p := m.peers[s.peer]; p != nil && p.sessions[s.kind] == s {
		p.sessions[s.kind] = nil
		p.pair.ended(s.kind, s.epoch)
	}
	m.emit(SessionDown{Peer: s.peer, Carried: s.kind == carried, Epoch: s.epoch, Why: why.Error()})
}

// dropPeer forgets a peer that the catalog revoked or removed: nothing of it is accepted from here on.
func (m *Mesh) dropPeer(p *peer, revoked bool) {
	p.cancel()
	p.face.ring.Clear()
	p.face.usable.Store(false)
	for _, s := range p.sessions {
		if s != nil {
			// Not here: closing waits for the session to be gone.
			m.wg.Go(func() { s.sess.Close(closeCode(revoked), "the catalog no longer has this router") })
		}
	}
	delete(m.peers, p.ID)
	delete(m.reached, p.ID)
	delete(m.ways, p.ID)
	m.emit(RouterGone{Router: p.ID, Revoked: revoked})
}
