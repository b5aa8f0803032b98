package replication

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// How far a source goes ahead of what was acknowledged.
const (
	batchEntries  = 256
	batchBytes    = 32 << 20 // of objects, unless one alone is larger
	windowEntries = 8 * batchEntries
	windowBytes   = 256 << 20
	logRead       = 1024 // log entries looked at before the stream says where it is
	maxWanted     = 1 << 22
	ackSavePeriod = time.Second
)

// sending is one destination that follows this router under one rule.
type sending struct {
	e    *Engine
	to   topo.RouterID
	rule rule
	fr   *framer

	mu      sync.Mutex
	wants   []object.ChunkID
	acked   cursor
	window  []sentBatch // sent and not acknowledged, oldest first
	entries int
	bytes   int64
	wake    chan struct{}
}

// sentBatch is what the window counts.
type sentBatch struct {
	cursor  cursor
	entries int
	bytes   int64
}

// serve answers one follower until its stream ends.
func (e *Engine) serve(ctx context.Context, to topo.RouterID, conn net.Conn) error {
	defer conn.Close()
	fr, err := newFramer(&deadlined{conn, silence})
	if err != nil {
		return err
	}
	defer fr.close()
	var h helloBody
	if err := fr.readJSON(frameHello, &h); err != nil {
		return fmt.Errorf("hello of %s: %w", to, err)
	}
	r, generation, why := e.admit(to, h)
	if why != "" {
		_ = fr.writeJSON(frameRefuse, refuseBody{Why: why})
		return nil
	}
	s := &sending{e: e, to: to, rule: r, fr: fr, wake: make(chan struct{}, 1)}
	at := s.resume(h.Cursor)
	s.acked = at
	if err := fr.writeJSON(frameWelcome, welcomeBody{Cursor: at}); err != nil {
		return err
	}
	e.addSending(s)
	defer e.dropSending(s)

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var reading sync.WaitGroup
	reading.Go(func() { cancel(s.read()) })
	err = s.send(ctx, at, generation)
	_ = conn.SetDeadline(time.Unix(1, 0))
	reading.Wait()
	s.e.saveAck(s, true)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		err = cause
	}
	return err
}

// admit says under which rule a follower is served, or why it is not. The generation is closed when the
// topology changes: the follower is then asked to come again.
func (e *Engine) admit(to topo.RouterID, h helloBody) (rule, <-chan struct{}, string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	t := &e.topology
	r, ok := t.ruleNamed(h.Rule)
	switch {
	case h.Protocol != protocol:
		return r, nil, fmt.Sprintf("protocol %d is not spoken here, %d is", h.Protocol, protocol)
	case !ok:
		return r, nil, fmt.Sprintf("policy %q is not known here yet", h.Rule)
	case r.hash != h.Hash:
		return r, nil, fmt.Sprintf("policy %q selects something else here; one of us has not heard of its last change yet", h.Rule)
	case !slices.Contains(t.followers(e.cfg.Self, e.cfg.Region, r), to):
		return r, nil, fmt.Sprintf("router %s is no destination of %q from here", to, h.Rule)
	}
	return r, e.generation, ""
}

// resume decides where a follower goes on: where it was, unless that was in another store.
func (s *sending) resume(c cursor) cursor {
	st := s.e.cfg.Store
	first, next := st.LogRange()
	known := c.Store == st.ID().String() && c.Incarnation == st.Incarnation()
	if known && c.Seq+1 >= first && c.Seq < next {
		return c
	}
	return cursor{Store: st.ID().String(), Incarnation: st.Incarnation(), Seq: next - 1}
}

// read takes wants and acknowledgements.
func (s *sending) read() error {
	for {
		kind, body, err := s.fr.read()
		if err != nil {
			return fmt.Errorf("read from %s: %w", s.to, err)
		}
		switch kind {
		case frameWant:
			var w wantBody
			if err := json.Unmarshal(body, &w); err != nil || len(w.IDs)%32 != 0 {
				return fmt.Errorf("want of %s: %d bytes, %w", s.to, len(w.IDs), err)
			}
			s.mu.Lock()
			for b := w.IDs; len(b) > 0; b = b[32:] {
				s.wants = append(s.wants, object.ChunkID(b[:32]))
			}
			n := len(s.wants)
			s.mu.Unlock()
			if n > maxWanted {
				return fmt.Errorf("%s wants %d chunks at once, at most %d", s.to, n, maxWanted)
			}
		case frameAck:
			var a ackBody
			if err := json.Unmarshal(body, &a); err != nil {
				return fmt.Errorf("ack of %s: %w", s.to, err)
			}
			if err := s.ack(a.Cursor); err != nil {
				return err
			}
		default:
			return fmt.Errorf("frame of kind %d from %s", kind, s.to)
		}
		s.poke()
	}
}

// ack takes an acknowledgement: it must be of a batch that was sent, in order.
func (s *sending) ack(c cursor) error {
	s.mu.Lock()
	if len(s.window) == 0 || s.window[0].cursor != c {
		s.mu.Unlock()
		return fmt.Errorf("%s acknowledges what was not sent", s.to)
	}
	s.entries -= s.window[0].entries
	s.bytes -= s.window[0].bytes
	s.window = s.window[1:]
	s.acked = c
	s.mu.Unlock()
	s.e.saveAck(s, false)
	return nil
}

