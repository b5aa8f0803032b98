package store

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galleon-net/galleon/replication/chunk"
	"github.com/galleon-net/galleon/replication/object"
)

// CompleteUpload makes the parts named in c one object and ends the upload, in one batch. All parts are
// read back and checked before, both to know the object's Sum, which no arithmetic gives from the parts',
// and so that nothing is acknowledged that cannot be read: about a second per GiB.
func (s *Store) CompleteUpload(ctx context.Context, bucket, key, uploadID string, c Complete, o PutOptions) (object.Version, Seq, error) {
	fail := func(err error) (object.Version, Seq, error) {
		return object.Version{}, 0, fmt.Errorf("complete upload %s of %s/%s: %w", uploadID, bucket, key, err)
	}
	if err := s.space.admit(); err != nil {
		return fail(err)
	}
	defer s.uploads.lock(uploadID)() // parts stay as they are from here on
	var v object.Version
	var id [uploadIDLen]byte
	err := s.read(func(view *view) error {
		var u Upload
		var err error
		if u, id, err = readUpload(view.snap, bucket, key, uploadID); err != nil {
			return err
		}
		v = u.Version
		if err := s.gather(view.snap, id, &c, &v); err != nil {
			return err
		}
		return s.sumChunks(ctx, view.snap, &v)
	})
	if err == nil {
		err = checkVersion(&v)
	}
	if err != nil {
		return fail(err)
	}
	// The parts hold their chunks until the same batch gives them to the version: no lease is needed.
	var seq Seq
	err = s.commit(ctx, recordWeight+len(v.Chunks)*chunkRefLen, func(tx *tx) (err error) {
		if seq, err = tx.put(&v, o); err != nil {
			return err
		}
		return tx.dropUpload(bucket, key, id)
	})
	if err != nil {
		return fail(err)
	}
	v.Chunks = nil
	return v, seq, nil
}

// gather checks c against the stored parts and fills v with what they make.
func (s *Store) gather(r pebble.Reader, id [uploadIDLen]byte, c *Complete, v *object.Version) error {
	if len(c.Parts) == 0 || len(c.Parts) > maxParts {
		return fmt.Errorf("%w: %d parts named, want 1 to %d", ErrInvalidPart, len(c.Parts), maxParts)
	}
	for i := 1; i < len(c.Parts); i++ {
		if c.Parts[i].Number <= c.Parts[i-1].Number {
			return fmt.Errorf("%w: %d is named after %d", ErrPartOrder, c.Parts[i].Number, c.Parts[i-1].Number)
		}
	}
	sums := md5.New()
	for i, want := range c.Parts {
		p, err := readPart(r, id, want)
		if err != nil {
			return err
		}
		if i < len(c.Parts)-1 && p.Size < s.opts.MinPartSize {
			return fmt.Errorf("%w: part %d has %d bytes, all but the last need %d", ErrPartTooSmall, p.Number, p.Size, s.opts.MinPartSize)
		}
		if len(v.Chunks)+len(p.Chunks) > maxChunks {
			return fmt.Errorf("%w: an object has at most %d chunks", ErrTooLarge, maxChunks)
		}
		v.Chunks = append(v.Chunks, p.Chunks...)
		v.PartSizes = append(v.PartSizes, p.Size)
		v.Size += p.Size
		raw, err := hex.DecodeString(p.ETag)
		if err != nil {
			return fmt.Errorf("%w: ETag of part %d", ErrCorrupt, p.Number)
		}
		_, _ = sums.Write(raw)
	}
	v.Checksums, v.PartChecksums = c.Checksums, c.PartChecksums
	if v.ETag = c.ETag; v.ETag == "" {
		v.ETag = fmt.Sprintf("%x-%d", sums.Sum(nil), len(c.Parts))
	}
	return nil
}

func readPart(r pebble.Reader, id [uploadIDLen]byte, want CompletePart) (Part, error) {
	b, err := get(r, partKey(id, want.Number))
	if errors.Is(err, ErrNotFound) || want.Number < 1 || want.Number > maxPartNumber {
		return Part{}, fmt.Errorf("%w: part %d was not uploaded", ErrInvalidPart, want.Number)
	}
	if err != nil {
		return Part{}, err
	}
	p, err := decodePart(b)
	p.Number = want.Number
	if err == nil && p.ETag != want.ETag {
		err = fmt.Errorf("%w: part %d has ETag %q, not %q", ErrInvalidPart, want.Number, p.ETag, want.ETag)
	}
	return p, err
}

// sumChunks reads a version's chunks and gives it its Sum.
func (s *Store) sumChunks(ctx context.Context, r pebble.Reader, v *object.Version) error {
	h := chunk.NewSum()
	buf := make([]byte, 0, chunk.Max)
	for i := range v.Chunks {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, err := s.getChunk(r, v.Chunks[i].ID, buf[:0])
		if err != nil {
			return err
		}
		_, _ = h.Write(data)
	}
	h.Sum(v.Sum[:0])
	return nil
}
