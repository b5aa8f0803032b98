package store

import (
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galleon-net/galleon/replication/object"
)

// A version names the one that its writer saw (Replaces). Hence a version has lost a conflict exactly when it
// is not the latest and nobody replaced it: two writers did not see each other, and the later one won. That
// follows from the versions alone, so that all regions come to list the same conflicts, in whatever order
// versions reach them. Until all have, a version may look unreplaced because its successor is still on the
// way; when that arrives the conflict is taken off the list.

// maxConflictDepth bounds how far above a version its successor is looked for. It is nearly always the very next:
// only a key that is written this often while one write is on its way gets a conflict listed that was none.
const maxConflictDepth = 64

// settleConflicts updates the list after a replica v was inserted; head was the latest before.
func (tx *tx) settleConflicts(v *object.Version, head *record) error {
	if !v.Replaces.IsZero() {
		if err := tx.b.Delete(versionKey(spaceConflict, v.Bucket, v.Key, v.Replaces), nil); err != nil {
			return err
		}
	}
	if head == nil {
		return nil
	}
	if v.ID.Less(head.v.ID) {
		return tx.listIfLost(v.Bucket, v.Key, v.ID, head.v.ID)
	}
	return tx.listIfLost(v.Bucket, v.Key, head.v.ID, v.ID)
}

// listIfLost lists a version, which the winner stands above, unless something replaced it.
func (tx *tx) listIfLost(bucket, key string, id, winner object.VersionID) error {
	replaced, err := tx.isReplaced(bucket, key, id)
	if err != nil || replaced {
		return err
	}
	c := conflictRecord{winner: winner, found: tx.now}
	tx.events = append(tx.events, ConflictFound{Bucket: bucket, Key: key, Loser: id, Winner: winner})
	return tx.b.Set(versionKey(spaceConflict, bucket, key, id), c.encode(), nil)
}

// isReplaced looks for a version that names id, from the one above id upwards.
func (tx *tx) isReplaced(bucket, key string, id object.VersionID) (yes bool, err error) {
	at := versionKey(spaceVersion, bucket, key, id)
	it, err := tx.b.NewIter(&pebble.IterOptions{LowerBound: objectKey(spaceVersion, bucket, key), UpperBound: at})
	if err != nil {
		return false, err
	}
	depth := 0
	for ok := it.Last(); ok && err == nil && !yes && depth < maxConflictDepth; ok = it.Prev() {
		var r record
		r, err = recordAt(it)
		yes = r.v.Replaces == id
		depth++
	}
	return yes, errors.Join(err, it.Error(), it.Close())
}
