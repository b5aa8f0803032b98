package store

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galleon-net/galleon/replication/object"
)

const (
	// maxPartNumber is S3's.
	maxPartNumber = 10_000
	// maxPartSize is S3's, in bytes.
	maxPartSize = 5 << 30
)

// CreateUpload begins a multipart upload of u.Version's key with u.Version's metadata; ID and Created are
// set here.
func (s *Store) CreateUpload(ctx context.Context, u Upload) (Upload, error) {
	v := u.Version
	v.ID, v.Size, v.Chunks, v.PartSizes, v.DeleteMarker = object.VersionID{}, 0, nil, nil, false
	if err := checkVersion(&v); err != nil {
		return u, fmt.Errorf("create upload of %s/%s: %w", v.Bucket, v.Key, err)
	}
	if err := s.space.admit(); err != nil {
		return u, err
	}
	// The time in front makes uploads of one key sort by it, as S3 lists them.
	var id [uploadIDLen]byte
	u.Created = time.UnixMilli(time.Now().UnixMilli()).UTC()
	binary.BigEndian.PutUint64(id[:], uint64(u.Created.UnixMilli()))
	if _, err := io.ReadFull(s.opts.Rand, id[8:]); err != nil {
		return u, fmt.Errorf("make an upload id: %w", err)
	}
	u.ID, u.Version = hex.EncodeToString(id[:]), v
	rec := uploadRecord{algorithm: u.Algorithm, kind: u.Type, created: u.Created, template: record{v: v, arrived: u.Created}}
	err := s.commit(ctx, recordWeight, func(tx *tx) error {
		return tx.b.Set(uploadKey(v.Bucket, v.Key, id), rec.encode(), nil)
	})
	if err != nil {
		return u, fmt.Errorf("create upload of %s/%s: %w", v.Bucket, v.Key, err)
	}
	return u, nil
}

// GetUpload gives an unfinished upload, or ErrNoSuchUpload.
func (s *Store) GetUpload(bucket, key, uploadID string) (u Upload, err error) {
	err = s.read(func(v *view) error {
		u, _, err = readUpload(v.snap, bucket, key, uploadID)
		return err
	})
	return u, err
}

func readUpload(r pebble.Reader, bucket, key, uploadID string) (u Upload, id [uploadIDLen]byte, err error) {
	if b, err := hex.DecodeString(uploadID); err != nil || len(b) != len(id) {
		return u, id, fmt.Errorf("upload %.40q: %w", uploadID, ErrNoSuchUpload)
	} else {
		copy(id[:], b)
	}
	b, err := get(r, uploadKey(bucket, key, id))
	if errors.Is(err, ErrNotFound) {
		return u, id, fmt.Errorf("upload %s of %s/%s: %w", uploadID, bucket, key, ErrNoSuchUpload)
	}
	if err == nil {
		u, err = uploadFrom(b, bucket, key, id)
	}
	return u, id, err
}

func uploadFrom(val []byte, bucket, key string, id [uploadIDLen]byte) (Upload, error) {
	rec, err := decodeUpload(val)
	u := Upload{ID: hex.EncodeToString(id[:]), Created: rec.created, Algorithm: rec.algorithm, Type: rec.kind, Version: rec.template.v}
	u.Version.Bucket, u.Version.Key, u.Version.Modified = bucket, key, time.Time{}
	return u, err
}

// PutPart stores what a Writer took as a part, in the place of an earlier one of that number. Its ETag is
// the MD5 in hexadecimal. The Writer is closed by the caller afterwards.
func (s *Store) PutPart(ctx context.Context, bucket, key, uploadID string, number int, blob Blob, checksums map[string]string) (Part, error) {
	p := Part{
		Number: number, Size: blob.Size, ETag: hex.EncodeToString(blob.MD5[:]), Modified: time.Now().UTC(),
		Checksums: checksums, Chunks: blob.Chunks,
	}
	fail := func(err error) (Part, error) {
		return Part{}, fmt.Errorf("put part %d of %s/%s: %w", number, bucket, key, err)
	}
	if number < 1 || number > maxPartNumber {
		return fail(fmt.Errorf("%w: part numbers go from 1 to %d", ErrInvalidPart, maxPartNumber))
	}
	probe := object.Version{Bucket: bucket, Key: key, Size: blob.Size, Chunks: blob.Chunks, Checksums: checksums}
	if err := checkVersion(&probe); err != nil {
		return fail(err)
	}
	if blob.Size > maxPartSize {
		return fail(fmt.Errorf("%w: %d bytes, want at most %d", ErrTooLarge, blob.Size, int64(maxPartSize)))
	}
	if err := s.space.admit(); err != nil {
		return fail(err)
	}
	release, err := s.needChunks(&probe)
	if err != nil {
		return fail(err)
	}
	defer release()
	defer s.uploads.lock(uploadID)()
	val := encodePart(&p)
	err = s.commit(ctx, len(val), func(tx *tx) error {
		_, id, err := readUpload(tx.b, bucket, key, uploadID)
		if err != nil {
			return err
		}
		return tx.b.Set(partKey(id, number), val, nil)
	})
	if err != nil {
		return fail(err)
	}
	p.Chunks = nil
	return p, nil
}

