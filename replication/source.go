package replication

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
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
	windowEntries = 32 * batchEntries
	windowBytes   = 256 << 20
	// maxWanted bounds the chunks that a follower may ask for at once: it stops at maxAsked bytes by itself.
	maxWanted = 1 << 20
	// A stream begins with small frames, which double each time: so that one that always breaks early still
	// moves something.
	smallest = 4 // halvings
)

// sending is one destination that follows this router under one rule. Two goroutines share it: read, and
// send, which alone writes.
type sending struct {
	e   *Engine
	to  topo.RouterID
	key ackKey
	fr  *framer
	c   *conduit

	// These belong to send: the rule, what send has looked at, the cursor of the last batch, and how many
	// frames there were of batches and of chunks.
	rule            rule
	at, told        cursor
	batches, chunks int

	mu      sync.Mutex
	wants   []object.ChunkID
	again   []ref
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
	// settled are versions that the destination need not keep aside any more, unless it says so: those
	// that it asked for again, and those that were purged.
	settled []ref
}

// serve answers one follower until its stream ends.
func (e *Engine) serve(ctx context.Context, to topo.RouterID, conn net.Conn) error {
	defer conn.Close()
	c := &conduit{Conn: conn}
	defer context.AfterFunc(ctx, c.cut)()
	fr, err := newFramer(c)
	if err != nil {
		return err
	}
	defer fr.close()
	var h helloBody
	if err := fr.readJSON(frameHello, &h); err != nil {
		return fmt.Errorf("hello of %s: %w", to, err)
	}
	r, generation, why := e.admit(to, h.Protocol, h.Rule, h.Hash)
	if why != "" {
		return fr.writeJSON(frameRefuse, refuseBody{Why: why})
	}
	s := &sending{e: e, to: to, key: ackKey{r.name, r.hash, to}, rule: r, fr: fr, c: c, wake: make(chan struct{}, 1)}
	s.at = resume(e.cfg.Store, h.Cursor)
	s.told = s.at
	if err := fr.writeJSON(frameWelcome, welcomeBody{Cursor: s.at}); err != nil {
		return err
	}
	e.addSending(s, h)
	defer e.dropSending(s)

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var reading sync.WaitGroup
	reading.Go(func() {
		cancel(s.read())
		c.cut()
	})
	err = s.send(ctx, generation)
	c.cut()
	reading.Wait()
	if cause := context.Cause(ctx); errors.Is(err, context.Canceled) || errors.Is(err, net.ErrClosed) {
		err = cause
	}
	return err
}

