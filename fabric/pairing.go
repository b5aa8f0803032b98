package fabric

import (
	"errors"
	"math/rand/v2"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// kind tells the two ways in which a pair may hold a session.
type kind uint8

const (
	direct  kind = iota // over the underlay, to an endpoint of the peer
	carried             // in Session packets, hop by hop through relays
	kinds               // how many
)

func (k kind) String() string { return [...]string{"direct", "carried"}[k] }

// The patience of a pairing.
const (
	higherWaits = 2 * time.Second  // the higher router leaves the first try to the lower
	carryAfter  = time.Second      // a direct dial gets this long before relays are asked
	rekeyWaits  = 30 * time.Second // who did not dial the session leaves new keys to the one who did
	settleFor   = 10 * time.Second // while a session is younger, one dialed the other way is its twin by accident
	backoffMin  = 500 * time.Millisecond
	backoffMax  = 15 * time.Second
)

// errTwin refuses a session because the pair already has the one that both ends prefer.
var errTwin = errors.New("both ends dialed; the session dialed by the lower router stays")

// pairing decides about the sessions with one peer: when to dial, which of two stays, which number the
// next keys get. It is pure; the loop carries out what it says.
//
//	                 lower router: at once                          handshake
//	(no session) ── higher: after higherWaits ──► dialing ──────────────────────► held
//	      ▲                                          │ failed: backoff, 0.5 to 15 s  │ ended
//	      └──────────────────────────────────────────┴──────────────────────────────┘
//
// Epoch numbers of a pair must not meet when both ends dial at the same time, also once directly and once
// through a relay. So the sessions that the lower router dials make odd epochs and those of the higher
// make even ones, and the router that accepts moves a number that it has seen before to the next free
// one. Among the epochs that both ends hold, the greatest is sealed with: a rule that gives both ends
// the same answer in whatever order they learn of them.
type pairing struct {
	self, peer topo.RouterID
	held       [kinds]*holding
	dials      [kinds]dialing
	lacking    [kinds]time.Time // since when this kind has been wanted and missing; zero when not
	epoch      uint16           // the greatest that either end has named
	hurried    bool             // the peer seals with keys that we do not have: it believes in a session that is gone
}

// holding is a session that is ready.
type holding struct {
	epoch  uint16
	dialed bool      // by this router
	life   uint64    // of the peer: tells its incarnations apart
	since  time.Time // when it became ready
}

// dialing is the attempts of one kind.
type dialing struct {
	underway bool
	fails    int       // in a row
	next     time.Time // not before
	err      error     // of the last attempt
}

// conditions is what a pairing must know of the world.
type conditions struct {
	dialable bool // the peer has an endpoint
	linkDown bool // the probes say that the direct path does not work
	way      bool // packets get to the peer: through another router, or by the link whose session is missing
	rekey    bool // the keys are old or used
	newest   bool // the newest keys came from a session that this router dialed
}

// wants says whether a session of kind k is to be dialed now.
func (p *pairing) wants(k kind, now time.Time, c conditions) bool {
	missing, mine := p.missing(k, now, c)
	if !missing {
		p.lacking[k] = time.Time{}
		return false
	}
	if p.lacking[k].IsZero() {
		p.lacking[k] = now
	}
	patience := higherWaits
	switch {
	case mine, p.hurried && p.held[k] == nil:
		patience = 0
	case p.held[k] != nil && !c.linkDown:
		patience = rekeyWaits
	}
	if k == carried && !c.rekey {
		patience += carryAfter
	}
	d := &p.dials[k]
	return !d.underway && !now.Before(d.next) && !now.Before(p.lacking[k].Add(patience))
}

// missing says whether kind k lacks a session, and whether it is for this router to dial it first.
func (p *pairing) missing(k kind, now time.Time, c conditions) (missing, mine bool) {
	noDirect := p.held[direct] == nil || c.linkDown
	lower := p.self < p.peer
	switch k {
	case direct:
		if !c.dialable {
			return false, false
		}
		// A session over a link that is down may be one that the peer has lost. Another is only worth a
		// try when this one has had its time: on a machine that is too busy for its probes, sessions
		// would else replace each other as fast as they can be dialed.
		if noDirect && (p.held[direct] == nil || now.Sub(p.held[direct].since) >= settleFor) {
			return true, lower
		}
		return c.rekey, c.newest
	default:
		if !noDirect || !c.way {
			return false, false
		}
		if p.held[carried] == nil {
			return true, lower
		}
		return c.rekey, c.newest
	}
}

// begin notes that a dial starts and gives the epoch to propose.
func (p *pairing) begin(k kind) (epoch uint16) {
	p.dials[k].underway = true
	p.epoch = after(p.epoch, p.self < p.peer)
	return p.epoch
}

// finish notes how a dial ended. It returns how long until the next may begin. A refused twin is no
// failure: the pair has what it needs.
func (p *pairing) finish(k kind, now time.Time, err error, rng *rand.Rand) time.Duration {
	d := &p.dials[k]
	d.underway, d.err = false, err
	if err == nil || errors.Is(err, errTwin) {
		d.fails = 0
	} else {
		d.fails++
	}
	wait := min(backoffMin<<min(max(d.fails-1, 0), 8), backoffMax)
	// Half fixed, half random, so that two routers that fail together do not try together for ever.
	wait = wait/2 + time.Duration(rng.Int64N(int64(wait/2)+1))
	d.next = now.Add(wait)
	return wait
}

// agree chooses the epoch of a session that the peer dialed: the one proposed, or the next that neither end
// has named. A peer that restarted begins at 1 again and learns so where we are.
func (p *pairing) agree(proposed uint16) uint16 {
	byLower := p.peer < p.self
	if newer(proposed, p.epoch) && odd(proposed) == byLower && proposed != 0 {
		p.epoch = proposed
	} else {
		p.epoch = after(p.epoch, byLower)
	}
	return p.epoch
}

// noticed notes an epoch that the peer chose for a session that we dialed.
func (p *pairing) noticed(epoch uint16) {
	if newer(epoch, p.epoch) {
		p.epoch = epoch
	}
}

// admit says whether a session may become the one of its kind. It is asked by who accepts when the hello
// arrives, and by both when the handshake is over, since the twin may have been quicker.
func (p *pairing) admit(k kind, dialed bool, life uint64, now time.Time, c conditions) error {
	h := p.held[k]
	switch {
	case h == nil, h.life != life, h.dialed == dialed, k == direct && c.linkDown:
		return nil
	case now.Sub(h.since) >= settleFor:
		// No accident: who dials beside a session this old wants new keys, or has lost the session.
		return nil
	case h.dialed == (p.self < p.peer):
		return errTwin
	}
	return nil
}

// ready notes that a session is the one of its kind now.
func (p *pairing) ready(k kind, h holding) {
	p.held[k] = &h
	p.hurried = false
}

// hurry hears of packets of the peer under an epoch that we do not have, as when this process restarted
// and the peer has not noticed. The higher router then need not wait for the lower's dial, which will not
// come before the peer notices.
func (p *pairing) hurry() { p.hurried = true }

// ended notes that the session that made epoch is over, if it still was the one of its kind.
func (p *pairing) ended(k kind, epoch uint16) bool {
	if p.held[k] == nil || p.held[k].epoch != epoch {
		return false
	}
	p.held[k] = nil
	return true
}

// newer compares epochs as serial numbers (RFC 1982), so that they may wrap.
func newer(a, b uint16) bool { return int16(a-b) > 0 }

func odd(n uint16) bool { return n&1 == 1 }

// after gives the next epoch, odd or even as asked, and never 0, which the hello reads as none.
func after(n uint16, wantOdd bool) uint16 {
	for n++; odd(n) != wantOdd || n == 0; n++ {
	}
	return n
}
