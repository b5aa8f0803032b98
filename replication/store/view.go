package store

import (
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// view is what readers see: everything up to one synced group, and nothing of the next one before that
// is synced too. It lives until its last user has released it.
type view struct {
	snap *pebble.Snapshot
	counters
	refs int // guarded by the holder's lock
}

func newView(db *pebble.DB, c counters) *view {
	return &view{snap: db.NewSnapshot(), counters: c, refs: 1}
}

// viewHolder has the newest view.
type viewHolder struct {
	mu    sync.Mutex
	now   *view         // nil once closed; holds one reference
	users int           // how many acquired views are not released
	idle  chan struct{} // made by close, closed when there are no users left
	grew  chan struct{} // closed when the log grows; made when somebody asks
}

// acquire gives the newest view, to be released. While one is held the disk stays open, so that whoever
// touches it holds one, also to write chunks.
func (h *viewHolder) acquire() (*view, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.now == nil {
		return nil, ErrClosed
	}
	h.now.refs++
	h.users++
	return h.now, nil
}

func (h *viewHolder) release(v *view) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.users--; h.users == 0 && h.idle != nil {
		close(h.idle)
	}
	h.unref(v)
}

func (h *viewHolder) unref(v *view) {
	if v.refs--; v.refs == 0 {
		// Closing a snapshot can only fail when it was closed before, which refs excludes.
		_ = v.snap.Close()
	}
}

// swap makes v the newest view and wakes who waits for the log.
func (h *viewHolder) swap(v *view) {
	h.mu.Lock()
	defer h.mu.Unlock()
	old := h.now
	h.now = v
	if h.grew != nil && (old == nil || v == nil || old.next != v.next) {
		close(h.grew)
		h.grew = nil
	}
	if old != nil {
		h.unref(old)
	}
}

// close refuses new users and waits until the last has gone.
func (h *viewHolder) close() {
	h.swap(nil)
	h.mu.Lock()
	if h.users > 0 {
		h.idle = make(chan struct{})
	}
	idle := h.idle
	h.mu.Unlock()
	if idle != nil {
		<-idle
	}
}

// notify gives a channel that is closed at the next growth, or at once when the store is closed.
func (h *viewHolder) notify() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.grew == nil {
		h.grew = make(chan struct{})
		if h.now == nil {
			close(h.grew)
		}
	}
	return h.grew
}

// read runs fn on the newest view.
func (s *Store) read(fn func(v *view) error) error {
	v, err := s.view.acquire()
	if err != nil {
		return err
	}
	defer s.view.release(v)
	return fn(v)
}
