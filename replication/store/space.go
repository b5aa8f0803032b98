package store

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// ballastName is a file that only takes up room, to be given up when the disk is full.
	ballastName = "BALLAST"
	// ballastSize lets what is in the memtables be written out once more.
	ballastSize = memTables * memTableSize
)

// space keeps the store from filling its disk. Writes are admitted while FreeFloor bytes are free;
// the floor leaves room for compactions, and for deletes, which must work on a full disk. Should
// something else fill the disk, the ballast is removed and the write that met the end is tried again.
type space struct {
	o    *Options
	full atomic.Bool
	path string
}

func newSpace(o *Options) *space {
	sp := &space{o: o, path: o.FS.PathJoin(o.Dir, ballastName)}
	if o.FreeBytes == nil {
		o.FreeBytes = func() (uint64, error) {
			u, err := o.FS.GetDiskUsage(o.Dir)
			return u.AvailBytes, err
		}
	}
	return sp
}

// wrap removes the ballast when an operation on fs finds no room; vfs then tries that operation again.
func (sp *space) wrap(fs vfs.FS) vfs.FS {
	return vfs.OnDiskFull(fs, func() {
		if sp.o.FS.Remove(sp.path) == nil && sp.o.Emit != nil {
			sp.o.Emit(BallastDropped{Bytes: ballastSize})
		}
	})
}

// open makes the ballast where there is none and the disk has room for it above the floor.
func (sp *space) open() error {
	if _, err := sp.o.FS.Stat(sp.path); err == nil {
		return nil
	}
	free, err := sp.o.FreeBytes()
	if err != nil || free < sp.o.FreeFloor+2*ballastSize {
		return nil // a disk that cannot say how full it is is one in memory
	}
	f, err := sp.o.FS.Create(sp.path, vfs.WriteCategoryUnspecified)
	if err == nil {
		err = errors.Join(fill(f), f.Close())
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", sp.path, errors.Join(err, sp.o.FS.Remove(sp.path)))
	}
	return nil
}

// fill takes the room where the file system can promise it, and leaves the file empty where it cannot:
// writing that many zeros at every first start would cost seconds.
func fill(f vfs.File) error {
	if err := f.Preallocate(0, ballastSize); err != nil {
		return nil
	}
	_, err := f.Write([]byte{0})
	return err
}

// admit fails with ErrNoSpace when the disk is below its floor.
func (sp *space) admit() error {
	free, err := sp.o.FreeBytes()
	if err != nil {
		return nil
	}
	full := free < sp.o.FreeFloor
	if sp.full.Swap(full) != full && sp.o.Emit != nil {
		sp.o.Emit(DiskFull{Full: full, Free: free, Floor: sp.o.FreeFloor})
	}
	if full {
		return fmt.Errorf("%w: %s has %d MiB free and keeps %d MiB: enlarge the disk or delete objects, which still works",
			ErrNoSpace, sp.o.Dir, free>>20, sp.o.FreeFloor>>20)
	}
	return nil
}
