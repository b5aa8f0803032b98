package store

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galleon-net/galleon/replication/chunk"
	"github.com/galleon-net/galleon/replication/object"
)

// written counts chunks as they are stored; every group commits the counts. A collection makes them exact but
// for what was written beside it; a crash, or two writers with the same chunk, can put them out by a few.
type written struct{ chunks, bytes atomic.Int64 }

func (w *written) load(c *counters) {
	w.chunks.Store(c.chunks)
	w.bytes.Store(c.chunkBytes)
}

func (w *written) store(c *counters) {
	c.chunks, c.chunkBytes = w.chunks.Load(), w.bytes.Load()
}

func (w *written) add(chunks, bytes int64) {
	w.chunks.Add(chunks)
	w.bytes.Add(bytes)
}

// flushChunks is how many bytes of chunks make a batch.
const flushChunks = 1 << 20

// chunkBatch gathers new chunks for one unsynced batch; the sync of the version that names them covers it.
type chunkBatch struct {
	s   *Store
	b   *pebble.Batch
	ids []object.ChunkID
	// size is the number of bytes of the chunks alone.
	size int
}

func (cb *chunkBatch) has(id object.ChunkID) bool {
	for i := range cb.ids {
		if cb.ids[i] == id {
			return true
		}
	}
	return false
}

// add takes a chunk; data is copied.
func (cb *chunkBatch) add(id object.ChunkID, data []byte) {
	if cb.b == nil {
		cb.b = cb.s.db.NewBatch()
	}
	cb.ids = append(cb.ids, id)
	cb.size += len(data)
	op := cb.b.SetDeferred(1+len(id), 1+len(data))
	op.Key[0] = spaceChunk
	copy(op.Key[1:], id[:])
	op.Value[0] = recordFormat
	copy(op.Value[1:], data)
	_ = op.Finish() // fails only for an indexed batch
}

func (cb *chunkBatch) flush() error {
	if cb.b == nil {
		return nil
	}
	n := len(cb.ids)
	err := cb.s.read(func(*view) error { return cb.s.apply(cb.b, pebble.NoSync) })
	if err == nil {
		cb.s.damaged.replaced(cb.ids)
		cb.s.written.add(int64(n), int64(cb.size))
	}
	err = errors.Join(err, cb.b.Close())
	cb.b, cb.ids, cb.size = nil, cb.ids[:0], 0
	if err != nil {
		return fmt.Errorf("store %d chunks: %w", n, err)
	}
	return nil
}

// hasChunk asks for one chunk in the newest state of the disk, also for one whose sync is still to come.
func (s *Store) hasChunk(id object.ChunkID) (bool, error) {
	m, err := s.missing([]object.ChunkID{id})
	return len(m) == 0, err
}

// missing gives those of ids that are not here. An iterator looks at keys alone, where Get would fetch
// the value from its blob file.
func (s *Store) missing(ids []object.ChunkID) (out []object.ChunkID, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	v, err := s.view.acquire()
	if err != nil {
		return nil, err
	}
	defer s.view.release(v)
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{spaceChunk}, UpperBound: []byte{spaceChunk + 1}})
	if err != nil {
		return nil, err
	}
	for i := range ids {
		if !it.SeekPrefixGE(chunkKey(ids[i])) || s.damaged.has(ids[i]) {
			out = append(out, ids[i])
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return nil, fmt.Errorf("look for %d chunks: %w", len(ids), err)
	}
	return out, nil
}

// GetChunk appends a chunk's bytes to buf, having checked them against id: ErrNotFound, ErrCorrupt.
func (s *Store) GetChunk(id object.ChunkID, buf []byte) (data []byte, err error) {
	err = s.read(func(v *view) error {
		data, err = s.getChunk(v.snap, id, buf)
		return err
	})
	return data, err
}

func (s *Store) getChunk(r pebble.Reader, id object.ChunkID, buf []byte) ([]byte, error) {
	val, closer, err := r.Get(chunkKey(id))
	if errors.Is(err, pebble.ErrNotFound) {
		return buf, fmt.Errorf("chunk %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return buf, fmt.Errorf("read chunk %s: %w", id, err)
	}
	defer closer.Close()
	if err := s.checkChunk(id, val); err != nil {
		s.emit(Corruption{What: err.Error()})
		return buf, err
	}
	return append(buf, val[1:]...), nil
}

// checkChunk says whether a stored value is the chunk that id names, and remembers where it is not.
func (s *Store) checkChunk(id object.ChunkID, val []byte) (err error) {
	defer func() {
		if err != nil {
			s.damaged.add(id)
		}
	}()
	if len(val) < 2 || val[0] != recordFormat {
		return fmt.Errorf("chunk %s: %w: its record is of no known format", id, ErrCorrupt)
	}
	if got := chunk.Hash(&s.opts.TenantKey, val[1:]); got != id {
		return fmt.Errorf("chunk %s: %w: the bytes on the disk are chunk %s", id, ErrCorrupt, got)
	}
	return nil
}
