package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/galleon-net/galleon/replication/chunk"
	"github.com/galleon-net/galleon/replication/object"
)

// recordWeight is about what a write takes in its batch beside the chunk references, in bytes.
const recordWeight = 512

// Put writes a version. With ID zero it is minted here, after everything that this store has seen of the
// key, and Region and Modified are set; the chunks must be here, leased by a Writer, a Lease or by the
// version that they are copied from. With ID set it is a replica, as with ApplyReplica. The version given
// back is without Chunks; Seq is its place in the log, also when the store had it already.
func (s *Store) Put(ctx context.Context, v object.Version, o PutOptions) (object.Version, Seq, error) {
	replica := !v.ID.IsZero()
	if err := checkVersion(&v); err != nil {
		return v, 0, fmt.Errorf("put %s/%s: %w", v.Bucket, v.Key, err)
	}
	if !v.DeleteMarker {
		if err := s.space.admit(); err != nil {
			return v, 0, err
		}
	}
	release, err := s.needChunks(&v)
	if err != nil {
		return v, 0, fmt.Errorf("put %s/%s: %w", v.Bucket, v.Key, err)
	}
	defer release()
	var seq Seq
	out := v
	err = s.commit(ctx, recordWeight+len(v.Chunks)*chunkRefLen, func(tx *tx) (err error) {
		if replica {
			seq, _, err = tx.replica(&out, o.CatalogIndex)
		} else {
			seq, err = tx.put(&out, o)
		}
		return err
	})
	if err != nil {
		return v, 0, fmt.Errorf("put %s/%s: %w", v.Bucket, v.Key, err)
	}
	out.Chunks = nil
	return out, seq, nil
}

// Delete puts a delete marker on top of a key (S3's DELETE without a version). Where the bucket keeps no
// versions and there is nothing to delete it writes nothing and says ErrNotFound.
func (s *Store) Delete(ctx context.Context, bucket, key string, o PutOptions) (object.Version, Seq, error) {
	out := object.Version{Bucket: bucket, Key: key, DeleteMarker: true}
	err := checkVersion(&out)
	var seq Seq
	if err == nil {
		versioned := s.opts.Versioned(bucket)
		err = s.commit(ctx, recordWeight, func(tx *tx) error {
			head, err := tx.head(bucket, key)
			off := !versioned && !s.opts.Suspended(bucket)
			if err == nil && off && visible(head) == nil {
				err = ErrNotFound
			}
			if err == nil {
				out.Tombstone = off
				seq, err = tx.put(&out, o)
			}
			return err
		})
	}
	if err != nil {
		return object.Version{Bucket: bucket, Key: key}, 0, fmt.Errorf("delete %s/%s: %w", bucket, key, err)
	}
	return out, seq, nil
}

// Purge removes one version for good (S3's DELETE with a version); what lies below it becomes the latest.
// It gives the version that was removed, or ErrNotFound.
func (s *Store) Purge(ctx context.Context, bucket, key string, id object.VersionID, o PutOptions) (object.Version, Seq, error) {
	var out object.Version
	var seq Seq
	err := s.commit(ctx, recordWeight, func(tx *tx) error {
		r, err := tx.version(bucket, key, id)
		if err != nil {
			return err
		}
		if head, err := tx.head(bucket, key); err != nil {
			return err
		} else if err := checkHead(head, o); err != nil {
			return err
		}
		if r.v.Attributes.Protected(tx.now, o.BypassGovernance) {
			return ErrProtected
		}
		id = r.v.ID // not the word for the null version
		out = r.v
		out.Chunks = nil
		seq, err = tx.purge(bucket, key, id, r, o.CatalogIndex)
		return err
	})
	if err != nil {
		return object.Version{Bucket: bucket, Key: key, ID: id}, 0, fmt.Errorf("purge version %d of %s/%s: %w", id.Time, bucket, key, err)
	}
	return out, seq, nil
}

// checkVersion refuses what no store should hold, whoever sent it.
func checkVersion(v *object.Version) error {
	if err := object.CheckBucketName(v.Bucket); err != nil {
		return err
	}
	if err := object.CheckKey(v.Key); err != nil {
		return err
	}
	if n := metaSize(v); n > maxMeta {
		return fmt.Errorf("%w: metadata of %d bytes, want at most %d", ErrTooLarge, n, maxMeta)
	}
	if len(v.Chunks) > maxChunks || len(v.PartSizes) > maxParts {
		return fmt.Errorf("%w: %d chunks and %d parts, want at most %d and %d",
			ErrTooLarge, len(v.Chunks), len(v.PartSizes), maxChunks, maxParts)
	}
	var total int64
	for i := range v.Chunks {
		if n := v.Chunks[i].Size; n == 0 || n > chunk.Max {
			return fmt.Errorf("chunk %d has %d bytes, want 1 to %d", i, n, chunk.Max)
		}
		total += int64(v.Chunks[i].Size)
	}
	if total != v.Size {
		return fmt.Errorf("its chunks hold %d bytes, its size is %d", total, v.Size)
	}
	if v.DeleteMarker && v.Size != 0 {
		return fmt.Errorf("a delete marker has no bytes, this one %d", v.Size)
	}
	return nil
}

