package store

import (
	"fmt"
	"sync"
	"time"

	"github.com/galleon-net/galleon/replication/chunk"
	"github.com/galleon-net/galleon/replication/object"
)

// leases are the chunks that somebody relies on although no version names them yet, and the border
// between them and the collector:
//
//   - who relies on a chunk first adds it to a lease and then asks whether it is here;
//   - the collector deletes under the lock, having asked there whether the chunk was added since it began.
//
// Either the collector sees the lease or the owner of the lease sees that the chunk is gone.
type leases struct {
	mu   sync.RWMutex
	live map[*Lease]struct{}
	// mark is the set of chunks that the collection under way must keep; nil when there is none.
	mark *markSet
}

// Lease keeps chunks from the collector. Its methods may be called from several goroutines.
type Lease struct {
	s       *Store
	expires time.Time // zero: when released

	mu  sync.Mutex
	ids []object.ChunkID
}

// NewLease begins a lease that ends with Release, or by itself after ttl if that is not zero: that is
// for chunks that a peer was told we have.
func (s *Store) NewLease(ttl time.Duration) *Lease {
	l := &Lease{s: s}
	if ttl > 0 {
		l.expires = time.Now().Add(ttl)
	}
	ls := &s.leases
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.live == nil {
		ls.live = map[*Lease]struct{}{}
	}
	if ttl > 0 && len(ls.live) >= manyLeases {
		ls.dropExpired()
	}
	ls.live[l] = struct{}{}
	return l
}

// manyLeases is from where on those that ended by themselves are forgotten as new ones are made; else the
// next collection does it.
const manyLeases = 1024

// dropExpired forgets leases that ended by themselves. The caller holds the lock.
func (ls *leases) dropExpired() {
	now := time.Now()
	for l := range ls.live {
		if !l.expires.IsZero() && now.After(l.expires) {
			delete(ls.live, l)
		}
	}
}

// Release ends the lease. Versions that were put in the meantime keep their chunks by themselves.
func (l *Lease) Release() {
	ls := &l.s.leases
	ls.mu.Lock()
	delete(ls.live, l)
	ls.mu.Unlock()
	l.mu.Lock()
	l.ids = nil
	l.mu.Unlock()
}

func (l *Lease) add(ids ...object.ChunkID) {
	ls := &l.s.leases
	ls.mu.RLock()
	defer ls.mu.RUnlock()
	l.mu.Lock()
	l.ids = append(l.ids, ids...)
	l.mu.Unlock()
	if ls.mark != nil {
		for i := range ids {
			ls.mark.add(&ids[i])
		}
	}
}

// Missing leases ids and gives those of them that are not in the store, in order.
func (l *Lease) Missing(ids []object.ChunkID) ([]object.ChunkID, error) {
	l.add(ids...)
	return l.s.missing(ids)
}

// Put leases and stores a chunk, having checked that data is what id names. A chunk that was found corrupt is
// replaced. It is safe on disk with the next Put of a version or ApplyReplica.
func (l *Lease) Put(id object.ChunkID, data []byte) error {
	if len(data) == 0 || len(data) > chunk.Max {
		return fmt.Errorf("store chunk %s: %w: it has %d bytes, want 1 to %d", id, ErrTooLarge, len(data), chunk.Max)
	}
	if got := chunk.Hash(&l.s.opts.TenantKey, data); got != id {
		return fmt.Errorf("store chunk %s: %w: the bytes received are chunk %s", id, ErrCorrupt, got)
	}
	if err := l.s.space.admit(); err != nil {
		return err
	}
	l.add(id)
	if have, err := l.s.hasChunk(id); have || err != nil {
		return err
	}
	b := chunkBatch{s: l.s}
	b.add(id, data)
	return b.flush()
}
