package linkstate

import (
	"crypto/ed25519"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// DB is one router's copy of what all say. It is used by one goroutine.
type DB struct {
	self    topo.RouterID
	refresh time.Duration
}

// NewDB makes an empty database for the router self, where every origin makes a new record at least
// every refresh; a record expires when it is three refreshes old.
func NewDB(self topo.RouterID, refresh time.Duration) *DB { return &DB{self: self, refresh: refresh} }

// Trust is what Merge asks about an origin: the key that its records are signed with, and whether what a
// record says is allowed (grants, membership). Check may be nil.
type Trust struct {
	Key   func(topo.RouterID) (ed25519.PublicKey, bool)
	Check func(Record) error
}

// Merge takes a record that arrived at now. It reports whether the record was news and must be
// passed on; a record that is not newer than the one held is neither news nor an error, and costs no
// signature check.
func (d *DB) Merge(now time.Time, s Signed, t Trust) (changed bool, err error) { return false, nil }

// Age drops records that have expired and the words of origins that alive refuses (nil keeps all). It
// returns the origins whose records went.
func (d *DB) Age(now time.Time, alive func(topo.RouterID) bool) []topo.RouterID { return nil }

// NextAge says when the next record expires; zero when none will.
func (d *DB) NextAge() time.Time { return time.Time{} }

// Own says which version our next record must exceed: the newest of ourselves that any router has
// shown us, also from a former life whose clock was ahead of ours.
func (d *DB) Own() Version { return Version{} }

// All returns the records, ascending by origin. They are not to be changed.
func (d *DB) All() []Record { return nil }

// Get returns one router's record.
func (d *DB) Get(r topo.RouterID) (Record, bool) { return Record{}, false }

// Summary lists the versions held, ascending by origin: what is sent first on a new session.
func (d *DB) Summary() []Version { return nil }

// Missing returns, for a peer that holds theirs, the records that it lacks or holds in an older version,
// with their ages at now.
func (d *DB) Missing(now time.Time, theirs []Version) []Signed { return nil }

// AppendSummary appends the bytes of a summary to b: a count of 2 bytes, then 20 bytes for each.
func AppendSummary(b []byte, vs []Version) []byte { return b }

// ParseSummary reads what AppendSummary gives and refuses everything else.
func ParseSummary(b []byte) ([]Version, error) { return nil, nil }

// Significant says whether b differs from a by so much that a new record is due before the next refresh:
// another state or MTU, a round trip off by a tenth and 2 ms, a loss off by half and 0.5 %.
func Significant(a, b Link) bool { return false }
