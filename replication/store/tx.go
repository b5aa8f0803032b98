package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galleon-net/galleon/replication/object"
)

// segmentChunks is how many references stand in one manifest value: 144 KiB, 256 MiB of object. A range
// read needs one or two of them, however large the object is.
const segmentChunks = 4096

// head gives the latest version of a key, marker or not, nil if there is none.
func (tx *tx) head(bucket, key string) (*record, error) {
	return readHead(tx.b, bucket, key)
}

func readHead(r pebble.Reader, bucket, key string) (*record, error) {
	var head *record
	err := scanVersions(r, bucket, key, func(rec *record) bool {
		head = rec
		return false
	})
	return head, err
}

// scanVersions visits the versions of one key, newest first, until fn says false.
func scanVersions(r pebble.Reader, bucket, key string, fn func(*record) bool) error {
	prefix := objectKey(spaceVersion, bucket, key)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: successor(prefix)})
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var rec record
		if rec, err = recordAt(it); err == nil && !fn(&rec) {
			break
		}
	}
	return errors.Join(err, it.Error(), it.Close())
}

// recordAt reads the version record under an iterator.
func recordAt(it *pebble.Iterator) (record, error) {
	val, err := it.ValueAndErr()
	if err != nil {
		return record{}, err
	}
	bucket, key, id, err := parseVersionKey(it.Key(), 0)
	if err != nil {
		return record{}, err
	}
	rec, err := decodeRecord(val)
	rec.v.Bucket, rec.v.Key, rec.v.ID = bucket, key, id
	if err != nil {
		err = fmt.Errorf("%s/%s: %w", bucket, key, err)
	}
	return rec, err
}

// version gives one version, or ErrNotFound.
func (tx *tx) version(bucket, key string, id object.VersionID) (*record, error) {
	return readVersion(tx.b, bucket, key, id)
}

// readVersion reads one version; object.NullVersion is the key's null version, tombstones excepted.
func readVersion(r pebble.Reader, bucket, key string, id object.VersionID) (*record, error) {
	if id == object.NullVersion {
		return readNull(r, bucket, key)
	}
	b, err := get(r, versionKey(spaceVersion, bucket, key, id))
	if err != nil {
		return nil, err
	}
	rec, err := decodeRecord(b)
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", bucket, key, err)
	}
	rec.v.Bucket, rec.v.Key, rec.v.ID = bucket, key, id
	return &rec, nil
}

// readNull finds the null version of a key: the newest of those that were written as such.
func readNull(r pebble.Reader, bucket, key string) (*record, error) {
	var found *record
	err := scanVersions(r, bucket, key, func(rec *record) bool {
		if rec.v.Null {
			found = rec
		}
		return found == nil
	})
	if err == nil && (found == nil || found.v.Tombstone) {
		return nil, ErrNotFound
	}
	return found, err
}

// insert writes a version that is not there yet; head is the latest before it.
func (tx *tx) insert(v *object.Version, head *record, catalog uint64) (Seq, error) {
	seq, err := tx.log(logRecord{catalog: catalog, bucket: v.Bucket, key: v.Key, id: v.ID})
	if err != nil {
		return 0, err
	}
	rec := record{v: *v, seq: seq, catalog: catalog, arrived: tx.now, chunks: len(v.Chunks)}
	if err := tx.b.Set(versionKey(spaceVersion, v.Bucket, v.Key, v.ID), rec.encode(), nil); err != nil {
		return 0, err
	}
	if err := tx.writeManifest(v); err != nil {
		return 0, err
	}
	if err := tx.count(v.Bucket, counts{versions: 1, versionBytes: v.Size}); err != nil {
		return 0, err
	}
	if head != nil && v.ID.Less(head.v.ID) {
		return seq, nil
	}
	return seq, tx.show(v.Bucket, v.Key, head, &rec)
}

// show makes the listing say what the latest version is after it changed from old to new; either may
// be nil.
func (tx *tx) show(bucket, key string, old, now *record) error {
	var d counts
	if v := visible(old); v != nil {
		d = counts{objects: -1, bytes: -v.v.Size}
	}
	v := visible(now)
	if v != nil {
		d.add(counts{objects: 1, bytes: v.v.Size})
	}
	if err := tx.count(bucket, d); err != nil {
		return err
	}
	if v == nil {
		return tx.b.Delete(currentKey(bucket, key), nil)
	}
	c := current{id: v.v.ID, size: v.v.Size, modified: v.v.Modified, etag: v.v.ETag, checksum: checksumOf(&v.v)}
	return tx.b.Set(currentKey(bucket, key), c.encode(), nil)
}

