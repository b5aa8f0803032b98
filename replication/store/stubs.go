package store

import (
	"context"
	"time"

	"github.com/galleon-net/galleon/replication/object"
)

type Store struct{}
type Writer struct{}
type Lease struct{}

func Open(o Options) (*Store, error) { panic("stub") }
func (s *Store) Close() error        { panic("stub") }
func (s *Store) ID() object.StoreID  { panic("stub") }
func (s *Store) Incarnation() uint64 { panic("stub") }

// NewWriter takes an object's bytes: `w := s.NewWriter(ctx); defer w.Close(); io.Copy(w, body); blob, err := w.Finish()`
// and then Put or PutPart before w.Close, which ends the lease on the chunks (Close without Finish aborts).
func (s *Store) NewWriter(ctx context.Context) *Writer { panic("stub") }
func (w *Writer) Write(p []byte) (int, error)          { panic("stub") }
func (w *Writer) Finish() (Blob, error)                { panic("stub") }
func (w *Writer) Close() error                         { panic("stub") }

// Put writes a version (ID zero: minted here, Modified and Region set; else as ApplyReplica of one).
func (s *Store) Put(ctx context.Context, v object.Version, o PutOptions) (object.Version, Seq, error) {
	panic("stub")
}

// Delete puts a delete marker on top of the key (S3 DELETE without a version).
func (s *Store) Delete(ctx context.Context, bucket, key string, o PutOptions) (object.Version, Seq, error) {
	panic("stub")
}

// Purge removes one version for good (S3 DELETE with a version); what was below becomes visible.
func (s *Store) Purge(ctx context.Context, bucket, key string, id object.VersionID, o PutOptions) (object.Version, Seq, error) {
	panic("stub")
}

// Get gives a version WITHOUT its Chunks (see Manifest); id zero: the latest; its marker is ErrNotFound together with the marker's Version.
func (s *Store) Get(bucket, key string, id object.VersionID) (object.Version, error) { panic("stub") }

// Manifest gives the version WITH its Chunks.
func (s *Store) Manifest(bucket, key string, id object.VersionID) (object.Version, error) {
	panic("stub")
}
func (s *Store) Open(v object.Version) (Reader, error)               { panic("stub") }
func (s *Store) List(bucket string, o ListOptions) (ListPage, error) { panic("stub") }

// Walk visits every version with its chunks, in key order behind after, newest first within a key; StopWalk ends it.
func (s *Store) Walk(ctx context.Context, bucket, after string, fn func(r Replica, latest bool) error) error {
	panic("stub")
}
func (s *Store) Conflicts(bucket, after string, limit int) ([]Conflict, error) { panic("stub") }

// NewLease keeps chunks from the collector: until Release, or for ttl if that is not zero.
func (s *Store) NewLease(ttl time.Duration) *Lease                      { panic("stub") }
func (l *Lease) Missing(ids []object.ChunkID) ([]object.ChunkID, error) { panic("stub") }
func (l *Lease) Put(id object.ChunkID, data []byte) error               { panic("stub") }
func (l *Lease) Release()                                               { panic("stub") }
func (s *Store) GetChunk(id object.ChunkID, buf []byte) ([]byte, error) { panic("stub") }

// ApplyReplica commits versions and cursor in one synced batch; versions it has already are skipped.
func (s *Store) ApplyReplica(ctx context.Context, batch []Replica, cur Cursor) (applied int, err error) {
	panic("stub")
}

// Log gives entries from `from` on (at most limit, and at most some MiB of manifests) and the sequence to ask for next.
func (s *Store) Log(from Seq, limit int) (entries []LogEntry, next Seq, err error) { panic("stub") }

// LogNotify gives a channel that is closed when the log next grows: take it before Log.
func (s *Store) LogNotify() <-chan struct{}                    { panic("stub") }
func (s *Store) LogRange() (first, next Seq)                   { panic("stub") }
func (s *Store) TrimLog(ctx context.Context, before Seq) error { panic("stub") }
func (s *Store) SetCursor(ctx context.Context, c Cursor) error { panic("stub") } // empty Value deletes
func (s *Store) Cursor(name string) ([]byte, error)            { panic("stub") } // ErrNotFound
func (s *Store) Cursors(prefix string) ([]Cursor, error)       { panic("stub") }

func (s *Store) CreateUpload(ctx context.Context, template object.Version) (Upload, error) {
	panic("stub")
}
func (s *Store) PutPart(ctx context.Context, bucket, key, uploadID string, number int, b Blob, etag string, checksums map[string]string) (Part, error) {
	panic("stub")
}
func (s *Store) GetUpload(bucket, key, uploadID string) (Upload, error) { panic("stub") }
func (s *Store) ListParts(bucket, key, uploadID string, after, limit int) (parts []Part, truncated bool, err error) {
	panic("stub")
}
func (s *Store) CompleteUpload(ctx context.Context, bucket, key, uploadID string, parts []CompletePart, o PutOptions) (object.Version, Seq, error) {
	panic("stub")
}
func (s *Store) AbortUpload(ctx context.Context, bucket, key, uploadID string) error { panic("stub") }
func (s *Store) ListUploads(bucket, prefix, afterKey, afterID string, limit int) (ups []Upload, truncated bool, err error) {
	panic("stub")
}
func (s *Store) GC(ctx context.Context) (GCResult, error)       { panic("stub") }
func (s *Store) Check(ctx context.Context) (CheckResult, error) { panic("stub") }
func (s *Store) Stats() Stats                                   { panic("stub") }
