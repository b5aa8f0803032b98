package fabric

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/galleon-net/galleon/fabric/linkstate"
	"github.com/galleon-net/galleon/fabric/seal"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tunnel"
)

// tendEvery is how often what changes slowly is looked at: old keys, expired records, dials that are due.
const tendEvery = 100 * time.Millisecond

// loop is the one goroutine that changes the mesh's state.
func (m *Mesh) loop(ctx context.Context) {
	m.running.Store(true)
	defer close(m.over)
	// Half an interval, so that silence is noticed at most that late.
	tick := time.NewTicker(m.env.ProbeInterval / 2)
	defer tick.Stop()
	soon := time.NewTimer(recomputeAfter)
	defer soon.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.poke:
			m.adopt(ctx)
		case f := <-m.inbox:
			f(time.Now())
		case h := <-m.fwd.probes:
			m.heard(h)
		case <-tick.C:
			m.tick(time.Now())
		case <-soon.C:
		}
		m.settle(time.Now(), soon)
	}
}

// tick does what is due by the clock.
func (m *Mesh) tick(now time.Time) {
	if now.Sub(m.probedAt) >= m.env.ProbeInterval {
		m.probedAt = now
		m.probeAll(now)
	}
	m.tickLinks(now)
	if now.Sub(m.tendedAt) >= tendEvery {
		m.tendedAt = now
		m.tend(now)
	}
}

func (m *Mesh) tend(now time.Time) {
	m.wordDue = true
	for _, id := range m.order {
		if p := m.peers[id]; p != nil {
			p.face.ring.Retire(now)
			p.face.stranded.Store(false)
			m.dialDue(now, p)
		}
	}
	if !m.wakeAt.IsZero() && !now.Before(m.wakeAt) {
		m.outdate(now)
	}
	if m.flood.age(now) || !m.verified && now.Sub(m.began) >= verifyAfter {
		m.outdate(now)
	}
}

// settle speaks and recomputes when what happened asks for it.
func (m *Mesh) settle(now time.Time, soon *time.Timer) {
	if m.wordDue {
		m.wordDue = false
		said, err := m.flood.speak(now)
		if err != nil {
			m.emit(RecordRefused{From: m.conf.Self, Err: err})
		}
		if said {
			m.outdate(now)
		}
	}
	if m.stale.IsZero() {
		return
	}
	if wait := max(recomputeAfter-now.Sub(m.stale), m.calmUntil.Sub(now)); wait > 0 {
		soon.Reset(wait)
		return
	}
	m.stale = time.Time{}
	m.recompute()
	m.calmUntil = now.Add(restShare * time.Since(now))
}

// saySoon marks our own word as possibly out of date.
func (m *Mesh) saySoon() { m.wordDue = true }

// outdate marks the routes as out of date.
func (m *Mesh) outdate(now time.Time) {
	if m.stale.IsZero() {
		m.stale = now
	}
}

// learned takes a record from a neighbour.
func (m *Mesh) learned(now time.Time, s *pairSession, r linkstate.Signed) {
	if m.peers[s.peer] == nil {
		return
	}
	news, err := m.flood.merge(now, r, s.out)
	if err != nil {
		m.emit(RecordRefused{From: s.peer, Err: err})
	}
	if news {
		m.outdate(now)
	}
}

// adopt carries out what Set was last given.
func (m *Mesh) adopt(ctx context.Context) {
	m.conf = *m.config()
	m.catalog = make(map[topo.RouterID]*Router, len(m.conf.Routers))
	want := map[topo.RouterID]*Router{}
	for i := range m.conf.Routers {
		r := &m.conf.Routers[i]
		m.catalog[r.ID] = r
		if r.ID != m.conf.Self && !r.Revoked {
			want[r.ID] = r
		}
	}
	if m.me().Revoked {
		clear(want) // nobody will speak with us; we need not wait to be told by each
	}
	for id, p := range m.peers {
		r := want[id]
		if r == nil || !slices.Equal(r.PublicKey, p.PublicKey) {
			old := m.catalog[id]
			m.dropPeer(p, old != nil && old.Revoked)
		}
	}
	for id, r := range want {
		p := m.peers[id]
		if p == nil {
			p = &peer{pair: pairing{self: m.conf.Self, peer: id}, face: &face{id: id, ring: seal.NewKeyring(m.conf.Self, id)}}
			p.ctx, p.cancel = context.WithCancel(ctx)
			m.peers[id] = p
		}
		if !slices.Equal(p.Endpoints, r.Endpoints) {
			p.pair.dials[direct].next, p.endpoint = time.Time{}, 0 // what failed was another address
		}
		p.Router = *r
		p.face.sources.Store(sources(r))
	}
	m.order = slices.Sorted(maps.Keys(m.peers))
	maps.DeleteFunc(m.refused, func(e AnnouncementRefused, _ bool) bool {
		r := m.catalog[e.Router]
		return r == nil || r.granted(e.Prefix) // worth telling again, should it come to that
	})
	m.learnPrefixes()
	m.flood.age(time.Now())
	m.saySoon()
	m.recompute()
	// The certificate may be another too: what a peer would refuse now is closed. It waits for the
	// sessions to be gone, which the loop must not.
	m.wg.Go(func() { m.tunnel.Recheck() })
}

// me is this router as the catalog knows it.
func (m *Mesh) me() *Router { return m.catalog[m.conf.Self] }

// do has f run by the loop and waits for it. It says false when ctx ended first; f may then run or not.
func (m *Mesh) do(ctx context.Context, f func(now time.Time)) bool {
	done := make(chan struct{})
	select {
	case m.inbox <- func(now time.Time) { f(now); close(done) }:
	case <-ctx.Done():
		return false
	case <-m.over:
		return false
	}
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	case <-m.over:
		return false
	}
}

// ask is do for what can fail.
func (m *Mesh) ask(ctx context.Context, f func(now time.Time) error) error {
	answer := make(chan error, 1)
	if m.do(ctx, func(now time.Time) { answer <- f(now) }) {
		return <-answer
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return errors.New("this router stops")
}

// tell has f run by the loop soon, or not at all when the loop is busy.
func (m *Mesh) tell(f func(now time.Time)) {
	select {
	case m.inbox <- f:
	default:
	}
}

func (m *Mesh) tooBig(addr netip.AddrPort, octets int) {
	m.tell(func(now time.Time) { m.narrowed(now, addr, octets) })
}

func (m *Mesh) spoofed(id topo.RouterID, src netip.Addr, packets uint64) {
	m.tell(func(time.Time) { m.emit(SourceRefused{Router: id, Source: src, Packets: packets}) })
}

func closeCode(revoked bool) tunnel.Code {
	if revoked {
		return tunnel.CodeRevoked
	}
	return tunnel.CodeUnknownRouter
}
