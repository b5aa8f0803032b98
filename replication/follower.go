package replication

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// Pace of a follower.
const (
	retryMin = 200 * time.Millisecond
	retryMax = 5 * time.Second
	// silence is how long a stream may say nothing; the source pings every pingPeriod.
	silence    = 20 * time.Second
	pingPeriod = 5 * time.Second
	// haveFor is how long chunks that arrived for a batch that broke off stay: a lease that the next
	// attempt finds them under.
	haveFor = time.Hour
	// applyQueue is how many whole batches may wait to be applied.
	applyQueue = 4
	// wantPart is how many chunks are asked for in one frame.
	wantPart = 4096
)

// follower follows one flow until its context ends.
type follower struct {
	e    *Engine
	flow flow
	rule rule

	mu     sync.Mutex
	status FlowStatus
}

// inbound is a batch on its way: its versions, the chunks that it still waits for, and where it leads.
type inbound struct {
	replicas []store.Replica
	missing  []object.ChunkID // in the order asked for
	lost     map[object.ChunkID]bool
	bytes    int64
	cursor   cursor
	lease    *store.Lease
}

func (f *follower) run(ctx context.Context) {
	wait := retryMin
	for ctx.Err() == nil {
		began := time.Now()
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > retryMax {
			wait = retryMin
		}
		f.mu.Lock()
		f.status.LastError = err.Error()
		f.status.Phase = "waiting"
		f.mu.Unlock()
		var r *refusal
		if !errors.As(err, &r) {
			f.e.emit(FlowBroken{Rule: f.flow.rule, Source: f.flow.source, Err: err, Retry: wait})
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
		wait = min(2*wait, retryMax)
	}
}

// follow runs one stream until it breaks.
func (f *follower) follow(ctx context.Context) error {
	at, err := f.load()
	if err != nil {
		return err
	}
	conn, err := f.e.cfg.Dial(ctx, f.flow.source)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	fr, err := newFramer(&deadlined{conn, silence})
	if err != nil {
		return err
	}
	defer fr.close()
	if err := fr.writeJSON(frameHello, helloBody{Protocol: protocol, Rule: f.flow.rule, Hash: f.flow.hash, Cursor: at}); err != nil {
		return fmt.Errorf("say hello to %s: %w", f.flow.source, err)
	}
	var w welcomeBody
	if err := fr.readJSON(frameWelcome, &w); err != nil {
		return fmt.Errorf("follow %s: %w", f.flow.source, err)
	}
	f.mu.Lock()
	f.status.LastError = ""
	f.mu.Unlock()
	f.setCursor(w.Cursor)
	f.e.emit(FlowUp{Rule: f.flow.rule, Source: f.flow.source, Tail: w.Cursor.Tail, Seq: uint64(w.Cursor.Seq)})

	// One goroutine reads and stores chunks; the other applies what is whole, and acknowledges. Both
	// write, so writing has a lock. The first to fail ends the other through the connection.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var writing sync.Mutex
	send := func(kind frameKind, v any) error {
		writing.Lock()
		defer writing.Unlock()
		return fr.writeJSON(kind, v)
	}
	whole := make(chan *inbound, applyQueue)
	applied := make(chan struct{})
	go func() {
		defer close(applied)
		for in := range whole {
			if err := f.apply(ctx, in, send); err != nil {
				cancel(err)
				_ = conn.SetDeadline(time.Unix(1, 0))
				break
			}
		}
		for in := range whole {
			in.lease.Release()
		}
	}()
	err = f.read(ctx, fr, send, whole)
	close(whole)
	<-applied
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return err
}

// read takes frames: a batch is asked about and queued, chunks go to the oldest batch that waits for some.
func (f *follower) read(ctx context.Context, fr *framer, send func(frameKind, any) error, whole chan<- *inbound) error {
	var waiting []*inbound
	asked := map[object.ChunkID]bool{} // under way, for any batch: chunks come in the order asked for
	defer func() {
		for _, in := range waiting {
			// What arrived stays for a while, so that the next attempt asks for the rest only.
			keep := f.e.cfg.Store.NewLease(haveFor)
			_, _ = keep.Missing(chunksOf(in.replicas))
			in.lease.Release()
		}
	}()
	for {
		kind, body, err := fr.read()
		if err != nil {
			return fmt.Errorf("read from %s: %w", f.flow.source, err)
		}
		f.count(fr)
		switch kind {
		case framePing:
		case frameBatch:
			in, err := f.arrive(body, asked)
			if err != nil {
				return err
			}
			waiting = append(waiting, in)
			for rest := in.missing; len(rest) > 0; {
				n := min(len(rest), wantPart)
				if err := f.e.gate.wait(ctx, f.rule.priority()); err != nil {
					return err
				}
				if err := send(frameWant, wantBody{IDs: packIDs(rest[:n])}); err != nil {
					return err
				}
				rest = rest[n:]
			}
		case frameChunks:
			if err := f.take(body, waiting, asked); err != nil {
				return err
			}
		default:
			return fmt.Errorf("frame of kind %d from %s", kind, f.flow.source)
		}
		for len(waiting) > 0 && len(waiting[0].missing) == 0 {
			select {
			case whole <- waiting[0]:
				waiting = waiting[1:]
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		f.e.gate.set(f, f.rule.priority(), len(waiting) > 0)
	}
}

// arrive takes a batch's versions and finds which of their chunks are not here.
func (f *follower) arrive(body []byte, asked map[object.ChunkID]bool) (*inbound, error) {
	var b batchBody
	if err := json.Unmarshal(body, &b); err != nil {
		return nil, fmt.Errorf("batch from %s: %w", f.flow.source, err)
	}
	in := &inbound{cursor: b.Cursor, lease: f.e.cfg.Store.NewLease(0), lost: map[object.ChunkID]bool{}}
	for _, w := range b.Replicas {
		r, err := unpackReplica(w)
		if err != nil {
			in.lease.Release()
			return nil, fmt.Errorf("batch from %s: %w", f.flow.source, err)
		}
		in.replicas = append(in.replicas, r)
		in.bytes += r.Version.Size
	}
	missing, err := in.lease.Missing(chunksOf(in.replicas))
	if err != nil {
		in.lease.Release()
		return nil, fmt.Errorf("look for chunks: %w", err)
	}
	for _, id := range missing {
		if !asked[id] {
			asked[id] = true
			in.missing = append(in.missing, id)
		}
	}
	return in, nil
}

// take stores a frame of chunks. Each is checked against its name before it counts.
func (f *follower) take(body []byte, waiting []*inbound, asked map[object.ChunkID]bool) error {
	for len(body) > 0 {
		if len(body) < 4 {
			return fmt.Errorf("chunks from %s: cut short", f.flow.source)
		}
		n := binary.BigEndian.Uint32(body)
		body = body[4:]
		var in *inbound
		for _, w := range waiting {
			if len(w.missing) > 0 {
				in = w
				break
			}
		}
		if in == nil {
			return fmt.Errorf("chunks from %s: more than were asked for", f.flow.source)
		}
		id := in.missing[0]
		in.missing = in.missing[1:]
		delete(asked, id)
		if n == unavailable {
			// Later batches rely on the one that asked: they must know too.
			for _, w := range waiting {
				w.lost[id] = true
			}
			continue
		}
		if uint64(n) > uint64(len(body)) {
			return fmt.Errorf("chunks from %s: cut short", f.flow.source)
		}
		if err := in.lease.Put(id, body[:n]); err != nil {
			return fmt.Errorf("store chunk %s from %s: %w", id, f.flow.source, err)
		}
		body = body[n:]
	}
	return nil
}

// apply commits a whole batch with its cursor and acknowledges it. A version whose chunks the source cannot
// give is set aside and listed; the rest goes on.
func (f *follower) apply(ctx context.Context, in *inbound, send func(frameKind, any) error) error {
	defer in.lease.Release()
	st := f.e.cfg.Store
	good := in.replicas[:0:0]
	for _, r := range in.replicas {
		if lostAny(r, in.lost) {
			f.e.emit(Quarantined{Rule: f.flow.rule, Source: f.flow.source, Bucket: r.Version.Bucket, Key: r.Version.Key})
			if err := st.SetCursor(ctx, store.Cursor{Name: quarantineName(f.flow, &r), Value: []byte("the source cannot read its chunks")}); err != nil {
				return err
			}
			continue
		}
		good = append(good, r)
	}
	cur := store.Cursor{Name: f.flow.cursorName(), Value: in.cursor.encode()}
	if len(good) == 0 {
		if err := st.SetCursor(ctx, cur); err != nil {
			return err
		}
	} else if _, err := st.ApplyReplica(ctx, good, cur); err != nil {
		return fmt.Errorf("apply %d versions from %s: %w", len(good), f.flow.source, err)
	}
	f.mu.Lock()
	f.status.DoneObjects += int64(len(good))
	f.status.DoneBytes += in.bytes
	f.mu.Unlock()
	f.setCursor(in.cursor)
	return send(frameAck, ackBody{Cursor: in.cursor})
}

func (f *follower) load() (cursor, error) {
	b, err := f.e.cfg.Store.Cursor(f.flow.cursorName())
	if errors.Is(err, store.ErrNotFound) {
		return cursor{}, nil
	}
	if err != nil {
		return cursor{}, fmt.Errorf("load cursor: %w", err)
	}
	return decodeCursor(b)
}

func (f *follower) setCursor(c cursor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.Phase = "backfill"
	if c.Tail {
		f.status.Phase = "live"
	}
}

func (f *follower) count(fr *framer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.WireBytes = fr.received
}

func lostAny(r store.Replica, lost map[object.ChunkID]bool) bool {
	if len(lost) == 0 {
		return false
	}
	for _, c := range r.Version.Chunks {
		if lost[c.ID] {
			return true
		}
	}
	return false
}

func chunksOf(rs []store.Replica) []object.ChunkID {
	var ids []object.ChunkID
	seen := map[object.ChunkID]bool{}
	for _, r := range rs {
		for _, c := range r.Version.Chunks {
			if !seen[c.ID] {
				seen[c.ID] = true
				ids = append(ids, c.ID)
			}
		}
	}
	return ids
}

func packIDs(ids []object.ChunkID) []byte {
	b := make([]byte, 0, 32*len(ids))
	for _, id := range ids {
		b = append(b, id[:]...)
	}
	return b
}

// deadlined bounds how long one read or write may take.
type deadlined struct {
	net.Conn
	limit time.Duration
}

func (d *deadlined) Read(p []byte) (int, error) {
	if err := d.SetReadDeadline(time.Now().Add(d.limit)); err != nil {
		return 0, err
	}
	return d.Conn.Read(p)
}

func (d *deadlined) Write(p []byte) (int, error) {
	if err := d.SetWriteDeadline(time.Now().Add(d.limit)); err != nil {
		return 0, err
	}
	return d.Conn.Write(p)
}