func (s *sending) poke() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// send runs ahead with batches as far as the window goes, and gives chunks that were asked for.
func (s *sending) send(ctx context.Context, at cursor, generation <-chan struct{}) error {
	ping := time.NewTicker(pingPeriod)
	defer ping.Stop()
	for {
		grown := s.e.cfg.Store.LogNotify()
		moved, err := s.advance(ctx, &at)
		if err != nil {
			return err
		}
		gave, err := s.give()
		if err != nil {
			return err
		}
		if moved || gave {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue
		}
		select {
		case <-grown:
		case <-s.wake:
		case <-generation:
			if still, fresh := s.e.stillServed(s); !still {
				return errors.New("the topology changed")
			} else {
				generation = fresh
			}
		case <-ping.C:
			if err := s.fr.writeJSON(framePing, struct{}{}); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// advance sends the next batch if the window has room. It says whether there may be more to do.
func (s *sending) advance(ctx context.Context, at *cursor) (bool, error) {
	s.mu.Lock()
	room := len(s.window) == 0 || s.entries < windowEntries && s.bytes < windowBytes && len(s.window) < windowEntries
	s.mu.Unlock()
	if !room {
		return false, nil
	}
	next := *at
	var batch []store.Replica
	var err error
	if at.Tail {
		batch, err = s.nextTail(&next)
	} else {
		batch, err = s.nextWalk(ctx, &next)
	}
	if err != nil {
		return false, err
	}
	if next == *at {
		return false, nil
	}
	b := batchBody{Cursor: next}
	sent := sentBatch{cursor: next, entries: len(batch)}
	for _, r := range batch {
		b.Replicas = append(b.Replicas, packReplica(r))
		sent.bytes += r.Version.Size
	}
	s.mu.Lock()
	s.window = append(s.window, sent)
	s.entries += sent.entries
	s.bytes += sent.bytes
	s.mu.Unlock()
	*at = next
	return true, s.fr.writeJSON(frameBatch, b)
}

// nextTail reads the log from behind the cursor.
func (s *sending) nextTail(at *cursor) ([]store.Replica, error) {
	entries, next, err := s.e.cfg.Store.Log(at.Seq+1, logRead)
	if errors.Is(err, store.ErrTrimmed) {
		return nil, errors.New("the log does not reach back that far; the follower shall come again and walk")
	}
	if err != nil {
		return nil, err
	}
	var batch []store.Replica
	var bytes int64
	for _, en := range entries {
		if s.rule.selects(&en.Version, en.Purged, s.e.cfg.Region) {
			batch = append(batch, store.Replica{Version: en.Version, CatalogIndex: en.CatalogIndex, Purged: en.Purged})
			bytes += en.Version.Size
		}
		at.Seq = en.Seq
		if len(batch) >= batchEntries || bytes >= batchBytes {
			return batch, nil
		}
	}
	if next > 0 {
		at.Seq = max(at.Seq, next-1)
	}
	return batch, nil
}

// nextWalk visits what exists, from behind the cursor; at the end it turns to the tail.
func (s *sending) nextWalk(ctx context.Context, at *cursor) ([]store.Replica, error) {
	var batch []store.Replica
	var bytes int64
	for _, bucket := range s.buckets() {
		if bucket.Name < at.Bucket {
			continue
		}
		after := ""
		if bucket.Name == at.Bucket {
			after = at.Key
		}
		last, full := "", false
		err := s.e.cfg.Store.Walk(ctx, bucket.Name, after, func(r store.Replica, latest bool) error {
			if r.Version.Key != last {
				if len(batch) >= batchEntries || bytes >= batchBytes {
					full = true
					return store.StopWalk
				}
				last = r.Version.Key
			}
			if (latest || bucket.Versioning) && s.rule.selects(&r.Version, false, s.e.cfg.Region) {
				batch = append(batch, r)
				bytes += r.Version.Size
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if last != "" {
			at.Bucket, at.Key = bucket.Name, last
		}
		if full {
			return batch, nil
		}
	}
	at.Tail, at.Bucket, at.Key = true, "", ""
	return batch, nil
}

// buckets lists what the rule may find something in, by name.
func (s *sending) buckets() []object.Bucket {
	s.e.mu.Lock()
	defer s.e.mu.Unlock()
	all := s.e.topology.Buckets
	if !s.rule.zone {
		b, ok := all[s.rule.policy.Bucket]
		if !ok {
			return nil
		}
		return []object.Bucket{b}
	}
	var out []object.Bucket
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[name])
	}
	return out
}

// give sends one frame of the chunks that were asked for. It says whether there were any.
func (s *sending) give() (bool, error) {
	s.mu.Lock()
	wants := s.wants
	s.mu.Unlock()
	if len(wants) == 0 {
		return false, nil
	}
	var body, buf []byte
	n := 0
	for n < len(wants) && len(body) < chunkFrame {
		data, err := s.e.cfg.Store.GetChunk(wants[n], buf)
		if err != nil {
			s.e.emit(ChunkUnavailable{To: s.to, Chunk: wants[n], Err: err})
			body = binary.BigEndian.AppendUint32(body, unavailable)
		} else {
			body = binary.BigEndian.AppendUint32(body, uint32(len(data)))
			body = append(body, data...)
			buf = data[:0]
		}
		n++
	}
	s.mu.Lock()
	s.wants = s.wants[n:]
	if len(s.wants) == 0 {
		s.wants = nil
	}
	s.mu.Unlock()
	if err := s.fr.write(frameChunks, body); err != nil {
		return false, err
	}
	return true, s.fr.w.Flush()
}
