package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galleon-net/galleon/replication/object"
)

// Get gives a version without its Chunks: the latest when id is zero. A delete marker is given as any
// other version. ErrNotFound.
func (s *Store) Get(bucket, key string, id object.VersionID) (v object.Version, err error) {
	err = s.read(func(view *view) error {
		rec, err := find(view.snap, bucket, key, id)
		if err == nil {
			v = rec.v
			v.Chunks = nil
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("get %s/%s: %w", bucket, key, err)
	}
	return v, err
}

// Manifest is Get with the Chunks.
func (s *Store) Manifest(bucket, key string, id object.VersionID) (v object.Version, err error) {
	err = s.read(func(view *view) error {
		rec, err := find(view.snap, bucket, key, id)
		if err == nil {
			v, err = whole(view.snap, rec)
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("get the manifest of %s/%s: %w", bucket, key, err)
	}
	return v, err
}

// find gives a version's record, the latest's when id is zero.
func find(r pebble.Reader, bucket, key string, id object.VersionID) (*record, error) {
	if !id.IsZero() {
		return readVersion(r, bucket, key, id)
	}
	rec, err := readHead(r, bucket, key)
	if err == nil && rec == nil {
		err = ErrNotFound
	}
	return rec, err
}

// whole gives a record's version with all its chunks.
func whole(r pebble.Reader, rec *record) (object.Version, error) {
	v := rec.v
	if rec.chunks <= inlineChunks {
		return v, nil
	}
	v.Chunks = make([]object.ChunkRef, 0, rec.chunks)
	err := scanManifest(r, &v, 0, func(_ int64, refs []object.ChunkRef) bool {
		v.Chunks = append(v.Chunks, refs...)
		return true
	})
	if err == nil && len(v.Chunks) != rec.chunks {
		err = fmt.Errorf("%w: manifest of %s/%s has %d chunks of %d", ErrCorrupt, v.Bucket, v.Key, len(v.Chunks), rec.chunks)
	}
	return v, err
}

// scanManifest visits the segments of a manifest from the one that holds the byte at offset on, each with
// the offset of its first byte, until fn says false.
func scanManifest(r pebble.Reader, v *object.Version, offset int64, fn func(start int64, refs []object.ChunkRef) bool) error {
	prefix := versionKey(spaceManifest, v.Bucket, v.Key, v.ID)
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: successor(prefix)})
	if err != nil {
		return err
	}
	// Segments are keyed by where they end, so the first key behind offset is the one that holds it.
	seek := binary.BigEndian.AppendUint64(prefix[:len(prefix):len(prefix)], uint64(offset)+1)
	for ok := it.SeekGE(seek); ok && err == nil; ok = it.Next() {
		var start int64
		var refs []object.ChunkRef
		if start, refs, err = segmentAt(it, len(prefix)); err == nil && !fn(start, refs) {
			break
		}
	}
	return errors.Join(err, it.Error(), it.Close())
}

func segmentAt(it *pebble.Iterator, prefix int) (start int64, refs []object.ChunkRef, err error) {
	val, err := it.ValueAndErr()
	if err != nil {
		return 0, nil, err
	}
	refs, err = decodeSegment(val)
	if err == nil && len(it.Key()) != prefix+8 {
		err = fmt.Errorf("%w: manifest key of %d bytes", ErrCorrupt, len(it.Key()))
	}
	if err != nil {
		return 0, nil, err
	}
	start = int64(binary.BigEndian.Uint64(it.Key()[prefix:]))
	for i := range refs {
		start -= int64(refs[i].Size)
	}
	return start, refs, nil
}

func decodeSegment(b []byte) ([]object.ChunkRef, error) {
	d := decoder{b: b}
	d.format()
	n := len(d.b) / chunkRefLen
	if n > segmentChunks {
		d.fail("number of references")
	}
	refs := d.chunks(n)
	return refs, d.end("manifest segment")
}
