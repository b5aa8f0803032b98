package store

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"hash"

	"github.com/galleon-net/galleon/replication/chunk"
	"github.com/galleon-net/galleon/replication/object"
)

// Writer takes an object's or a part's bytes and stores them as chunks, those that are not here yet:
//
//	w := s.NewWriter(ctx)
//	defer w.Close()
//	io.Copy(w, body)
//	blob, err := w.Finish()
//	... Put or PutPart with blob, before Close
//
// It is for one goroutine. Its memory is half a MiB, a batch of one MiB and 68 bytes per chunk.
type Writer struct {
	ctx   context.Context
	s     *Store
	lease *Lease
	split chunk.Splitter
	batch chunkBatch
	md5   hash.Hash
	sum   hash.Hash
	blob  Blob
	err   error // the first; it stays
}

var errWriterDone = errors.New("the writer was finished or closed")

// NewWriter begins a Writer; Close must end it. When ctx ends, so do its writes.
func (s *Store) NewWriter(ctx context.Context) *Writer {
	w := &Writer{ctx: ctx, s: s, lease: s.NewLease(0), md5: md5.New(), sum: chunk.NewSum()}
	w.split.Emit = w.chunk
	w.batch.s = s
	w.err = s.space.admit()
	return w
}

// Write takes more bytes. After an error there is nothing but Close.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if w.err = w.ctx.Err(); w.err != nil {
		return 0, w.err
	}
	_, _ = w.md5.Write(p) // hashes never fail
	_, _ = w.sum.Write(p)
	n, err := w.split.Write(p)
	w.blob.Size += int64(n)
	w.err = err
	return n, err
}

// chunk stores what the splitter cut.
func (w *Writer) chunk(data []byte) error {
	if len(w.blob.Chunks) == maxChunks {
		return fmt.Errorf("%w: an object has at most %d chunks", ErrTooLarge, maxChunks)
	}
	id := chunk.Hash(&w.s.opts.TenantKey, data)
	w.lease.add(id)
	w.blob.Chunks = append(w.blob.Chunks, object.ChunkRef{ID: id, Size: uint32(len(data))})
	if w.batch.has(id) {
		return nil
	}
	if have, err := w.s.hasChunk(id); have || err != nil {
		return err
	}
	w.batch.add(id, data)
	if w.batch.size < flushChunks {
		return nil
	}
	if err := w.s.space.admit(); err != nil {
		return err
	}
	return w.batch.flush()
}

// Finish ends the stream and says what it was. The chunks stay leased until Close.
func (w *Writer) Finish() (Blob, error) {
	if w.err == nil {
		w.err = w.split.Flush()
	}
	if w.err == nil {
		w.err = w.batch.flush()
	}
	if w.err != nil {
		return Blob{}, w.err
	}
	w.err = errWriterDone
	w.md5.Sum(w.blob.MD5[:0])
	w.sum.Sum(w.blob.Sum[:0])
	return w.blob, nil
}

// Close ends the lease on the chunks. Without Finish and Put it aborts: the collector takes what was stored.
func (w *Writer) Close() error {
	w.lease.Release()
	if w.err == nil {
		w.err = errWriterDone
	}
	return nil
}
