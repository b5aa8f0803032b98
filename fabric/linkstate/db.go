package linkstate

import (
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// lifetimes is how many refresh periods a record lives: two may be lost on the way.
const lifetimes = 3

// Errors of Merge that a caller may want to tell apart; the others are ErrFormat and ErrSignature.
var (
	ErrStranger = errors.New("no such router in the cluster")
	ErrExpired  = errors.New("record has expired on the way")
	ErrFull     = errors.New("too many origins")
)

// DB is one router's copy of what all say. It is used by one goroutine.
//
// An origin's version is remembered after its record expired, so that a copy of the same record that
// comes back from a healed partition does not live a second time.
type DB struct {
	self    topo.RouterID
	refresh time.Duration
	entries map[topo.RouterID]*entry // at most MaxOrigins
	own     Version
}

type entry struct {
	version Version
	record  *Record // nil once expired
	signed  Signed
	born    time.Time // on our clock; the record's age is the time since
}

// NewDB makes an empty database for the router self, where every origin makes a new record at least
// every refresh; a record expires when it is three refreshes old.
func NewDB(self topo.RouterID, refresh time.Duration) *DB {
	if refresh <= 0 {
		panic(fmt.Sprintf("linkstate: refresh of %s", refresh))
	}
	return &DB{self: self, refresh: refresh, entries: map[topo.RouterID]*entry{}, own: Version{Origin: self}}
}

// Trust is what Merge asks about an origin: the key that its records are signed with, and whether what a
// record says is allowed (grants, membership). Check may be nil.
type Trust struct {
	Key   func(topo.RouterID) (ed25519.PublicKey, bool)
	Check func(Record) error
}

// Merge takes a record that arrived at now. It reports whether the record was news and must be
// passed on; a record that is not newer than the one held is neither news nor an error, and costs no
// signature check: in a flood most copies are such.
func (d *DB) Merge(now time.Time, s Signed, t Trust) (changed bool, err error) {
	r, err := Decode(s.Record)
	if err != nil {
		return false, err
	}
	held, known := d.entries[r.Origin]
	if known && !r.Version().Newer(held.version) {
		return false, nil
	}
	key, ok := t.Key(r.Origin)
	if !ok {
		return false, fmt.Errorf("merge link-state of %s: %w", r.Origin, ErrStranger)
	}
	if err := s.verify(r.Origin.String(), key); err != nil {
		return false, err
	}
	// Whatever becomes of it: we said so once, and must say something newer now.
	if r.Origin == d.self && r.Version().Newer(d.own) {
		d.own = r.Version()
	}
	if s.Age < 0 || s.Age >= lifetimes*d.refresh {
		return false, fmt.Errorf("merge link-state of %s, age %s: %w", r.Origin, s.Age, ErrExpired)
	}
	if t.Check != nil {
		if err := t.Check(r); err != nil {
			return false, fmt.Errorf("merge link-state of %s: %w", r.Origin, err)
		}
	}
	if !known && len(d.entries) >= MaxOrigins {
		return false, fmt.Errorf("merge link-state of %s: %w (%d)", r.Origin, ErrFull, MaxOrigins)
	}
	s.Record, s.Sig = slices.Clone(s.Record), slices.Clone(s.Sig)
	d.entries[r.Origin] = &entry{version: r.Version(), record: &r, signed: s, born: now.Add(-s.Age)}
	return true, nil
}

// Age drops records that have expired, and everything about origins that alive refuses (nil refuses
// none). It returns the origins whose records went, ascending.
func (d *DB) Age(now time.Time, alive func(topo.RouterID) bool) []topo.RouterID {
	var gone []topo.RouterID
	for origin, e := range d.entries {
		removed := alive != nil && !alive(origin)
		if e.record != nil && (removed || !now.Before(e.born.Add(lifetimes*d.refresh))) {
			gone = append(gone, origin)
			e.record, e.signed = nil, Signed{}
		}
		if removed {
			delete(d.entries, origin)
		}
	}
	slices.Sort(gone)
	return gone
}

// NextAge says when the next record expires; zero when none will.
func (d *DB) NextAge() (next time.Time) {
	for _, e := range d.entries {
		if at := e.born.Add(lifetimes * d.refresh); e.record != nil && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next
}

// Own says which version our next record must exceed: the newest of ourselves that any router has
// shown us, also from a former life whose clock was ahead of ours.
func (d *DB) Own() Version { return d.own }

// All returns the records, ascending by origin. They are not to be changed.
func (d *DB) All() []Record {
	var all []Record
	for _, origin := range d.origins() {
		all = append(all, *d.entries[origin].record)
	}
	return all
}

// Get returns one router's record. It is not to be changed.
func (d *DB) Get(r topo.RouterID) (Record, bool) {
	if e, ok := d.entries[r]; ok && e.record != nil {
		return *e.record, true
	}
	return Record{}, false
}

// Signed returns one router's record as it is to be passed on at now.
func (d *DB) Signed(now time.Time, r topo.RouterID) (Signed, bool) {
	e, ok := d.entries[r]
	if !ok || e.record == nil {
		return Signed{}, false
	}
	s := e.signed
	s.Age = max(now.Sub(e.born), 0)
	return s, true
}

// origins lists those whose records are held, ascending.
func (d *DB) origins() []topo.RouterID {
	held := slices.Collect(maps.Keys(d.entries))
	held = slices.DeleteFunc(held, func(r topo.RouterID) bool { return d.entries[r].record == nil })
	slices.SortFunc(held, cmp.Compare)
	return held
}