// count adds to the counts of the store and of a bucket; they are written at the end of the group.
func (tx *tx) count(bucket string, d counts) error {
	tx.counts.add(d)
	c := tx.buckets[bucket]
	if c == nil {
		now, err := readCounts(tx.b, bucket)
		if err != nil {
			return err
		}
		c = &now
		tx.buckets[bucket] = c
	}
	c.add(d)
	return nil
}

func readCounts(r pebble.Reader, bucket string) (counts, error) {
	b, err := get(r, append([]byte{spaceBucket}, bucket...))
	if errors.Is(err, ErrNotFound) {
		return counts{}, nil
	}
	if err != nil {
		return counts{}, err
	}
	return decodeCounts(b)
}

// finish writes what the group counted.
func (tx *tx) finish() error {
	for bucket, c := range tx.buckets {
		key := append([]byte{spaceBucket}, bucket...)
		var err error
		if *c == (counts{}) {
			err = tx.b.Delete(key, nil)
		} else {
			err = tx.b.Set(key, c.append([]byte{recordFormat}), nil)
		}
		if err != nil {
			return err
		}
	}
	tx.s.written.store(&tx.counters)
	return tx.b.Set(keyCounters, tx.counters.encode(), nil)
}

func (tx *tx) writeManifest(v *object.Version) error {
	if len(v.Chunks) <= inlineChunks {
		return nil
	}
	prefix := versionKey(spaceManifest, v.Bucket, v.Key, v.ID)
	var end uint64
	for rest := v.Chunks; len(rest) > 0; {
		seg := rest[:min(len(rest), segmentChunks)]
		rest = rest[len(seg):]
		for i := range seg {
			end += uint64(seg[i].Size)
		}
		val := appendChunks([]byte{recordFormat}, seg)
		if err := tx.b.Set(binary.BigEndian.AppendUint64(prefix[:len(prefix):len(prefix)], end), val, nil); err != nil {
			return err
		}
	}
	return nil
}

// purge removes a version and logs that. With the null version those go that it replaced: else the one below
// would take its place.
func (tx *tx) purge(bucket, key string, id object.VersionID, rec *record, catalog uint64) (Seq, error) {
	gone := []*record{rec}
	if rec.v.Null {
		err := scanVersions(tx.b, bucket, key, func(r *record) bool {
			if r.v.Null && r.v.ID.Less(id) {
				gone = append(gone, r)
			}
			return true
		})
		if err != nil {
			return 0, err
		}
	}
	var seq Seq
	for _, r := range gone {
		head, err := tx.head(bucket, key)
		if err != nil {
			return 0, err
		}
		if seq, err = tx.log(logRecord{purged: true, catalog: catalog, bucket: bucket, key: key, id: r.v.ID}); err != nil {
			return 0, err
		}
		if err := tx.remove(r, head); err != nil {
			return 0, err
		}
	}
	return seq, nil
}

// remove takes a version out of the index; head is the latest before that.
func (tx *tx) remove(rec, head *record) error {
	bucket, key, id := rec.v.Bucket, rec.v.Key, rec.v.ID
	prefix := versionKey(spaceManifest, bucket, key, id)
	err := errors.Join(
		tx.b.Delete(versionKey(spaceVersion, bucket, key, id), nil),
		tx.b.Delete(versionKey(spaceConflict, bucket, key, id), nil))
	if rec.chunks > inlineChunks {
		err = errors.Join(err, tx.b.DeleteRange(prefix, successor(prefix), nil))
	}
	if err != nil {
		return err
	}
	if err := tx.count(bucket, counts{versions: -1, versionBytes: -rec.v.Size}); err != nil {
		return err
	}
	if head.v.ID != id {
		return nil
	}
	below, err := tx.head(bucket, key)
	if err != nil {
		return err
	}
	return tx.show(bucket, key, head, below)
}
