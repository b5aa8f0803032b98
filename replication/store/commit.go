package store

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galleon-net/galleon/replication/object"
)

const (
	// maxGroup bounds the writes that share one sync.
	maxGroup = 512
	// maxGroupBytes ends a group early, so that large manifests do not keep small writes waiting.
	maxGroupBytes = 4 << 20
)

// write is one change to the index on its way through the committer.
type write struct {
	// run makes the change in tx. It may run more than once, each time in a fresh tx.
	run func(tx *tx) error
	// weight is about how many bytes it writes.
	weight int
	err    error
	done   chan struct{}
}

// committer runs all changes to the index, one after the other, in groups that share a batch and a sync:
//
//	write ──► ops ──► run, run, run ──► one synced batch ──► new view ──► done, done, done
//	                  (each sees those before it)
//
// One goroutine, from newCommitter to stop, does all of this; hence conditions, sequence numbers and
// counters need no locks.
type committer struct {
	s       *Store
	ops     chan *write // unbuffered: what was received will be answered
	quit    chan struct{}
	ended   chan struct{}
	stopped sync.Once

	waiting atomic.Int64 // writes that entered commit and were not answered
	// regulars is how many were waiting when the last group was answered, and lastSync how long its sync took; see
	// gather.
	regulars int
	lastSync time.Duration
}

func newCommitter(s *Store) *committer {
	c := &committer{s: s, ops: make(chan *write), quit: make(chan struct{}), ended: make(chan struct{})}
	go c.loop()
	return c
}

// stop ends the loop after the group under way and reports whether this call was the one that did.
func (c *committer) stop() (first bool) {
	c.stopped.Do(func() {
		first = true
		close(c.quit)
		select {
		case <-c.ended:
		case <-c.s.failed: // the loop hangs in Pebble for good
		}
	})
	return first
}

// commit runs a change and waits until it is on the disk. ctx can end it only while it waits for its turn;
// after that its outcome is known within one sync. What run changes belongs to it alone until commit has
// returned nil: with ErrFailed it may be running still.
func (s *Store) commit(ctx context.Context, weight int, run func(tx *tx) error) error {
	w := &write{run: run, weight: weight, done: make(chan struct{})}
	c := s.commits
	select {
	case <-s.failed:
		return ErrFailed
	default:
	}
	c.waiting.Add(1)
	defer c.waiting.Add(-1)
	select {
	case c.ops <- w:
	case <-c.quit:
		return ErrClosed
	case <-s.failed:
		return ErrFailed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-w.done:
		return w.err
	case <-s.failed:
		return fmt.Errorf("%w while this write was being synced: its outcome is unknown", ErrFailed)
	}
}

func (c *committer) loop() {
	defer close(c.ended)
	for {
		select {
		case w := <-c.ops:
			if !c.group(w) {
				return
			}
		case <-c.quit:
			return
		}
	}
}

// group runs w and all that wait beside it, and reports whether the store lives on.
func (c *committer) group(w *write) bool {
	all := c.gather(w)
	tx := c.run(all)
	defer func() { _ = tx.b.Close() }() // gives its memory back; there is no state to lose
	if tx.b.Count() > 0 {
		err := tx.finish()
		if err == nil {
			began := time.Now()
			err = c.s.apply(tx.b, pebble.Sync)
			c.lastSync = time.Since(began)
		}
		if err != nil {
			c.s.fail(fmt.Errorf("commit a group of %d writes: %w", len(all), err))
			return false
		}
		c.s.view.swap(newView(c.s.db, tx.counters))
	}
	for _, e := range tx.events {
		c.s.emit(e)
	}
	c.regulars = int(c.waiting.Load())
	for _, w := range all {
		close(w.done)
	}
	return true
}

const (
	// slowSync is from where on it pays to wait for others before a sync.
	slowSync = time.Millisecond
	// maxLinger bounds that wait.
	maxLinger = 5 * time.Millisecond
)

// gather takes all that wait. Where syncs are slow it lingers for up to a quarter of one, until as many
// have come as there were before: clients that write one object after the other would else fall into two
// halves, of which one waits while the other is synced, and pay two syncs for each object.
func (c *committer) gather(w *write) []*write {
	all := []*write{w}
	weight := w.weight
	var late <-chan time.Time
	if c.regulars > 1 && c.lastSync >= slowSync {
		t := time.NewTimer(min(c.lastSync/4, maxLinger))
		defer t.Stop()
		late = t.C
	}
	for len(all) < maxGroup && weight < maxGroupBytes {
		select {
		case w = <-c.ops:
			all, weight = append(all, w), weight+w.weight
			continue
		default:
		}
		if late == nil || len(all) >= c.regulars {
			break
		}
		select {
		case w = <-c.ops:
			all, weight = append(all, w), weight+w.weight
		case <-late:
			late = nil
		case <-c.quit:
			late = nil
		}
	}
	return all
}

// run makes all changes in one tx. A write that refuses (a condition does not hold) has written nothing. One
// that fails halfway, because the disk could not be read, spoils the batch: the others are run again
// without it, in the same order.
func (c *committer) run(all []*write) *tx {
	spoiled := map[*write]bool{}
	for {
		tx := &tx{s: c.s, b: c.s.db.NewIndexedBatch(), counters: c.s.view.now.counters, buckets: map[string]*counts{}, now: time.Now()}
		before := len(spoiled)
		for _, w := range all {
			if spoiled[w] {
				continue
			}
			n := tx.b.Count()
			if w.err = w.run(tx); w.err != nil && tx.b.Count() != n {
				spoiled[w] = true
				break
			}
		}
		if len(spoiled) == before {
			return tx
		}
		_ = tx.b.Close()
	}
}

// apply commits a batch. A write that the disk refuses does not come back from it: Pebble calls Fatalf, or
// panics when it was about to begin a new log file, and either ends the process.
func (s *Store) apply(b *pebble.Batch, o *pebble.WriteOptions) error {
	select {
	case <-s.failed:
		return ErrFailed
	default:
		return s.db.Apply(b, o)
	}
}

// tx is one group in the making. Reads through b see what the group has written so far.
type tx struct {
	s *Store
	b *pebble.Batch
	counters
	buckets map[string]*counts // of the buckets that the group touches
	now     time.Time
	// events are emitted when the group is on the disk.
	events []Event
}

// log appends an entry and gives its sequence.
func (tx *tx) log(l logRecord) (Seq, error) {
	seq := tx.next
	if err := tx.b.Set(logKey(seq), l.encode(), nil); err != nil {
		return 0, err
	}
	tx.next++
	return seq, nil
}

// mint gives a version's identity: after all that this router minted or saw, and after floor.
func (tx *tx) mint(floor object.HLC) (object.VersionID, error) {
	t, err := tx.s.opts.Clock.NowAfter(tx.now, floor)
	if err != nil {
		return object.VersionID{}, err
	}
	tx.minted = max(tx.minted, t)
	return object.VersionID{Time: t, Origin: tx.s.opts.Router}, nil
}
