package store

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/galleon-net/galleon/replication/chunk"
	"github.com/galleon-net/galleon/replication/object"
)

var errBadSeek = errors.New("seek to before the start")

// reader holds a view, so that neither a purge nor the collector takes away what it reads. Of the manifest
// it holds one segment, of the data one chunk.
type reader struct {
	s    *Store
	view *view
	v    object.Version
	mu   sync.Mutex // guards what follows; ReadAt may be called concurrently
	off  int64

	refs  []object.ChunkRef // a segment
	start int64             // offset of its first byte
	at    int64             // offset of data; meaningful with len(data) > 0
	data  []byte            // the chunk read last
}

// Open reads a version's bytes; v needs Bucket, Key and ID (zero: the latest). A delete marker is
// ErrNotFound. The Reader must be closed.
func (s *Store) Open(v object.Version) (Reader, error) {
	view, err := s.view.acquire()
	if err != nil {
		return nil, err
	}
	rec, err := find(view.snap, v.Bucket, v.Key, v.ID)
	if err == nil && rec.v.DeleteMarker {
		err = ErrNotFound
	}
	if err != nil {
		s.view.release(view)
		return nil, fmt.Errorf("open %s/%s: %w", v.Bucket, v.Key, err)
	}
	return &reader{s: s, view: view, v: rec.v, refs: rec.v.Chunks}, nil
}

func (r *reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.view != nil {
		r.s.view.release(r.view)
		r.view, r.data = nil, nil
	}
	return nil
}

func (r *reader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	b, err := r.bytesAt(r.off)
	n := copy(p, b)
	r.off += int64(n)
	return n, err
}

func (r *reader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, errBadSeek
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for n < len(p) {
		b, err := r.bytesAt(off + int64(n))
		if err != nil {
			return n, err
		}
		n += copy(p[n:], b)
	}
	return n, nil
}

// WriteTo writes from the current offset to the end, a chunk at a time.
func (r *reader) WriteTo(w io.Writer) (total int64, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		b, err := r.bytesAt(r.off)
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
		n, err := w.Write(b)
		total, r.off = total+int64(n), r.off+int64(n)
		if err != nil {
			return total, err
		}
	}
}

func (r *reader) Seek(offset int64, whence int) (int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch whence {
	case io.SeekCurrent:
		offset += r.off
	case io.SeekEnd:
		offset += r.v.Size
	}
	if offset < 0 {
		return r.off, errBadSeek
	}
	r.off = offset
	return offset, nil
}

// bytesAt gives what the chunk that holds off has from there on, checked; io.EOF behind the end.
func (r *reader) bytesAt(off int64) ([]byte, error) {
	if r.view == nil {
		return nil, fmt.Errorf("read %s/%s: the reader is closed", r.v.Bucket, r.v.Key)
	}
	if off >= r.v.Size {
		return nil, io.EOF
	}
	if off < r.at || off >= r.at+int64(len(r.data)) {
		if err := r.load(off); err != nil {
			return nil, fmt.Errorf("read %s/%s at %d: %w", r.v.Bucket, r.v.Key, off, err)
		}
	}
	return r.data[off-r.at:], nil
}

// load fetches the chunk that holds off.
func (r *reader) load(off int64) error {
	ref, at, ok := locate(r.refs, r.start, off)
	if !ok {
		err := scanManifest(r.view.snap, &r.v, off, func(start int64, refs []object.ChunkRef) bool {
			r.start, r.refs = start, refs
			return false
		})
		if err != nil {
			return err
		}
		if ref, at, ok = locate(r.refs, r.start, off); !ok {
			return fmt.Errorf("%w: the manifest has no chunk here", ErrCorrupt)
		}
	}
	if r.data == nil {
		r.data = make([]byte, 0, chunk.Max)
	}
	data, err := r.s.getChunk(r.view.snap, ref.ID, r.data[:0])
	if err == nil && len(data) != int(ref.Size) {
		err = fmt.Errorf("%w: chunk %s has %d bytes, the manifest says %d", ErrCorrupt, ref.ID, len(data), ref.Size)
	}
	if err != nil {
		r.data = r.data[:0]
		return err
	}
	r.data, r.at = data, at
	return nil
}

// locate finds the chunk that holds off in a segment that begins at start. Segments are short enough
// for a walk: 4,096 additions take less time than reading a chunk.
func locate(refs []object.ChunkRef, start, off int64) (ref object.ChunkRef, at int64, ok bool) {
	if off < start {
		return ref, 0, false
	}
	i := slices.IndexFunc(refs, func(c object.ChunkRef) bool {
		start += int64(c.Size)
		return off < start
	})
	if i < 0 {
		return ref, 0, false
	}
	return refs[i], start - int64(refs[i].Size), true
}
