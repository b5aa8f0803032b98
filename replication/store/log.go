package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galleon-net/galleon/replication/object"
)

const (
	// maxLogEntries and maxLogChunks bound one answer of Log; the latter is 2.3 MiB of references.
	maxLogEntries = 10_000
	maxLogChunks  = 64 << 10
)

// Log gives entries from a sequence on, at most limit, in commit order, and the sequence to ask for next. A
// version that was purged since has no entry of its own any more, only its purge has, so next may be greater
// than the last entry's successor. ErrTrimmed when the log no longer begins at or before from.
func (s *Store) Log(from Seq, limit int) (entries []LogEntry, next Seq, err error) {
	if limit <= 0 || limit > maxLogEntries {
		limit = maxLogEntries
	}
	next = max(from, 1)
	err = s.read(func(v *view) error {
		if next < v.first {
			return fmt.Errorf("%w: it begins at %d", ErrTrimmed, v.first)
		}
		if next > v.next {
			return fmt.Errorf("sequence %d is in the future, the next is %d: the cursor is from another store or incarnation", from, v.next)
		}
		it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: logKey(next), UpperBound: []byte{spaceLog + 1}})
		if err != nil {
			return err
		}
		chunks := 0
		for ok := it.First(); ok && err == nil && len(entries) < limit && chunks < maxLogChunks; ok = it.Next() {
			var e LogEntry
			var gone bool
			if e, gone, err = entryAt(v.snap, it); err != nil {
				break
			}
			if e.Seq != next {
				err = fmt.Errorf("%w: the log has no entry %d", ErrCorrupt, next)
				break
			}
			next++
			if !gone {
				entries = append(entries, e)
				chunks += len(e.Version.Chunks)
			}
		}
		return errors.Join(err, it.Error(), it.Close())
	})
	if err != nil {
		return nil, from, fmt.Errorf("read the log from %d: %w", from, err)
	}
	return entries, next, nil
}

// entryAt reads the entry under an iterator; gone says that its version was purged since.
func entryAt(r pebble.Reader, it *pebble.Iterator) (e LogEntry, gone bool, err error) {
	val, err := it.ValueAndErr()
	if err != nil {
		return e, false, err
	}
	if len(it.Key()) != 9 {
		return e, false, fmt.Errorf("%w: log key of %d bytes", ErrCorrupt, len(it.Key()))
	}
	l, err := decodeLogRecord(val)
	if err != nil {
		return e, false, err
	}
	e = LogEntry{
		Seq: Seq(binary.BigEndian.Uint64(it.Key()[1:])), CatalogIndex: l.catalog, Purged: l.purged,
		Version: object.Version{Bucket: l.bucket, Key: l.key, ID: l.id},
	}
	if l.purged {
		return e, false, nil
	}
	rec, err := readVersion(r, l.bucket, l.key, l.id)
	// Purged and sent again by a peer, the version has a newer entry.
	if errors.Is(err, ErrNotFound) || err == nil && rec.seq != e.Seq {
		return e, true, nil
	}
	if err == nil {
		e.Version, err = whole(r, rec)
	}
	return e, false, err
}

// LogNotify gives a channel that is closed when the log grows: take it, then read the log, then wait.
// It is closed too when the store is.
func (s *Store) LogNotify() <-chan struct{} { return s.view.notify() }

// LogRange gives the first sequence that is kept and the one that the next entry will have.
func (s *Store) LogRange() (first, next Seq) {
	_ = s.read(func(v *view) error { // fails only when closed
		first, next = v.first, v.next
		return nil
	})
	return first, next
}

// TrimLog forgets entries before a sequence. Call it when every follower has passed them or was told to
// resync: GC takes tombstones and hidden versions only once their entries are trimmed.
func (s *Store) TrimLog(ctx context.Context, before Seq) error {
	err := s.commit(ctx, recordWeight, func(tx *tx) error {
		before := min(before, tx.next)
		if before <= tx.first {
			return nil
		}
		if err := tx.b.DeleteRange(logKey(tx.first), logKey(before), nil); err != nil {
			return err
		}
		tx.first = before
		return nil
	})
	if err != nil {
		return fmt.Errorf("trim the log before %d: %w", before, err)
	}
	return nil
}
