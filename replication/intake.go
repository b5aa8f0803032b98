package replication

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// maxQueue bounds the versions that wait in batches, with room for a source that counts otherwise.
const maxQueue = 2 * windowEntries

// intake is one stream from a source. Three goroutines share it:
//
//	read   frames come in: batches are queued, chunks stored        never waits for the other two
//	ask    what is missing is asked for, when the gate lets it      and a ping is sent now and then
//	apply  the first of the queue is committed once it is whole     and acknowledged
//
// The first that fails cuts the stream, which ends the others; what is whole by then is still applied.
type intake struct {
	f       *follower
	fr      *framer
	c       *conduit
	writing sync.Mutex // ask and apply both write
	again   againPace

	mu       sync.Mutex
	err      error // the first
	ended    bool  // read has returned
	queue    []*inbound
	queued   int      // versions in it
	expected []wanted // asked for and not come, in order
	asked    int64    // bytes of those
	window   int64    // how many they may be
	open     int      // chunks that batches of the queue wait for
	under    map[object.ChunkID]bool
	batches  int
	wakeAsk  chan struct{}
	wakeDo   chan struct{}
}

// inbound is a batch on its way: what it still waits for, and what the source cannot give of it.
type inbound struct {
	*batch
	ask   []object.ChunkRef         // to be asked for, under the intake's lock
	open  int                       // of ask, and asked for and not come
	lost  map[object.ChunkID]string // why, by chunk; under the lock until taken
	taken bool                      // apply has it
	lease *store.Lease
}

type wanted struct {
	ref object.ChunkRef
	in  *inbound
	at  time.Time // when it was asked for
}

func newIntake(f *follower, fr *framer, c *conduit) *intake {
	return &intake{
		f: f, fr: fr, c: c, window: firstAsked, under: map[object.ChunkID]bool{},
		wakeAsk: make(chan struct{}, 1), wakeDo: make(chan struct{}, 1),
	}
}

// run returns when the stream has broken, with why.
func (i *intake) run(parent context.Context) error {
	ctx, cancel := context.WithCancel(parent)
	defer i.f.e.gate.set(i.f, i.f.rule.priority, false)
	defer i.keepRest()
	var wg sync.WaitGroup
	wg.Go(func() { i.fail(i.ask(ctx)) })
	// Not ctx: what is whole when the stream breaks is applied.
	wg.Go(func() { i.fail(i.apply(parent)) })
	err := i.read()
	cancel()
	i.fail(err)
	i.mu.Lock()
	i.ended = true
	i.mu.Unlock()
	poke(i.wakeDo)
	wg.Wait()
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.err
}

// fail cuts the stream and keeps the first error.
func (i *intake) fail(err error) {
	if err == nil {
		return
	}
	i.mu.Lock()
	if i.err == nil {
		i.err = err
	}
	i.mu.Unlock()
	i.c.cut()
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (i *intake) send(kind frameKind, body []byte) error {
	i.writing.Lock()
	defer i.writing.Unlock()
	return i.fr.write(kind, body)
}

func (i *intake) read() error {
	for {
		before := i.fr.received
		kind, body, err := i.fr.read()
		if err != nil {
			return fmt.Errorf("read from %s: %w", i.f.flow.source, err)
		}
		i.f.mu.Lock()
		i.f.status.WireBytes += i.fr.received - before
		i.f.mu.Unlock()
		switch kind {
		case framePing:
			poke(i.wakeDo)
		case frameBatch:
			err = i.arrive(body)
		case frameChunks:
			err = i.take(body)
		default:
			err = fmt.Errorf("frame of kind %d", kind)
		}
		if err != nil {
			return fmt.Errorf("from %s: %w", i.f.flow.source, err)
		}
	}
}

// arrive queues a batch, having found which of its chunks are not here nor on their way.
func (i *intake) arrive(body []byte) error {
	b, err := decodeBatch(body)
	if err != nil {
		return err
	}
	f := i.f
	for n := range b.replicas {
		// A router speaks for itself alone: it cannot slip in under a rule what that does not carry.
		if r := &b.replicas[n]; !f.rule.selects(&r.Version, r.Purged, f.flow.source, f.region) {
			return fmt.Errorf("rule %q does not carry %s/%s of region %s", f.flow.rule, r.Version.Bucket, r.Version.Key, r.Version.Region)
		}
	}
	in := &inbound{batch: b, lease: f.e.cfg.Store.NewLease(0), lost: map[object.ChunkID]string{}}
	ids, sizes := chunksOf(b.replicas)
	missing, err := in.lease.Missing(ids)
	if err != nil {
		in.lease.Release()
		return fmt.Errorf("look for chunks: %w", err)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, id := range missing {
		if !i.under[id] {
			i.under[id] = true
			in.ask = append(in.ask, object.ChunkRef{ID: id, Size: sizes[id]})
		}
	}
	in.open = len(in.ask)
	i.open += in.open
	i.queue = append(i.queue, in)
	i.batches++
	if i.queued += len(b.replicas); i.queued > maxQueue || len(i.queue) > maxQueue {
		return fmt.Errorf("%d versions in %d batches came unacknowledged, want at most %d", i.queued, len(i.queue), maxQueue)
	}
	f.e.gate.set(f, f.rule.priority, i.open > 0)
	poke(i.wakeAsk)
	poke(i.wakeDo)
	return nil
}

// take stores a frame of chunks, in the order asked for. Each is checked against its name before it counts.
func (i *intake) take(body []byte) error {
	for len(body) > 0 {
		if len(body) < 4 {
			return errors.New("chunks: cut short")
		}
		n := binary.BigEndian.Uint32(body)
		body = body[4:]
		i.mu.Lock()
		if len(i.expected) == 0 {
			i.mu.Unlock()
			return errors.New("chunks: more than were asked for")
		}
		w := i.expected[0]
		i.mu.Unlock()
		why := ""
		if n == unavailable {
			why = fmt.Sprintf("%s cannot read chunk %s", i.f.flow.source, w.ref.ID)
		} else {
			if uint64(n) > uint64(len(body)) {
				return errors.New("chunks: cut short")
			}
			err := w.in.lease.Put(w.ref.ID, body[:n])
			if errors.Is(err, store.ErrCorrupt) || errors.Is(err, store.ErrTooLarge) {
				why = err.Error()
			} else if err != nil {
				return err
			}
			body = body[n:]
		}
		i.came(w, why)
	}
	return nil
}

// keepRest leases what arrived for batches that were not applied, so that the next attempt asks for the rest
// only, in place of what the attempt before kept.
func (i *intake) keepRest() {
	i.mu.Lock()
	defer i.mu.Unlock()
	f := i.f
	var keep *store.Lease
	for _, in := range i.queue {
		if keep == nil {
			keep = f.e.cfg.Store.NewLease(haveFor)
		}
		ids, _ := chunksOf(in.replicas)
		_, _ = keep.Missing(ids) // only leases; the answer is asked for again when it is needed
		in.lease.Release()
	}
	if keep == nil {
		return
	}
	if f.keep != nil {
		f.keep.Release()
	}
	f.keep = keep
}

// chunksOf lists what versions name, each chunk once.
func chunksOf(rs []store.Replica) ([]object.ChunkID, map[object.ChunkID]uint32) {
	var ids []object.ChunkID
	sizes := map[object.ChunkID]uint32{}
	for _, r := range rs {
		for _, c := range r.Version.Chunks {
			if _, ok := sizes[c.ID]; !ok {
				sizes[c.ID] = c.Size
				ids = append(ids, c.ID)
			}
		}
	}
	return ids, sizes
}
