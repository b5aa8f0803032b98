package store

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galleon-net/galleon/replication/chunk"
	"github.com/galleon-net/galleon/replication/object"
)

// Defaults of Options.
const (
	defaultRetention   = 7 * 24 * time.Hour
	defaultMinPartSize = 5 << 20
	defaultFreeFloor   = 512 << 20
	defaultCacheBytes  = 64 << 20
)

// Store is one machine's objects. Its methods may be called from many goroutines at once.
type Store struct {
	opts  Options
	db    *pebble.DB
	ident identity
	space *space

	commits *committer
	view    viewHolder
	leases  leases
	uploads keyedLocks

	written written // chunks since the last group
	damaged damaged

	failOnce sync.Once
	failed   chan struct{} // closed when the disk refused a write
	gcMu     sync.Mutex    // one collection or scrub at a time
}

// Open opens the store in o.Dir, or makes one. It starts one goroutine, which Close ends.
func Open(o Options) (*Store, error) {
	if o.Dir == "" || o.Clock == nil || o.Region == "" || o.Router == 0 {
		return nil, fmt.Errorf("open store: Dir, Clock, Region and Router must be set")
	}
	o.setDefaults()
	s := &Store{opts: o, failed: make(chan struct{})}
	s.space = newSpace(&s.opts)
	if err := o.FS.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make store directory %s: %w", o.Dir, err)
	}
	if err := s.space.open(); err != nil {
		return nil, err
	}
	db, err := s.openPebble()
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", o.Dir, err)
	}
	s.db = db
	if err := s.load(); err != nil {
		return nil, errors.Join(fmt.Errorf("open store %s: %w", o.Dir, err), db.Close())
	}
	s.emit(Opened{Dir: o.Dir, ID: s.ident.id, Incarnation: s.ident.incarnation, Stats: s.Stats()})
	return s, nil
}

// openPebble turns the panics with which Pebble answers a directory that cannot be synced into errors.
func (s *Store) openPebble() (db *pebble.DB, err error) {
	defer func() {
		if p := recover(); p != nil {
			e, ok := p.(error)
			if !ok {
				panic(p)
			}
			err = e
		}
	}()
	return pebble.Open(s.opts.Dir, s.pebbleOptions())
}

func (o *Options) setDefaults() {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Retention == 0 {
		o.Retention = defaultRetention
	}
	if o.UploadRetention == 0 {
		o.UploadRetention = defaultRetention
	}
	if o.MinPartSize == 0 {
		o.MinPartSize = defaultMinPartSize
	}
	if o.FreeFloor == 0 {
		o.FreeFloor = defaultFreeFloor
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = defaultCacheBytes
	}
	if o.Versioned == nil {
		o.Versioned = func(string) bool { return true }
	}
	if o.Suspended == nil {
		o.Suspended = func(string) bool { return false }
	}
	if o.memTable == 0 {
		o.memTable = memTableSize
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(err) }
	}
}

// load reads or makes the store's own records, moves the clock past what was minted before, and starts
// the committer.
func (s *Store) load() error {
	check := chunk.Hash(&s.opts.TenantKey, []byte("galleon store tenant key check v1"))
	b, err := get(s.db, keyStore)
	switch {
	case errors.Is(err, ErrNotFound):
		if _, err := io.ReadFull(s.opts.Rand, s.ident.id[:]); err != nil {
			return fmt.Errorf("make a store id: %w", err)
		}
		s.ident.check = check
		err = s.db.Set(keyStore, s.ident.encode(), pebble.Sync)
	case err == nil:
		s.ident, err = decodeIdentity(b)
		if err == nil && s.ident.check != check {
			err = errors.New("it was made with another tenant key: give it that key, or use another directory")
		}
		if err == nil && s.opts.NewIncarnation {
			s.ident.incarnation++
			err = s.db.Set(keyStore, s.ident.encode(), pebble.Sync)
		}
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	c := counters{next: 1, first: 1}
	if b, err = get(s.db, keyCounters); err == nil {
		c, err = decodeCounters(b)
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	s.opts.Clock.Restore(c.minted)
	s.written.load(&c)
	s.view.swap(newView(s.db, c))
	s.commits = newCommitter(s)
	return nil
}

// Close ends the committer and closes the disk, once writes under way have ended and Readers are closed.
// What comes later ends with ErrClosed.
func (s *Store) Close() error {
	if !s.commits.stop() {
		return nil // closed before
	}
	select {
	case <-s.failed:
		return ErrFailed // Pebble holds its locks for good; only the end of the process frees them
	default:
	}
	s.view.close()
	return s.db.Close()
}

// ID names this store for as long as its disk lives.
func (s *Store) ID() object.StoreID { return s.ident.id }

// Incarnation counts restores from a backup.
func (s *Store) Incarnation() uint64 { return s.ident.incarnation }

func (s *Store) emit(e Event) {
	if s.opts.Emit != nil {
		s.opts.Emit(e)
	}
}

// fail is where a refused write ends. It returns, and everything that waits for the disk gets ErrFailed.
func (s *Store) fail(err error) {
	s.failOnce.Do(func() {
		close(s.failed)
		s.emit(Failed{Err: err})
		s.opts.Fatal(fmt.Errorf("store %s: %w", s.opts.Dir, err))
	})
}

// get copies a value out of Pebble.
func get(r pebble.Reader, key []byte) ([]byte, error) {
	v, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	b := append([]byte(nil), v...)
	return b, closer.Close()
}
