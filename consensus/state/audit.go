package state

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// AuditHead is the end of the audit trail. The entries lie beside the state.
type AuditHead struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"`
}

// AuditEntry is one change: who made it, when, why, and what it was. Hash covers every other field,
// and Prev is the hash of the entry before, so that an entry can be neither changed nor taken out
// without breaking the chain up to the head that the state holds.
type AuditEntry struct {
	Seq    uint64    `json:"seq"`
	Index  uint64    `json:"index"`
	Time   time.Time `json:"time"`
	Author string    `json:"author"`
	Reason string    `json:"reason,omitempty"`
	What   string    `json:"what"`
	Prev   string    `json:"prev"`
	Hash   string    `json:"hash"`
}

// record adds an entry for a command that was carried out.
func (s *State) record(index uint64, c Command, what string) *AuditEntry {
	e := &AuditEntry{
		Seq: s.Audit.Seq + 1, Index: index, Time: s.Time.UTC(), Author: c.Author, Reason: c.Reason, What: what, Prev: s.Audit.Hash,
	}
	e.Hash = e.sum()
	s.Audit = AuditHead{Seq: e.Seq, Hash: e.Hash}
	return e
}

func (e AuditEntry) sum() string {
	e.Hash = ""
	b, err := json.Marshal(e)
	if err != nil {
		panic(fmt.Sprintf("audit entry %d does not encode: %v", e.Seq, err))
	}
	h := sha256.Sum256(b)
	return hex.EncodeToString(h[:])
}

// VerifyAudit checks a run of entries: each one's own hash, and that each follows the one before. It
// says at which sequence number the chain is broken.
func VerifyAudit(entries []AuditEntry) error {
	for i, e := range entries {
		if e.sum() != e.Hash {
			return fmt.Errorf("audit entry %d was altered: its hash does not match", e.Seq)
		}
		if i > 0 && (e.Seq != entries[i-1].Seq+1 || e.Prev != entries[i-1].Hash) {
			return fmt.Errorf("audit entry %d does not follow %d: an entry is missing or was replaced", e.Seq, entries[i-1].Seq)
		}
	}
	return nil
}
