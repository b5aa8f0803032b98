package replication

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// cursor is how far a destination has followed a source under one rule. The zero value has nothing yet.
type cursor struct {
	// Store and Incarnation name the source's store: the sequence numbers of another one mean nothing.
	Store       string `json:"store,omitempty"`
	Incarnation uint64 `json:"incarnation,omitempty"`
	// Tail is the phase: false while the walk is under way.
	Tail bool `json:"tail,omitempty"`
	// Bucket, Key and Within name the version that the walk has passed last; versions of a key come newest
	// first.
	Bucket string           `json:"bucket,omitempty"`
	Key    string           `json:"key,omitempty"`
	Within object.VersionID `json:"within,omitzero"`
	// Seq is the last log entry that is done: of the tail, or, during a walk, where the tail will begin.
	Seq store.Seq `json:"seq"`
	// Until is where the log ended when the walk began, zero once the tail is past it. Up to there the tail
	// has nothing but the purges: a walk finds what exists, and cannot say of what is gone.
	Until store.Seq `json:"until,omitempty"`
}

// encode gives what the store keeps of a cursor, or of anything else that is kept beside cursors.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("%T does not encode: %v", v, err))
	}
	return b
}

// passed says whether the cursor stands for a log entry: it was applied at the destination, or the rule
// does not select it. A walk stands for nothing yet.
func (c cursor) passed(seq store.Seq) bool { return c.Tail && c.Seq >= seq }

// skips says whether the tail leaves a log entry out, since the walk had it.
func (c cursor) skips(en *store.LogEntry) bool { return en.Seq <= c.Until && !en.Purged }

// cursorName is under what a destination keeps its cursor of a flow.
func (f flow) cursorName() string { return fmt.Sprintf("follow/%s/%s/%s", f.rule, f.hash, f.source) }

// ref names a version on the wire and in lists.
type ref struct {
	Bucket string           `json:"bucket"`
	Key    string           `json:"key"`
	ID     object.VersionID `json:"id"`
}

func refOf(v *object.Version) ref { return ref{v.Bucket, v.Key, v.ID} }

// mark is a version's name in short, as a source remembers what a destination has set aside.
type mark [16]byte

// MarshalText gives hexadecimal.
func (m mark) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, m[:]), nil }

// UnmarshalText reads what MarshalText gives.
func (m *mark) UnmarshalText(b []byte) error {
	if len(b) != hex.EncodedLen(len(m)) {
		return fmt.Errorf("mark of %d characters", len(b))
	}
	_, err := hex.Decode(m[:], b)
	return err
}

func (r ref) mark() mark {
	h := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d.%d", r.Bucket, r.Key, r.ID.Time, r.ID.Origin))
	return mark(h[:16])
}

// aside is what a destination keeps of a version that it could not take.
type aside struct {
	ref
	Why   string    `json:"why"`
	Since time.Time `json:"since"`
}

const asidePrefix = "aside/"

func (f flow) asidePrefix() string {
	return fmt.Sprintf("%s%s/%s/%s/", asidePrefix, f.rule, f.hash, f.source)
}

// asideName holds a digest instead of the key: names of cursors are shorter than keys may be.
func (f flow) asideName(r ref) string {
	m := r.mark()
	return f.asidePrefix() + hex.EncodeToString(m[:])
}

// ackKey names one follower of this router.
type ackKey struct {
	rule, hash string
	to         topo.RouterID
}

// name is under what a source keeps what the follower acknowledged.
func (k ackKey) name() string { return fmt.Sprintf("acked/%s/%s/%s", k.rule, k.hash, k.to) }
