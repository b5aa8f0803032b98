package fabric

import (
	"crypto/ed25519"
	"slices"
	"time"

	"github.com/galleon-net/galleon/fabric/linkstate"
	"github.com/galleon-net/galleon/fabric/topo"
)

const (
	refreshEvery = 10 * time.Second      // age of our record that asks for a new one
	calmFor      = 5 * time.Second       // without news the damping is forgotten
	dampMin      = 50 * time.Millisecond // between two of our records when something changed
	dampMax      = 2 * time.Second       // the damping doubles up to this while it goes on changing
)

// flooder keeps the link-state database, says our own word into it and passes on what is new. It sees its
// surroundings through four functions.
type flooder struct {
	self  topo.RouterID
	db    *linkstate.DB
	sign  func([]byte) []byte
	key   func(topo.RouterID) (ed25519.PublicKey, bool) // of a router that may speak
	word  func() linkstate.Record                       // links and prefixes as they are now
	peers func(yield func(topo.RouterID, *outbox))      // control streams of the neighbours

	life   uint64 // incarnation of our records
	seq    uint64
	own    linkstate.Record
	issued time.Time
	damp   time.Duration
}

// speak issues our record when it is due: it changed and the damping allows it, or it is old. It says
// whether it did.
func (f *flooder) speak(now time.Time) (bool, error) {
	quiet := now.Sub(f.issued)
	if quiet >= calmFor {
		f.damp = dampMin
	}
	w := f.word()
	due := f.issued.IsZero() || quiet >= refreshEvery
	if !due && changed(f.own, w) && quiet >= f.damp {
		due, f.damp = true, min(2*f.damp, dampMax)
	}
	if !due {
		return false, nil
	}
	// A former life of this router, whose clock was ahead, may have left a newer record.
	if v := f.db.Own(); v.Incarnation > f.life || v.Incarnation == f.life && v.Seq > f.seq {
		f.life, f.seq = v.Incarnation, v.Seq
	}
	f.seq++
	w.Origin, w.Incarnation, w.Seq, w.Issued = f.self, f.life, f.seq, now
	s, err := linkstate.Sign(w, f.sign)
	if err != nil {
		return false, err
	}
	if _, err := f.merge(now, s, nil); err != nil {
		return false, err
	}
	f.own, f.issued = w, now
	return true, nil
}

// changed says whether w is worth a new record before the old one is due for refreshing.
func changed(own, w linkstate.Record) bool {
	return own.Draining != w.Draining || !slices.Equal(own.Prefixes, w.Prefixes) ||
		!slices.EqualFunc(own.Links, w.Links, func(a, b linkstate.Link) bool {
			return a.To == b.To && !linkstate.Significant(a, b)
		})
}

// merge takes a record and passes it on, if it is news, to everybody but who sent it.
func (f *flooder) merge(now time.Time, s linkstate.Signed, from *outbox) (bool, error) {
	news, err := f.db.Merge(now, s, linkstate.Trust{Key: f.key})
	if !news || err != nil {
		return false, err
	}
	r, err := linkstate.Decode(s.Record)
	if err != nil {
		return false, err
	}
	f.peers(func(_ topo.RouterID, out *outbox) {
		if out != from {
			out.putRecord(r.Origin, s)
		}
	})
	return true, nil
}

// greet begins the exchange on a new session: both ends say what they have, and send what the other lacks.
func (f *flooder) greet(out *outbox) { out.putSummary(f.db.Summary()) }

// compare answers a neighbour's summary.
func (f *flooder) compare(now time.Time, out *outbox, theirs []linkstate.Version) {
	for _, s := range f.db.Missing(now, theirs) {
		if r, err := linkstate.Decode(s.Record); err == nil {
			out.putRecord(r.Origin, s)
		}
	}
}

// age forgets what has expired and what the catalog no longer knows.
func (f *flooder) age(now time.Time) bool {
	return len(f.db.Age(now, func(r topo.RouterID) bool {
		_, ok := f.key(r)
		return ok || r == f.self
	})) > 0
}
