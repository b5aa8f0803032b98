package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galleon-net/galleon/replication/object"
)

// sweepBatch is how many chunks are deleted at a time; who adds to a lease waits for one batch.
const sweepBatch = 512

// GC removes what nothing needs any more: expired versions, tombstones, conflict records and uploads (purge.go),
// and then the chunks that no version, part or lease names. It may run at any time, beside everything
// else; two at once take turns. Its cost is one pass over manifests and chunk keys, about a second per
// million; its memory is twelve bits per chunk.
//
// Chunks are marked and swept, not counted: a count per chunk would cost every PUT a read and a write per
// chunk for a number that one bug puts out for ever, where this starts afresh each time.
func (s *Store) GC(ctx context.Context) (res GCResult, err error) {
	s.gcMu.Lock()
	defer s.gcMu.Unlock()
	began := time.Now()
	if err = s.purgeExpired(ctx, &res); err == nil {
		err = s.collectChunks(ctx, &res)
	}
	if err != nil {
		return res, fmt.Errorf("collect garbage: %w", err)
	}
	s.emit(Collected{Result: res, Took: time.Since(began)})
	return res, nil
}

// collectChunks is mark and sweep. What was committed before the snapshot is marked from there. What is committed
// after it had its chunks in a lease at that time: one that lived when marking began and is marked from
// there, or one that got them later and marked them itself.
func (s *Store) collectChunks(ctx context.Context, res *GCResult) error {
	var salt [8]byte
	if _, err := io.ReadFull(s.opts.Rand, salt[:]); err != nil {
		return err
	}
	before, beforeBytes := s.written.chunks.Load(), s.written.bytes.Load()
	mark := newMarkSet(before, binary.LittleEndian.Uint64(salt[:]))
	s.leases.begin(mark)
	defer s.leases.end()
	v, err := s.view.acquire() // keeps Close from closing the disk; the chunks are read from a newer state
	if err != nil {
		return err
	}
	defer s.view.release(v)
	snap := s.db.NewSnapshot()
	defer snap.Close()
	if err := markAll(ctx, snap, mark); err != nil {
		return err
	}
	kept, keptBytes, err := s.sweep(ctx, snap, mark, res)
	if err != nil {
		return err
	}
	// Now the counts are known; what was written meanwhile stays counted.
	s.written.add(kept-before, keptBytes-beforeBytes)
	return nil
}

// begin makes mark the set that leases add to, with what they hold already.
func (ls *leases) begin(mark *markSet) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.mark = mark
	ls.dropExpired()
	for l := range ls.live {
		l.mu.Lock()
		for i := range l.ids {
			mark.add(&l.ids[i])
		}
		l.mu.Unlock()
	}
}

func (ls *leases) end() {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.mark = nil
}

// markAll marks every chunk that a version or a part names.
func markAll(ctx context.Context, r pebble.Reader, mark *markSet) error {
	decoders := map[byte]func([]byte) ([]object.ChunkRef, error){
		spaceVersion:  func(b []byte) ([]object.ChunkRef, error) { rec, err := decodeRecord(b); return rec.v.Chunks, err },
		spaceManifest: decodeSegment,
		spacePart:     func(b []byte) ([]object.ChunkRef, error) { p, err := decodePart(b); return p.Chunks, err },
	}
	for space, decode := range decoders {
		err := scan(ctx, r, space, func(it *pebble.Iterator) error {
			val, err := it.ValueAndErr()
			if err != nil {
				return err
			}
			refs, err := decode(val)
			for i := range refs {
				mark.add(&refs[i].ID)
			}
			return err // a record that cannot be read may name any chunk: nothing is swept then
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// scan visits a keyspace.
func scan(ctx context.Context, r pebble.Reader, space byte, fn func(it *pebble.Iterator) error) error {
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: []byte{space}, UpperBound: []byte{space + 1}})
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		if err = ctx.Err(); err == nil {
			err = fn(it)
		}
	}
	return errors.Join(err, it.Error(), it.Close())
}

// sweep deletes unmarked chunks and counts the others.
func (s *Store) sweep(ctx context.Context, r pebble.Reader, mark *markSet, res *GCResult) (kept, keptBytes int64, err error) {
	var doomed []object.ChunkRef
	flush := func() error {
		n, err := s.deleteUnmarked(doomed, mark, res)
		for _, c := range doomed[:n] {
			kept++
			keptBytes += int64(c.Size)
		}
		doomed = doomed[:0]
		return err
	}
	err = scan(ctx, r, spaceChunk, func(it *pebble.Iterator) error {
		var c object.ChunkRef
		if copy(c.ID[:], it.Key()[1:]) != len(c.ID) {
			return fmt.Errorf("%w: chunk key of %d bytes", ErrCorrupt, len(it.Key()))
		}
		lazy := it.LazyValue() // its length is in the index; the bytes stay where they are
		c.Size = uint32(max(lazy.Len()-1, 0))
		res.Chunks++
		if mark.has(&c.ID) {
			kept++
			keptBytes += int64(c.Size)
			return nil
		}
		if doomed = append(doomed, c); len(doomed) < sweepBatch {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	return kept, keptBytes, err
}

// deleteUnmarked deletes those of doomed that nobody leased in the meantime; the others, their number given
// back, come first in doomed afterwards. The deletion needs no sync: after a crash the chunks are
// garbage again.
func (s *Store) deleteUnmarked(doomed []object.ChunkRef, mark *markSet, res *GCResult) (kept int, err error) {
	if len(doomed) == 0 {
		return 0, nil
	}
	s.leases.mu.Lock()
	defer s.leases.mu.Unlock()
	b := s.db.NewBatch()
	defer b.Close()
	var freed int64
	for i := range doomed {
		if mark.has(&doomed[i].ID) {
			doomed[kept], doomed[i] = doomed[i], doomed[kept]
			kept++
			continue
		}
		freed += int64(doomed[i].Size)
		if err := b.Delete(chunkKey(doomed[i].ID), nil); err != nil {
			return kept, err
		}
	}
	if err := s.apply(b, pebble.NoSync); err != nil {
		return kept, err
	}
	res.FreedChunks += int64(len(doomed) - kept)
	res.FreedBytes += freed
	return kept, nil
}
