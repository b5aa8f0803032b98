package store

import (
	"log/slog"
	"time"

	"github.com/galleon-net/galleon/replication/object"
)

// Event is something that happened in the store and that an operator or a test may want to see.
type Event interface {
	Name() string
	slog.LogValuer
}

// Opened says that a store is ready.
type Opened struct {
	Dir         string
	ID          object.StoreID
	Incarnation uint64
	Stats       Stats
}

// DiskFull says that writes are refused (Full) or taken again.
type DiskFull struct {
	Full        bool
	Free, Floor uint64 // bytes
}

// BallastDropped says that the disk was full in the middle of a write and the ballast file was removed.
type BallastDropped struct{ Bytes int64 }

// DiskTrouble is an error that Pebble met in the background and will try again after.
type DiskTrouble struct{ Err error }

// Corruption names bytes on the disk that are not what was written.
type Corruption struct{ What string }

// Failed says that the disk refused a write: the process must end.
type Failed struct{ Err error }

// Collected says what a garbage collection did.
type Collected struct {
	Result GCResult
	Took   time.Duration
}

// ConflictFound says that of two versions whose writers did not see each other, one lost.
type ConflictFound struct {
	Bucket, Key   string
	Loser, Winner object.VersionID
}

// Name gives the event's kind; LogValue its particulars.
func (Opened) Name() string         { return "store-opened" }
func (DiskFull) Name() string       { return "store-disk-full" }
func (BallastDropped) Name() string { return "store-ballast-dropped" }
func (DiskTrouble) Name() string    { return "store-disk-trouble" }
func (Corruption) Name() string     { return "store-corruption" }
func (Failed) Name() string         { return "store-failed" }
func (Collected) Name() string      { return "store-collected" }
func (ConflictFound) Name() string  { return "store-conflict" }

func (e Opened) LogValue() slog.Value {
	return slog.GroupValue(slog.String("dir", e.Dir), slog.String("id", e.ID.String()), slog.Uint64("incarnation", e.Incarnation),
		slog.Int64("objects", e.Stats.Objects), slog.Int64("bytes", e.Stats.Bytes))
}

func (e DiskFull) LogValue() slog.Value {
	return slog.GroupValue(slog.Bool("full", e.Full), slog.Uint64("free", e.Free), slog.Uint64("floor", e.Floor))
}

func (e BallastDropped) LogValue() slog.Value { return slog.GroupValue(slog.Int64("bytes", e.Bytes)) }
func (e DiskTrouble) LogValue() slog.Value    { return slog.GroupValue(slog.Any("error", e.Err)) }
func (e Corruption) LogValue() slog.Value     { return slog.GroupValue(slog.String("what", e.What)) }
func (e Failed) LogValue() slog.Value         { return slog.GroupValue(slog.Any("error", e.Err)) }

func (e Collected) LogValue() slog.Value {
	return slog.GroupValue(slog.Int("purged", e.Result.PurgedVersions), slog.Int("uploads", e.Result.AbortedUploads),
		slog.Int64("freed_chunks", e.Result.FreedChunks), slog.Int64("freed_bytes", e.Result.FreedBytes), slog.Duration("took", e.Took))
}

func (e ConflictFound) LogValue() slog.Value {
	return slog.GroupValue(slog.String("bucket", e.Bucket), slog.String("key", e.Key),
		slog.Any("loser", e.Loser), slog.Any("winner", e.Winner))
}
