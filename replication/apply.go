package replication

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// apply commits what is whole, in order, until the stream has ended and nothing more can become whole.
func (i *intake) apply(ctx context.Context) error {
	for {
		in, ended := i.whole()
		if in == nil {
			if ended {
				return nil
			}
			if err := i.askAgain(); err != nil {
				return err
			}
			select {
			case <-i.wakeDo:
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		list, err := i.f.commit(ctx, in)
		if err != nil {
			return err // the batch stays in the queue, for keepRest
		}
		i.mu.Lock()
		i.queue = i.queue[1:]
		i.queued -= len(in.replicas)
		i.mu.Unlock()
		in.lease.Release()
		ack, err := json.Marshal(ackBody{Cursor: in.cursor, Aside: list})
		if err == nil {
			err = i.send(frameAck, ack)
		}
		// Committed is committed: the rest follows although nobody hears of it, the next hello tells.
		i.fail(err)
	}
}

// whole gives the first batch of the queue if all of it is here.
func (i *intake) whole() (in *inbound, ended bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.queue) > 0 && i.queue[0].open == 0 {
		in = i.queue[0]
		in.taken = true
	}
	return in, i.ended
}

// commit applies a batch together with its cursor. Versions that cannot be had or that the store will not
// take are set aside; it gives their marks.
func (f *follower) commit(ctx context.Context, in *inbound) ([]mark, error) {
	good, bad, err := in.sort()
	if err != nil {
		return nil, err
	}
	cur := store.Cursor{Name: f.flow.cursorName(), Value: encode(in.cursor)}
	var marks []mark
	for {
		// The list first: after a crash in between it names a version too many, and not one too few.
		for _, a := range bad {
			if err := f.setAside(ctx, a); err != nil {
				return nil, err
			}
			marks = append(marks, a.mark())
		}
		if len(good) == 0 {
			err = f.e.cfg.Store.SetCursor(ctx, cur)
		} else {
			_, err = f.e.cfg.Store.ApplyReplica(ctx, good, cur)
		}
		if !isPoison(err) {
			break
		}
		if good, bad = f.oneByOne(ctx, good); len(bad) == 0 {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("apply %d versions from %s: %w", len(good), f.flow.source, err)
	}
	if err := f.settle(ctx, good, in.gone); err != nil {
		return nil, err
	}
	var bytes int64
	for i := range good {
		bytes += good[i].Version.Size
	}
	f.setPhase(in.cursor)
	f.mu.Lock()
	f.status.DoneObjects += int64(len(good))
	f.status.DoneBytes += bytes
	f.mu.Unlock()
	return marks, nil
}

// sort parts a batch by whether all chunks of a version are here. What the source could not give may have
// come by another stream.
func (in *inbound) sort() (good []store.Replica, bad []aside, err error) {
	if len(in.lost) == 0 {
		return in.replicas, nil, nil
	}
	var ids []object.ChunkID
	for id := range in.lost {
		ids = append(ids, id)
	}
	missing, err := in.lease.Missing(ids)
	if err != nil {
		return nil, nil, err
	}
	gone := map[object.ChunkID]bool{}
	for _, id := range missing {
		gone[id] = true
	}
next:
	for _, r := range in.replicas {
		for _, c := range r.Version.Chunks {
			if gone[c.ID] {
				bad = append(bad, aside{ref: refOf(&r.Version), Why: in.lost[c.ID]})
				continue next
			}
		}
		good = append(good, r)
	}
	return good, bad, nil
}

// isPoison says whether an error of ApplyReplica is about what a version is, so that it comes again however
// often the batch is tried.
func isPoison(err error) bool {
	if err == nil {
		return false
	}
	for _, passing := range []error{
		store.ErrNoSpace, store.ErrFailed, store.ErrClosed, store.ErrMissingChunk, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, passing) {
			return false
		}
	}
	return true
}

// oneByOne finds the versions that the store takes, by trying each: applying one twice changes nothing.
func (f *follower) oneByOne(ctx context.Context, all []store.Replica) (good []store.Replica, bad []aside) {
	for _, r := range all {
		_, err := f.e.cfg.Store.ApplyReplica(ctx, []store.Replica{r}, store.Cursor{})
		if isPoison(err) {
			bad = append(bad, aside{ref: refOf(&r.Version), Why: err.Error()})
			continue
		}
		good = append(good, r)
	}
	return good, bad
}

func (f *follower) setAside(ctx context.Context, a aside) error {
	name := f.flow.asideName(a.ref)
	_, err := f.e.cfg.Store.Cursor(name)
	if err == nil {
		return nil // tried again, and still so
	}
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	a.Since = time.Now().UTC()
	if err := f.e.cfg.Store.SetCursor(ctx, store.Cursor{Name: name, Value: encode(a)}); err != nil {
		return fmt.Errorf("set %s/%s aside: %w", a.Bucket, a.Key, err)
	}
	f.mu.Lock()
	f.status.Aside++
	f.mu.Unlock()
	f.e.emit(SetAside{Rule: f.flow.rule, Source: f.flow.source, Bucket: a.Bucket, Key: a.Key, Why: a.Why})
	return nil
}
