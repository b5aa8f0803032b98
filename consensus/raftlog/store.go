package raftlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

// DefaultWriteLimit is how long one write may take before the process is ended.
const DefaultWriteLimit = 10 * time.Second

const (
	// storeFormat is the value under keyFormat.
	storeFormat = 1
	// pebbleFormat is pinned: Pebble's default is its oldest, and a later one is a decision about
	// going back to an older version of Galleon, not a side effect of an update.
	pebbleFormat = pebble.FormatWALSyncChunks
	// memTableSize lets most entries die in memory before they reach a table: they are removed by
	// the next snapshot.
	memTableSize = 16 << 20
)

// ErrFailed is what every call gives after a write failed.
var ErrFailed = errors.New("the raft log failed earlier; the process must end")

// ErrClosed is what every call gives after Close.
var ErrClosed = errors.New("the raft log is closed")

// Options says where the log lies.
type Options struct {
	Dir string
	// FS is the file system; nil is the disk.
	FS vfs.FS
	// Fatal ends the process. It is called at most once, when a write failed or hangs. When it
	// returns all the same (in tests), the store refuses every further call.
	Fatal func(error)
	// WriteLimit is how long a write may take, DefaultWriteLimit when zero.
	WriteLimit time.Duration
}

// Store is a raft.LogStore, raft.MonotonicLogStore and raft.StableStore.
type Store struct {
	db     *pebble.DB
	limit  time.Duration
	log    *fatalLogger
	failed *atomic.Bool

	// life is held for reading by everyone who reads Pebble, so that Close waits for them.
	life   sync.RWMutex
	closed bool

	// writing is held over each change of the log, which Raft makes from its main loop and, when it
	// removes what a snapshot replaced, from another goroutine.
	writing sync.Mutex
	// mu guards first and last: the bounds of the log, both 0 when it is empty. It is not held while the
	// disk works, so that a disk that hangs does not keep anybody from asking for the bounds.
	mu          sync.RWMutex
	first, last uint64
}

var (
	_ raft.LogStore          = (*Store)(nil)
	_ raft.MonotonicLogStore = (*Store)(nil)
	_ raft.StableStore       = (*Store)(nil)
)

// Open opens the log, or makes an empty one, and checks every entry.
func Open(o Options) (s *Store, err error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.WriteLimit == 0 {
		o.WriteLimit = DefaultWriteLimit
	}
	s = &Store{limit: o.WriteLimit, failed: new(atomic.Bool)}
	s.log = &fatalLogger{end: o.Fatal, failed: s.failed}
	s.log.caller.Store(true)
	defer s.log.recovered(&err)
	s.db, err = pebble.Open(o.Dir, &pebble.Options{
		FS: o.FS, Logger: s.log, FormatMajorVersion: pebbleFormat, MemTableSize: memTableSize,
	})
	s.log.caller.Store(false)
	if err != nil {
		return nil, fmt.Errorf("open raft log in %s: %w", o.Dir, err)
	}
	if err = s.checkFormat(); err == nil {
		err = s.scan()
	}
	if err != nil {
		_ = s.db.Close()
		return nil, fmt.Errorf("open raft log in %s: %w", o.Dir, err)
	}
	return s, nil
}

// Close releases the files. When Pebble itself gave up it does not touch them: Pebble would wait there
// for goroutines that cannot go on, and the process is about to end anyway.
func (s *Store) Close() error {
	if s.log.broken.Load() {
		return ErrFailed
	}
	s.life.Lock()
	defer s.life.Unlock()
	if s.closed {
		return ErrClosed
	}
	s.closed = true
	return s.db.Close()
}

// enter lets a reader in. When it gives no error, leave must follow.
func (s *Store) enter() error {
	if s.failed.Load() {
		return ErrFailed
	}
	s.life.RLock()
	if s.closed {
		s.life.RUnlock()
		return ErrClosed
	}
	return nil
}

func (s *Store) leave() { s.life.RUnlock() }

func (s *Store) checkFormat() error {
	v, closer, err := s.db.Get([]byte{keyFormat})
	if errors.Is(err, pebble.ErrNotFound) {
		return s.write("format", func(b *pebble.Batch) error { return b.Set([]byte{keyFormat}, []byte{storeFormat}, nil) })
	}
	if err != nil {
		return err
	}
	defer closer.Close()
	if len(v) != 1 || v[0] != storeFormat {
		return fmt.Errorf("format %x is not known to this version of galleond, which knows %d", v, storeFormat)
	}
	return nil
}

// scan finds the bounds and checks that every entry between them is there and whole.
func (s *Store) scan() error {
	it, err := s.db.NewIter(&pebble.IterOptions{LowerBound: []byte{keyLog}, UpperBound: []byte{keyLog + 1}})
	if err != nil {
		return err
	}
	defer it.Close()
	var l raft.Log
	for ok := it.First(); ok; ok = it.Next() {
		if len(it.Key()) != 9 {
			return fmt.Errorf("entry under the key %x: want 9 bytes", it.Key())
		}
		index := binary.BigEndian.Uint64(it.Key()[1:])
		if s.last != 0 && index != s.last+1 {
			return fmt.Errorf("entries %d to %d are missing", s.last+1, index-1)
		}
		if err := decode(index, it.Value(), &l); err != nil {
			return err
		}
		if s.first == 0 {
			s.first = index
		}
		s.last = index
	}
	return it.Error()
}

// write commits one synced batch and ends the process when it fails or hangs.
func (s *Store) write(what string, fill func(*pebble.Batch) error) (err error) {
	if err = s.enter(); err != nil {
		return err
	}
	defer s.leave()
	defer s.log.recovered(&err)
	watch := time.AfterFunc(s.limit, func() {
		s.log.fail(fmt.Errorf("raft log: writing %s has taken %v: the disk hangs", what, s.limit))
	})
	defer watch.Stop()
	b := s.db.NewBatch()
	defer b.Close()
	if err = fill(b); err == nil {
		err = b.Commit(pebble.Sync)
	}
	if err == nil && s.failed.Load() {
		err = ErrFailed
	}
	if err != nil {
		err = fmt.Errorf("raft log: writing %s: %w", what, err)
		s.log.fail(err)
	}
	return err
}

// DiskUsage is the size of the log's files in bytes.
func (s *Store) DiskUsage() uint64 {
	if s.enter() != nil {
		return 0
	}
	defer s.leave()
	return s.db.Metrics().DiskSpaceUsage()
}
