package store

import (
	"fmt"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// formatVersion is pinned: it is raised by a decision, never by a new Pebble, since it cannot be lowered.
const formatVersion = pebble.FormatValueSeparation

const (
	// memTableSize bounds how much of the log a restart replays; up to memTables of them are in memory.
	memTableSize = 16 << 20
	memTables    = 4
	// separateFrom is the least value in bytes that goes to a blob file.
	separateFrom = 4 << 10
	// blobDepth is how many blob files that overlap a table may refer to.
	blobDepth = 100
	// bloomBits per key keep a look-up of a chunk that is not there from touching most tables.
	bloomBits = 10
)

func (s *Store) pebbleOptions() *pebble.Options {
	o := &pebble.Options{
		FS:                          s.space.wrap(s.opts.FS),
		FormatMajorVersion:          formatVersion,
		CacheSize:                   s.opts.CacheBytes,
		MemTableSize:                s.opts.memTable,
		MemTableStopWritesThreshold: memTables,
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       20,
		MaxOpenFiles:                512,
		// Dirty pages are pushed out as they come, so that a sync behind a large object finds little to do.
		WALBytesPerSync:            1 << 20,
		CompactionConcurrencyRange: func() (int, int) { return 1, max(1, runtime.GOMAXPROCS(0)/2) },
		Logger:                     (*pebbleLogger)(s),
	}
	// Chunks fall anywhere in the key space, so that every table soon refers to every blob file. At a depth
	// of 10 compactions would copy values to undo that, for a locality that chunks never have. A GiB of new
	// chunks made Pebble write 2.0 GiB (log and blobs) as set here, 3.1 at a depth of 10, and 5.2 with values
	// in the tables.
	o.Experimental.ValueSeparationPolicy = func() pebble.ValueSeparationPolicy {
		return pebble.ValueSeparationPolicy{
			Enabled:               true,
			MinimumSize:           separateFrom,
			MaxBlobReferenceDepth: blobDepth,
			RewriteMinimumAge:     5 * time.Minute,
			TargetGarbageRatio:    0.2,
		}
	}
	for i := range o.Levels {
		o.Levels[i].FilterPolicy = bloom.FilterPolicy(bloomBits)
		o.Levels[i].BlockSize = 16 << 10
		o.Levels[i].Compression = func() *sstable.CompressionProfile { return sstable.FastestCompression }
	}
	o.EventListener = &pebble.EventListener{
		BackgroundError: func(err error) { s.emit(DiskTrouble{Err: err}) },
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			s.emit(Corruption{What: fmt.Sprintf("%s: %v", i.Path, i.Details)})
		},
	}
	return o
}

// pebbleLogger hands Pebble's one unforgivable message on and drops its chatter.
type pebbleLogger Store

func (l *pebbleLogger) Infof(string, ...any) {}

func (l *pebbleLogger) Errorf(format string, args ...any) {
	(*Store)(l).emit(DiskTrouble{Err: fmt.Errorf(format, args...)})
}

// Fatalf is called when a commit could not be written. Pebble must not go on after it, so that this
// goroutine stops here even if Options.Fatal returned.
func (l *pebbleLogger) Fatalf(format string, args ...any) {
	(*Store)(l).fail(fmt.Errorf(format, args...))
	select {}
}