// admit says under which rule a follower is served, or why it is not. The channel is closed when the
// topology changes: then this must be asked again.
func (e *Engine) admit(to topo.RouterID, version int, name, hash string) (rule, <-chan struct{}, string) {
	if version != protocol {
		return rule{}, nil, fmt.Sprintf("protocol %d is not spoken here, %d is", version, protocol)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.out {
		if r.name != name {
			continue
		}
		if r.hash != hash {
			return rule{}, nil, fmt.Sprintf("policy %q selects something else here; one of us has not heard of its last change yet", name)
		}
		if slices.Contains(r.to, to) {
			return r.rule, e.generation, ""
		}
	}
	return rule{}, nil, fmt.Sprintf("by what %s knows, router %s is no destination of %q from here; one of us has not heard of the last change yet",
		e.cfg.Self, to, name)
}

// resume decides where a follower goes on: where it was, unless that was in another store or the log no longer
// reaches back that far. Then it walks, and what it has already costs it no more than its name.
func resume(st *store.Store, c cursor) cursor {
	first, next := st.LogRange()
	known := c.Store == st.ID().String() && c.Incarnation == st.Incarnation()
	if known && c.Seq+1 >= first && c.Seq < next {
		return c
	}
	return cursor{Store: st.ID().String(), Incarnation: st.Incarnation(), Seq: first - 1, Until: next - 1}
}

// read takes wants, acknowledgements and what is asked for again.
func (s *sending) read() error {
	for {
		kind, body, err := s.fr.read()
		if err == nil {
			switch kind {
			case framePing:
			case frameWant:
				err = s.want(body)
			case frameAck:
				var a ackBody
				if err = json.Unmarshal(body, &a); err == nil {
					err = s.ack(a)
				}
			case frameAgain:
				var a againBody
				if err = json.Unmarshal(body, &a); err == nil {
					s.mu.Lock()
					if len(s.again) == 0 { // else the follower asks again, later
						s.again = a.Versions[:min(len(a.Versions), maxAgain)]
					}
					s.mu.Unlock()
				}
			default:
				err = fmt.Errorf("frame of kind %d", kind)
			}
		}
		if err != nil {
			return fmt.Errorf("read from %s: %w", s.to, err)
		}
		poke(s.wake)
	}
}

func (s *sending) want(body []byte) error {
	ids, err := unpackIDs(body)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wants = append(s.wants, ids...); len(s.wants) > maxWanted {
		return fmt.Errorf("%d chunks wanted at once, at most %d", len(s.wants), maxWanted)
	}
	return nil
}

// ack takes an acknowledgement: it must be of the oldest batch that was sent.
func (s *sending) ack(a ackBody) error {
	s.mu.Lock()
	if len(s.window) == 0 || s.window[0].cursor != a.Cursor {
		s.mu.Unlock()
		return errors.New("it acknowledges what was not sent")
	}
	b := s.window[0]
	s.entries -= b.entries
	s.bytes -= b.bytes
	s.window = s.window[1:]
	s.mu.Unlock()
	s.e.acknowledged(s, a, b.settled)
	return nil
}

// send runs ahead with batches as far as the window goes, and gives chunks that were asked for.
func (s *sending) send(ctx context.Context, generation <-chan struct{}) error {
	ping := time.NewTicker(pingPeriod)
	defer ping.Stop()
	flush := false
	for ctx.Err() == nil {
		grown := s.e.cfg.Store.LogNotify()
		moved, err := s.advance(ctx, flush)
		if err != nil {
			return err
		}
		flush = false
		gave, err := s.give()
		if err != nil {
			return err
		}
		if moved || gave {
			continue
		}
		select {
		case <-grown:
		case <-s.wake:
		case <-generation:
			r, fresh, why := s.e.admit(s.to, protocol, s.rule.name, s.rule.hash)
			if why != "" {
				return fmt.Errorf("%s is no longer followed: %s", s.rule.name, why)
			}
			s.rule, generation = r, fresh
		case <-ping.C:
			if err := s.fr.writeJSON(framePing, struct{}{}); err != nil {
				return err
			}
			flush = true
		case <-ctx.Done():
		}
	}
	return ctx.Err()
}

// small halves a limit while few frames were sent.
func small(limit, sent int) int { return limit >> max(smallest-sent, 0) }

// advance sends the next batch if the window has room. It says whether there may be more to do.
func (s *sending) advance(ctx context.Context, flush bool) (bool, error) {
	s.mu.Lock()
	room := len(s.window) == 0 || s.entries < windowEntries && s.bytes < windowBytes && len(s.window) < windowEntries
	again := s.again
	s.mu.Unlock()
	if !room {
		return false, nil
	}
	if len(again) > 0 {
		return true, s.sendAgain(again)
	}
	next := s.at
	var replicas []store.Replica
	var err error
	if s.at.Tail {
		replicas, err = s.nextTail(&next)
	} else {
		replicas, err = s.nextWalk(ctx, &next)
	}
	if err != nil {
		return false, err
	}
	moved := next != s.at
	// A log full of what the rule does not select need not cost the destination a sync for every entry.
	quiet := s.at.Tail && len(replicas) == 0 && next.Seq-s.told.Seq < quietEntries && next.Until == s.told.Until && !flush
	s.at = next
	if quiet || next == s.told {
		return moved, nil
	}
	return true, s.sendBatch(&batch{replicas: replicas, cursor: next}, nil)
}

func (s *sending) sendBatch(b *batch, again []ref) error {
	sent := sentBatch{cursor: b.cursor, entries: len(b.replicas), settled: again}
	for i := range b.replicas {
		sent.bytes += b.replicas[i].Version.Size
		if b.replicas[i].Purged {
			sent.settled = append(sent.settled, refOf(&b.replicas[i].Version))
		}
	}
	s.mu.Lock()
	s.window = append(s.window, sent)
	s.entries += sent.entries
	s.bytes += sent.bytes
	s.mu.Unlock()
	body, err := encodeBatch(b)
	if err != nil {
		return err
	}
	s.told = b.cursor
	s.batches++
	return s.fr.write(frameBatch, body)
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
	n, limit := 0, small(chunkFrame, s.chunks)
	for n < len(wants) && len(body) < limit {
		data, err := s.e.cfg.Store.GetChunk(wants[n], buf[:0])
		if n > 0 && len(body)+len(data) > limit {
			break
		}
		switch {
		case err == nil:
			body = binary.BigEndian.AppendUint32(body, uint32(len(data)))
			body = append(body, data...)
			buf = data
		case errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrCorrupt):
			s.e.emit(ChunkUnavailable{To: s.to, Chunk: wants[n], Err: err})
			body = binary.BigEndian.AppendUint32(body, unavailable)
		default:
			// The store's trouble, and not this chunk's: nobody shall give up an object for that.
			return false, fmt.Errorf("read chunk %s for %s: %w", wants[n], s.to, err)
		}
		n++
	}
	s.mu.Lock()
	if s.wants = s.wants[n:]; len(s.wants) == 0 {
		s.wants = nil
	}
	s.mu.Unlock()
	s.chunks++
	return true, s.fr.write(frameChunks, body)
}