// needChunks leases a version's chunks until release and makes sure that all are here.
func (s *Store) needChunks(versions ...*object.Version) (release func(), err error) {
	var ids []object.ChunkID
	for _, v := range versions {
		for i := range v.Chunks {
			ids = append(ids, v.Chunks[i].ID)
		}
	}
	if len(ids) == 0 {
		return func() {}, nil
	}
	l := s.NewLease(0)
	missing, err := l.Missing(ids)
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("%w: %s and %d more", ErrMissingChunk, missing[0], len(missing)-1)
	}
	if err != nil {
		l.Release()
		return nil, err
	}
	return l.Release, nil
}

// checkHead holds o against the latest version.
func checkHead(head *record, o PutOptions) error {
	if !o.IfLatest.IsZero() && (head == nil || head.v.ID != o.IfLatest) {
		return fmt.Errorf("%w: another version is the latest now", ErrPrecondition)
	}
	return checkConditions(visible(head), o)
}

// checkConditions holds o against the visible latest version, nil when there is none.
func checkConditions(now *record, o PutOptions) error {
	if o.IfMatch != "" {
		if now == nil {
			return fmt.Errorf("%w: If-Match asks for an object that is there", ErrNotFound)
		}
		if o.IfMatch != "*" && o.IfMatch != now.v.ETag {
			return fmt.Errorf("%w: If-Match %q, the object's is %q", ErrPrecondition, o.IfMatch, now.v.ETag)
		}
	}
	if o.IfMatchSize != nil || !o.IfMatchModified.IsZero() {
		switch {
		case now == nil:
			return fmt.Errorf("%w: If-Match asks for an object that is there", ErrNotFound)
		case o.IfMatchSize != nil && *o.IfMatchSize != now.v.Size:
			return fmt.Errorf("%w: a size of %d was asked for, the object's is %d", ErrPrecondition, *o.IfMatchSize, now.v.Size)
		case !o.IfMatchModified.IsZero() && !now.v.Modified.Truncate(time.Second).Equal(o.IfMatchModified.Truncate(time.Second)):
			return fmt.Errorf("%w: it was modified at another time", ErrPrecondition)
		}
	}
	if o.IfNoneMatch != "" && now != nil && (o.IfNoneMatch == "*" || o.IfNoneMatch == now.v.ETag) {
		return fmt.Errorf("%w: If-None-Match %q, the object's is %q", ErrPrecondition, o.IfNoneMatch, now.v.ETag)
	}
	return nil
}

// visible gives what a reader of the key would see, nil for nothing.
func visible(head *record) *record {
	if head == nil || head.v.DeleteMarker {
		return nil
	}
	return head
}

// put mints and writes a version on top of its key.
func (tx *tx) put(v *object.Version, o PutOptions) (Seq, error) {
	head, err := tx.head(v.Bucket, v.Key)
	if err != nil {
		return 0, err
	}
	if err := checkHead(head, o); err != nil {
		return 0, err
	}
	v.Null = !tx.s.opts.Versioned(v.Bucket)
	if v.Null {
		if err := tx.nullMayGo(v); err != nil {
			return 0, err
		}
	}
	v.Replaces = object.VersionID{}
	if head != nil {
		v.Replaces = head.v.ID
	}
	if v.ID, err = tx.mint(v.Replaces.Time); err != nil {
		return 0, err
	}
	v.Region = tx.s.opts.Region
	v.Modified = v.ID.Time.Wall()
	return tx.insert(v, head, o.CatalogIndex)
}

// nullMayGo refuses to replace a null version that is protected.
func (tx *tx) nullMayGo(v *object.Version) error {
	old, err := readNull(tx.b, v.Bucket, v.Key)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case err == nil && old.v.Attributes.Protected(tx.now, false):
		return ErrProtected
	}
	return err
}

// stamp fills what a replica may lack.
func stamp(v *object.Version) {
	if v.Modified.IsZero() {
		v.Modified = v.ID.Time.Wall()
	}
}
