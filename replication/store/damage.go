package store

import (
	"sync"

	"github.com/galleon-net/galleon/replication/object"
)

// maxDamaged bounds how many damaged chunks are remembered; with more than that the disk is beyond repair.
const maxDamaged = 10_000

// damaged are chunks that were found to be other bytes than their name says. They count as not being here, so
// that the next writer or peer that has one puts it in the place of the bad bytes.
type damaged struct {
	mu  sync.RWMutex
	ids map[object.ChunkID]struct{}
}

func (d *damaged) add(id object.ChunkID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ids == nil {
		d.ids = map[object.ChunkID]struct{}{}
	}
	if len(d.ids) < maxDamaged {
		d.ids[id] = struct{}{}
	}
}

func (d *damaged) has(id object.ChunkID) bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	_, ok := d.ids[id]
	return ok
}

// replaced forgets chunks that were stored anew.
func (d *damaged) replaced(ids []object.ChunkID) {
	d.mu.RLock()
	none := len(d.ids) == 0
	d.mu.RUnlock()
	if none {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, id := range ids {
		delete(d.ids, id)
	}
}
