package replication

import (
	"encoding/json"
	"fmt"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/store"
)

// cursor is how far a destination has followed a source under one rule. The zero value has nothing yet.
type cursor struct {
	// Store and Incarnation name the source's store: the sequence numbers of another one mean nothing.
	Store       string `json:"store,omitempty"`
	Incarnation uint64 `json:"incarnation,omitempty"`
	// Tail is the phase: false while the walk is under way.
	Tail bool `json:"tail,omitempty"`
	// Bucket and Key are the last that the walk has passed.
	Bucket string `json:"bucket,omitempty"`
	Key    string `json:"key,omitempty"`
	// Seq is the last log entry that is done: of the tail, or, during a walk, where the tail will begin.
	Seq store.Seq `json:"seq"`
}

func (c cursor) encode() []byte {
	b, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("cursor does not encode: %v", err))
	}
	return b
}

func decodeCursor(b []byte) (cursor, error) {
	var c cursor
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("decode cursor: %w", err)
	}
	return c, nil
}

// passed says whether the cursor stands for a log entry: it was applied at the destination, or the rule
// does not select it. A walk stands for nothing yet.
func (c cursor) passed(seq store.Seq) bool { return c.Tail && c.Seq >= seq }

// Names under which cursors lie in the store: the destination's own, and at the source what destinations
// acknowledged.
func (f flow) cursorName() string { return fmt.Sprintf("follow/%s/%s/%s", f.rule, f.hash, f.source) }

func ackName(rule, hash string, to topo.RouterID) string {
	return fmt.Sprintf("acked/%s/%s/%s", rule, hash, to)
}

func quarantineName(f flow, r *store.Replica) string {
	return fmt.Sprintf("quarantine/%s/%s/%s/%d.%d", f.rule, r.Version.Bucket, r.Version.Key, r.Version.ID.Time, r.Version.ID.Origin)
}
