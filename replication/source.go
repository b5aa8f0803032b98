package replication

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

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
