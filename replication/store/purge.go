package store

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// purgeExpired removes what has had its time. Candidates are found in a view; each is judged again where it is
// removed, in the committer, since a write may have come in between.
func (s *Store) purgeExpired(ctx context.Context, res *GCResult) error {
	v, err := s.view.acquire()
	if err != nil {
		return err
	}
	defer s.view.release(v)
	if err := s.purgeVersions(ctx, v, res); err != nil {
		return err
	}
	if err := s.purgeConflicts(ctx, v); err != nil {
		return err
	}
	return s.purgeUploads(ctx, v, res)
}

// purgeBatch is how many keys share a sync.
const purgeBatch = 256

// inBatches gathers changes and commits purgeBatch of them at a time; flush ends it.
type inBatches struct {
	s     *Store
	ctx   context.Context
	todo  []func(tx *tx) (removed int, err error)
	total int // removed in all
}

func (p *inBatches) add(change func(tx *tx) (int, error)) error {
	if p.todo = append(p.todo, change); len(p.todo) < purgeBatch {
		return nil
	}
	return p.flush()
}

func (p *inBatches) flush() error {
	todo := p.todo
	p.todo = nil
	n := 0
	err := p.s.commit(p.ctx, len(todo)*recordWeight, func(tx *tx) error {
		n = 0
		for _, change := range todo {
			k, err := change(tx)
			if err != nil {
				return err
			}
			n += k
		}
		return nil
	})
	if err == nil {
		p.total += n
	}
	return err
}

// purgeVersions visits every key that may have something to remove.
func (s *Store) purgeVersions(ctx context.Context, v *view, res *GCResult) error {
	var bucket, last, chosen, nulled string
	unversioned := false
	batch := inBatches{s: s, ctx: ctx}
	err := scan(ctx, v.snap, spaceVersion, func(it *pebble.Iterator) error {
		b, key, _, err := parseVersionKey(it.Key(), 0)
		if err != nil {
			return err
		}
		if b != bucket {
			bucket, unversioned, last, chosen, nulled = b, s.unversioned(b), "", "", ""
		}
		if key == chosen {
			return nil
		}
		rec, err := recordAt(it)
		if err != nil {
			return err
		}
		latest := key != last
		last = key
		null := rec.v.Null || unversioned
		replaced := null && nulled == key
		if null {
			nulled = key
		}
		if !replaced && !(latest && rec.tombstone(unversioned)) || !s.expired(&rec, time.Now(), v.first) {
			return nil
		}
		chosen = key
		return batch.add(func(tx *tx) (int, error) { return tx.purgeKey(b, key) })
	})
	if err == nil {
		err = batch.flush()
	}
	res.PurgedVersions += batch.total
	return err
}

// unversioned says whether a bucket never kept versions.
func (s *Store) unversioned(bucket string) bool {
	return !s.opts.Versioned(bucket) && !s.opts.Suspended(bucket)
}

// tombstone says whether a record is there only to be replicated. Those of before tombstones were marked are
// delete markers of buckets that never kept versions.
func (r *record) tombstone(unversioned bool) bool {
	return r.v.DeleteMarker && (r.v.Tombstone || unversioned)
}

// expired says whether a version that is hidden or a tombstone may go: it has been here for the retention, and
// no follower still has to read its log entry.
func (s *Store) expired(r *record, now time.Time, firstLog Seq) bool {
	return r.seq < firstLog && now.Sub(r.arrived) >= s.opts.Retention
}

// purgeKey removes what has expired of a key: null versions whose replacement has been here for the retention too,
// and then a tombstone that hides nothing any more.
func (tx *tx) purgeKey(bucket, key string) (n int, err error) {
	var recs []*record
	err = scanVersions(tx.b, bucket, key, func(r *record) bool {
		recs = append(recs, r)
		return true
	})
	if err != nil || len(recs) == 0 {
		return 0, err
	}
	unversioned := tx.s.unversioned(bucket)
	head := recs[0]
	nulls := slices.DeleteFunc(recs, func(r *record) bool { return !r.v.Null && !unversioned })
	others := len(recs) - len(nulls)
	left := 0
	for i := len(nulls) - 1; i > 0; i-- {
		if !tx.s.expired(nulls[i], tx.now, tx.first) || tx.now.Sub(nulls[i-1].arrived) < tx.s.opts.Retention {
			left++
			continue
		}
		if err := tx.remove(nulls[i], head); err != nil {
			return n, err
		}
		n++
	}
	if left+others == 0 && head.tombstone(unversioned) && tx.s.expired(head, tx.now, tx.first) {
		n++
		return n, tx.remove(head, head)
	}
	return n, nil
}

// purgeConflicts forgets conflicts that were listed for the retention.
func (s *Store) purgeConflicts(ctx context.Context, v *view) error {
	batch := inBatches{s: s, ctx: ctx}
	err := scan(ctx, v.snap, spaceConflict, func(it *pebble.Iterator) error {
		val, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		c, err := decodeConflict(val)
		if err != nil || time.Since(c.found) < s.opts.Retention {
			return err
		}
		key := append([]byte(nil), it.Key()...)
		return batch.add(func(tx *tx) (int, error) { return 1, tx.b.Delete(key, nil) })
	})
	if err == nil {
		err = batch.flush()
	}
	return err
}

// purgeUploads aborts uploads that nobody finished.
func (s *Store) purgeUploads(ctx context.Context, v *view, res *GCResult) error {
	return scan(ctx, v.snap, spaceUpload, func(it *pebble.Iterator) error {
		u, _, err := uploadAt(it)
		if err != nil || time.Since(u.Created) < s.opts.UploadRetention {
			return err
		}
		err = s.AbortUpload(ctx, u.Version.Bucket, u.Version.Key, u.ID)
		if errors.Is(err, ErrNoSuchUpload) {
			return nil // finished in the meantime
		}
		res.AbortedUploads++
		return err
	})
}
