package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/galleon-net/galleon/replication/object"
)

// maxReplicas bounds one ApplyReplica.
const maxReplicas = 10_000

// ApplyReplica commits versions that another store took, in order, and the cursor that stands for them, in
// one synced batch; a cursor without a name is left out. What the store has already is skipped, so that a
// batch may be sent again. It gives the number of changes that were new. All chunks must be here
// (ErrMissingChunk: nothing was applied). A replica is never refused for its time.
func (s *Store) ApplyReplica(ctx context.Context, batch []Replica, cur Cursor) (applied int, err error) {
	if len(batch) > maxReplicas {
		return 0, fmt.Errorf("apply replicas: %w: %d in one batch, want at most %d", ErrTooLarge, len(batch), maxReplicas)
	}
	if cur.Name != "" {
		if err := checkCursor(cur); err != nil {
			return 0, err
		}
	}
	var versions []*object.Version
	for i := range batch {
		v := &batch[i].Version
		if err := checkReplica(&batch[i]); err != nil {
			return 0, fmt.Errorf("apply replica %d of %d, %s/%s: %w", i+1, len(batch), v.Bucket, v.Key, err)
		}
		if !batch[i].Purged {
			versions = append(versions, v)
		}
	}
	if slices.ContainsFunc(versions, func(v *object.Version) bool { return !v.DeleteMarker }) {
		if err := s.space.admit(); err != nil {
			return 0, err
		}
	}
	release, err := s.needChunks(versions...)
	if err != nil {
		return 0, fmt.Errorf("apply %d replicas: %w", len(batch), err)
	}
	defer release()
	weight := 0
	for _, v := range versions {
		weight += recordWeight + len(v.Chunks)*chunkRefLen
	}
	n := 0
	err = s.commit(ctx, weight, func(tx *tx) error {
		n = 0
		for _, r := range batch {
			fresh, err := tx.applyReplica(&r)
			if err != nil {
				return err
			}
			if fresh {
				n++
			}
		}
		if cur.Name == "" {
			return nil
		}
		return tx.setCursor(cur)
	})
	if err != nil {
		return 0, fmt.Errorf("apply %d replicas: %w", len(batch), err)
	}
	return n, nil
}

func (tx *tx) applyReplica(r *Replica) (fresh bool, err error) {
	if r.Purged {
		return tx.replicaPurge(r)
	}
	_, fresh, err = tx.replica(&r.Version, r.CatalogIndex)
	return fresh, err
}

func checkReplica(r *Replica) error {
	if r.Version.ID.IsZero() {
		return errors.New("a replica must have a version id")
	}
	if r.Purged {
		return errors.Join(object.CheckBucketName(r.Version.Bucket), object.CheckKey(r.Version.Key))
	}
	return checkVersion(&r.Version)
}

// replica writes a version made elsewhere unless it is here, and says where in the log it is.
func (tx *tx) replica(v *object.Version, catalog uint64) (seq Seq, fresh bool, err error) {
	have, err := tx.version(v.Bucket, v.Key, v.ID)
	if err == nil {
		return tx.merge(have, v, catalog)
	}
	if !errors.Is(err, ErrNotFound) {
		return 0, false, err
	}
	stamp(v)
	head, err := tx.head(v.Bucket, v.Key)
	if err != nil {
		return 0, false, err
	}
	tx.s.opts.Clock.Observe(tx.now, v.ID.Time)
	if seq, err = tx.insert(v, head, catalog); err == nil {
		err = tx.settleConflicts(v, head)
	}
	return seq, true, err
}

func (tx *tx) replicaPurge(r *Replica) (fresh bool, err error) {
	v := &r.Version
	rec, err := tx.version(v.Bucket, v.Key, v.ID)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err == nil && !mayPurge(rec, tx) {
		return false, nil
	}
	if err == nil {
		_, err = tx.purge(v.Bucket, v.Key, v.ID, rec, r.CatalogIndex)
	}
	return err == nil, err
}