// ListParts gives parts with numbers above after, without Chunks, and whether there are more.
func (s *Store) ListParts(bucket, key, uploadID string, after, limit int) (parts []Part, truncated bool, err error) {
	if limit <= 0 || limit > maxList {
		limit = maxList
	}
	err = s.read(func(v *view) error {
		_, id, err := readUpload(v.snap, bucket, key, uploadID)
		if err != nil {
			return err
		}
		return scanParts(v.snap, id, after, func(p Part) bool {
			if truncated = len(parts) == limit; !truncated {
				p.Chunks = nil
				parts = append(parts, p)
			}
			return !truncated
		})
	})
	return parts, truncated, err
}

// scanParts visits the parts behind one of a number, in order, until fn says false.
func scanParts(r pebble.Reader, id [uploadIDLen]byte, after int, fn func(Part) bool) error {
	if after < 0 || after > maxPartNumber {
		after = min(max(after, 0), maxPartNumber)
	}
	prefix := partKey(id, 0)[:1+uploadIDLen]
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: partKey(id, after+1), UpperBound: successor(prefix)})
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var val []byte
		if val, err = it.ValueAndErr(); err != nil {
			break
		}
		var p Part
		if p, err = decodePart(val); err == nil {
			p.Number = int(binary.BigEndian.Uint16(it.Key()[len(prefix):]))
			if !fn(p) {
				break
			}
		}
	}
	return errors.Join(err, it.Error(), it.Close())
}

// AbortUpload forgets an upload and its parts; the collector takes their chunks.
func (s *Store) AbortUpload(ctx context.Context, bucket, key, uploadID string) error {
	defer s.uploads.lock(uploadID)()
	return s.commit(ctx, recordWeight, func(tx *tx) error {
		_, id, err := readUpload(tx.b, bucket, key, uploadID)
		if err != nil {
			return err
		}
		return tx.dropUpload(bucket, key, id)
	})
}

func (tx *tx) dropUpload(bucket, key string, id [uploadIDLen]byte) error {
	parts := partKey(id, 0)[:1+uploadIDLen]
	if err := tx.b.Delete(uploadKey(bucket, key, id), nil); err != nil {
		return err
	}
	return tx.b.DeleteRange(parts, successor(parts), nil)
}

// ListUploads gives unfinished uploads in the order of (key, created, id) behind (afterKey, afterID), and
// whether there are more. With an empty afterID all of afterKey are passed over.
func (s *Store) ListUploads(bucket, prefix, afterKey, afterID string, limit int) (ups []Upload, truncated bool, err error) {
	if limit <= 0 || limit > maxList {
		limit = maxList
	}
	base := bucketKey(spaceUpload, bucket)
	at := func(key string, tail ...byte) []byte {
		return append(append(base[:len(base):len(base)], key...), tail...)
	}
	from := at(prefix)
	if afterKey >= prefix && afterKey != "" {
		from = at(afterKey, 1)
		if id, err := hex.DecodeString(afterID); err == nil && len(id) == uploadIDLen {
			from = append(append(at(afterKey, 0), id...), 0)
		}
	}
	err = s.read(func(v *view) error {
		it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: successor(at(prefix))})
		if err != nil {
			return err
		}
		for ok := it.First(); ok && err == nil; ok = it.Next() {
			if truncated = len(ups) == limit; truncated {
				break
			}
			var u Upload
			if u, _, err = uploadAt(it); err == nil {
				ups = append(ups, u)
			}
		}
		return errors.Join(err, it.Error(), it.Close())
	})
	if err != nil {
		return nil, false, fmt.Errorf("list uploads of %s: %w", bucket, err)
	}
	return ups, truncated, nil
}

func uploadAt(it *pebble.Iterator) (u Upload, id [uploadIDLen]byte, err error) {
	val, err := it.ValueAndErr()
	if err != nil {
		return u, id, err
	}
	bucket, key, err := parseUploadKey(it.Key())
	if err != nil {
		return u, id, err
	}
	copy(id[:], it.Key()[len(it.Key())-uploadIDLen:])
	u, err = uploadFrom(val, bucket, key, id)
	return u, id, err
}
