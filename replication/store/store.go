package store

import (
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

// Options is all that a store is given. Dir, FS (nil: the disk), TenantKey, Region, Router and Clock
// are needed; the rest has defaults.
type Options struct {
	Dir string
	FS  vfs.FS
	// TenantKey keys chunk identities. A store opened with another key than it was made with is refused.
	TenantKey [32]byte
	// Region and Router are stamped on versions that are minted here.
	Region topo.Region
	Router topo.RouterID
	// Clock mints version times. Open moves it past every time that the store minted before.
	Clock *object.Clock
	// Versioned says whether a bucket keeps old versions for good. Where it is false, replaced versions
	// and tombstones are hidden and go after Retention. Nil means every bucket keeps them.
	Versioned func(bucket string) bool
	// Suspended says whether a bucket that keeps no versions did so before: its deletes make delete markers that
	// clients see. Nil means none did.
	Suspended func(bucket string) bool
	// Retention is how long hidden versions, tombstones and conflict records stay (default 7 days).
	Retention time.Duration
	// UploadRetention is how long an unfinished multipart upload stays (default 7 days).
	UploadRetention time.Duration
	// MinPartSize is the least size in bytes of every part but the last (default 5 MiB; negative: none).
	MinPartSize int64
	// FreeBytes says how many bytes the disk has left (default: ask FS; a disk that cannot say is never full).
	FreeBytes func() (uint64, error)
	// FreeFloor is the number of free bytes below which writes are refused (default 512 MiB).
	FreeFloor uint64
	// CacheBytes bounds the cache of blocks read (default 64 MiB).
	CacheBytes int64
	// NewIncarnation is set for the first start after a restore from a backup: it counts the store's
	// incarnation up, so that cursors of the time before are recognised as such.
	NewIncarnation bool
	// Emit receives events; nil drops them. It is called from the store's own goroutines and must neither
	// wait nor call the store.
	Emit func(Event)
	// Fatal is called once when the disk refuses a write: nothing can be promised any more and the
	// process should end and start again. Default: panic. If it returns, the store stays failed.
	Fatal func(error)
	// Rand makes the store's and uploads' identities (default crypto/rand). It must be safe for concurrent use.
	Rand io.Reader

	// memTable is the size of a memtable in bytes: memTableSize, smaller in tests that want flushes.
	memTable uint64
}

// Seq numbers an entry of the change log, from 1, in commit order.
type Seq uint64

// PutOptions qualify a Put or Delete.
type PutOptions struct {
	// IfMatch and IfNoneMatch are ETags without quotes, or "*"; empty asks nothing. IfMatch on a key
	// that is not there is ErrNotFound; otherwise a condition that does not hold is ErrPrecondition.
	IfMatch, IfNoneMatch string
	// IfMatchSize and IfMatchModified, where set, ask for the object's size in bytes and the second of its time.
	IfMatchSize     *int64
	IfMatchModified time.Time
	// IfLatest, where set, is the version that must be the latest, marker or not.
	IfLatest object.VersionID
	// BypassGovernance removes what is under governance retention.
	BypassGovernance bool
	// CatalogIndex is the index of the catalog by which the write was judged; it is kept in the log.
	CatalogIndex uint64
}

// Replica is one version that another store took, as a peer sent it.
type Replica struct {
	Version      object.Version
	CatalogIndex uint64
	// Purged says that this version was removed for good; Version then needs Bucket, Key and ID alone.
	Purged bool
}

// Cursor is a named durable value that is committed with what it stands for.
type Cursor struct {
	Name  string
	Value []byte
}

// LogEntry is one change, in commit order.
type LogEntry struct {
	Seq Seq
	// Version is the whole version with its chunks; of a purge, only Bucket, Key and ID.
	Version      object.Version
	CatalogIndex uint64
	Purged       bool
}

// ListOptions say which page to list.
type ListOptions struct {
	Prefix string
	// After is exclusive: the last key or common prefix of the page before.
	After string
	// AfterVersion, with After and Versions, continues inside the key After; zero: behind all of it.
	AfterVersion object.VersionID
	// Delimiter rolls keys up that share what lies between Prefix and its first occurrence.
	Delimiter string
	// Limit bounds entries and prefixes together (default and at most 1000).
	Limit int
	// Versions lists every version and delete marker, newest first; otherwise the latest visible ones.
	Versions bool
}

// ListEntry is one line of a listing. Version is without Chunks; without Versions it has only Bucket,
// Key, ID, Size, ETag and Modified.
type ListEntry struct {
	Version object.Version
	Latest  bool
}

// ListPage is what List gives: entries and common prefixes, each in byte order.
type ListPage struct {
	Entries  []ListEntry
	Prefixes []string
	// Truncated says that there is more, behind Next and (of a version listing) NextVersion.
	Truncated   bool
	Next        string
	NextVersion object.VersionID
}

// Conflict is a version that lost: it is not the latest, and nobody who wrote later had seen it.
type Conflict struct {
	Loser  object.Version // without Chunks
	Winner object.VersionID
	Found  time.Time
}

// Upload is a multipart upload that is not finished.
type Upload struct {
	// ID is 32 hexadecimal digits; IDs of one key ascend with Created.
	ID      string
	Created time.Time
	// Algorithm and Type are the checksum that the upload was opened with, both may be empty.
	Algorithm, Type string
	// Version is the template given to CreateUpload.
	Version object.Version
}

// Part is one part of a multipart upload.
type Part struct {
	Number    int
	Size      int64
	ETag      string
	Modified  time.Time
	Checksums map[string]string
	Chunks    []object.ChunkRef
}

// CompletePart names a part in Complete.
type CompletePart struct {
	Number int
	ETag   string
}

// Complete says what makes an object out of an upload.
type Complete struct {
	// Parts ascend by number; their ETags must be those of the stored parts.
	Parts []CompletePart
	// ETag of the object; empty: MD5 of the parts' MD5s and their number, as S3 does.
	ETag string
	// Checksums of the object, and of its parts in their order.
	Checksums     map[string]string
	PartChecksums []string
}

// Stats is what a store holds.
type Stats struct {
	Objects      int64  `json:"objects"`  // keys whose latest version is visible
	Bytes        int64  `json:"bytes"`    // of those, logical
	Versions     int64  `json:"versions"` // all, with delete markers and hidden ones
	VersionBytes int64  `json:"version_bytes"`
	Chunks       int64  `json:"chunks"`
	ChunkBytes   int64  `json:"chunk_bytes"`
	DiskBytes    uint64 `json:"disk_bytes"`
	// DedupRatio is VersionBytes over ChunkBytes: what it would take without sharing over what it takes.
	DedupRatio float64 `json:"dedup_ratio"`
	LogFirst   Seq     `json:"log_first"` // oldest kept
	LogNext    Seq     `json:"log_next"`  // what the next entry will be
	Full       bool    `json:"full"`
}

// Blob is what a Writer took.
type Blob struct {
	Size   int64
	MD5    [16]byte
	Sum    [32]byte // plain BLAKE3
	Chunks []object.ChunkRef
}

// GCResult says what a collection did.
type GCResult struct {
	PurgedVersions, AbortedUploads int
	Chunks                         int64 // looked at
	FreedChunks, FreedBytes        int64
}

// CheckResult says what a scrub found.
type CheckResult struct {
	Versions, Chunks, Bytes int64
	// Bad lists problems, at most maxBad of them; Problems counts all.
	Bad      []string
	Problems int64
}

// Reader reads one version's bytes; every chunk is checked against its hash before it is handed out.
// It keeps what it reads alive until Close.
type Reader interface {
	io.ReadSeekCloser
	io.ReaderAt
	io.WriterTo
}
