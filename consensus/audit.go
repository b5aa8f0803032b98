package consensus

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galleon-net/galleon/consensus/state"
)

const (
	// maxAudit is how many entries a voter keeps; the oldest go first. At a thousand changes a day it
	// is longer than two years.
	maxAudit = 1_000_000
	// maxAuditRead bounds one answer.
	maxAuditRead     = 1000
	auditMemTable    = 1 << 20
	auditTrimmedEach = 1024
)

// auditTrail is the audit entries on a voter's disk, in a Pebble of its own: 'a' and the sequence number
// in eight bytes, to the entry in JSON. Entries are not synced one by one: those that a crash takes are
// applied again from Raft's log, and sync is called before a snapshot replaces that log.
type auditTrail struct {
	db *pebble.DB
	// life is held for reading by everyone who uses db, so that close waits for them.
	life   sync.RWMutex
	closed bool
}

// auditLogger ends the process where Pebble wants to.
type auditLogger struct{ fatal func(error) }

func (auditLogger) Infof(string, ...any)  {}
func (auditLogger) Errorf(string, ...any) {}
func (l auditLogger) Fatalf(format string, a ...any) {
	err := fmt.Errorf("audit trail: "+format, a...)
	l.fatal(err)
	panic(err) // only where Fatal returned: Pebble must not go on
}

func openAudit(fs vfs.FS, dir string, fatal func(error)) (*auditTrail, error) {
	db, err := pebble.Open(dir, &pebble.Options{
		FS: fs, Logger: auditLogger{fatal}, FormatMajorVersion: pebble.FormatWALSyncChunks, MemTableSize: auditMemTable,
	})
	if err != nil {
		return nil, fmt.Errorf("open audit trail in %s: %w", dir, err)
	}
	return &auditTrail{db: db}, nil
}

func (a *auditTrail) close() error {
	a.life.Lock()
	defer a.life.Unlock()
	a.closed = true
	return a.db.Close()
}

func auditKey(seq uint64) []byte { return binary.BigEndian.AppendUint64([]byte{'a'}, seq) }

// add keeps an entry. After a restart the same entries come again.
func (a *auditTrail) add(e state.AuditEntry) error {
	v, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("audit entry %d: %w", e.Seq, err)
	}
	if err := a.db.Set(auditKey(e.Seq), v, pebble.NoSync); err != nil {
		return fmt.Errorf("keep audit entry %d: %w", e.Seq, err)
	}
	if e.Seq > maxAudit && e.Seq%auditTrimmedEach == 0 {
		if err := a.db.DeleteRange(auditKey(0), auditKey(e.Seq-maxAudit), pebble.NoSync); err != nil {
			return fmt.Errorf("trim the audit trail: %w", err)
		}
	}
	return nil
}

// sync makes everything added so far durable.
func (a *auditTrail) sync() error { return a.db.LogData(nil, pebble.Sync) }

// read gives up to n entries from a sequence number on, as far as they follow each other.
func (a *auditTrail) read(from uint64, n int) ([]state.AuditEntry, error) {
	a.life.RLock()
	defer a.life.RUnlock()
	if a.closed {
		return nil, ErrNotVoter
	}
	it, err := a.db.NewIter(&pebble.IterOptions{LowerBound: auditKey(from), UpperBound: []byte{'a' + 1}})
	if err != nil {
		return nil, err
	}
	var out []state.AuditEntry
	for ok := it.First(); ok && len(out) < n; ok = it.Next() {
		var e state.AuditEntry
		if err := json.Unmarshal(it.Value(), &e); err != nil {
			return nil, errors.Join(fmt.Errorf("audit entry under %x: %w", it.Key(), err), it.Close())
		}
		if len(out) > 0 && e.Seq != out[len(out)-1].Seq+1 {
			break
		}
		out = append(out, e)
	}
	return out, it.Close()
}

// checkAudit verifies a run of entries that begins at from: each hash, each link, and that the run ends
// in the head when it reaches it.
func checkAudit(entries []state.AuditEntry, from uint64, head state.AuditHead) error {
	if len(entries) == 0 {
		return nil
	}
	if entries[0].Seq < from {
		return fmt.Errorf("audit entry %d where %d or later was asked for", entries[0].Seq, from)
	}
	if err := state.VerifyAudit(entries); err != nil {
		return err
	}
	last := entries[len(entries)-1]
	if last.Seq == head.Seq && last.Hash != head.Hash {
		return fmt.Errorf("audit entry %d is not the one that the state names as its last: the trail was rewritten", last.Seq)
	}
	return nil
}
