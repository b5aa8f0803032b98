package replication

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// ackSavePeriod is how often what a follower acknowledged goes to the disk.
const ackSavePeriod = time.Second

// followed is what this router knows of one follower.
type followed struct {
	// cursor is what it acknowledged last; zero when it never began.
	cursor cursor
	// aside are versions that it was sent and could not take; more says that there are others.
	aside map[mark]struct{}
	more  bool
	saved time.Time
}

// followedRecord is what the store keeps of it.
type followedRecord struct {
	Cursor cursor `json:"cursor"`
	Aside  []mark `json:"aside,omitempty"`
	More   bool   `json:"more,omitempty"`
}

// known gives what is known of a follower, from memory or from before a restart. The caller holds e.mu.
func (e *Engine) known(k ackKey) *followed {
	if f := e.acks[k]; f != nil {
		return f
	}
	f := &followed{aside: map[mark]struct{}{}}
	e.acks[k] = f
	var rec followedRecord
	b, err := e.cfg.Store.Cursor(k.name())
	// Nothing, or nothing that can be read, is only an old number: the follower's next hello tells.
	if err != nil || json.Unmarshal(b, &rec) != nil || !e.ours(rec.Cursor) {
		return f
	}
	f.cursor, f.more = rec.Cursor, rec.More
	for _, m := range rec.Aside {
		f.aside[m] = struct{}{}
	}
	return f
}

// ours says whether a cursor is one of this store.
func (e *Engine) ours(c cursor) bool {
	return c.Store == e.cfg.Store.ID().String() && c.Incarnation == e.cfg.Store.Incarnation()
}

// addSending makes s the stream of its follower. An older one, whose end is not noticed yet, is cut: what it
// heard last is older than what s knows.
func (e *Engine) addSending(s *sending, h helloBody) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if old := e.sendings[s.key]; old != nil {
		old.c.cut()
	}
	e.sendings[s.key] = s
	f := e.known(s.key)
	f.cursor, f.more = s.at, h.AsideMore
	f.aside = map[mark]struct{}{}
	for _, m := range h.Aside {
		f.setAside(m)
	}
	e.ackedLocked()
}

func (e *Engine) dropSending(s *sending) {
	e.mu.Lock()
	current := e.sendings[s.key] == s
	if current {
		delete(e.sendings, s.key)
	}
	e.mu.Unlock()
	if current {
		e.saveAck(s.key)
	}
}

func (f *followed) setAside(m mark) {
	if len(f.aside) < maxAside {
		f.aside[m] = struct{}{}
	} else {
		f.more = true
	}
}

// acknowledged notes an acknowledgement, wakes who waits for it, and every so often saves it: after a restart
// the follower says it again, so one that is late on the disk costs nothing but an old number in a status.
func (e *Engine) acknowledged(s *sending, a ackBody, settled []ref) {
	e.mu.Lock()
	if e.sendings[s.key] != s {
		e.mu.Unlock()
		return
	}
	f := e.known(s.key)
	f.cursor = a.Cursor
	for _, r := range settled {
		delete(f.aside, r.mark())
	}
	for _, m := range a.Aside {
		f.setAside(m)
	}
	e.ackedLocked()
	due := time.Since(f.saved) >= ackSavePeriod
	if due {
		f.saved = time.Now()
	}
	e.mu.Unlock()
	if due {
		e.saveAck(s.key)
	}
}

// ackedLocked wakes those who wait for an acknowledgement. The caller holds e.mu.
func (e *Engine) ackedLocked() {
	close(e.ackChanged)
	e.ackChanged = make(chan struct{})
}

func (e *Engine) saveAck(k ackKey) {
	e.mu.Lock()
	f := e.known(k)
	rec := followedRecord{Cursor: f.cursor, More: f.more}
	for m := range f.aside {
		rec.Aside = append(rec.Aside, m)
	}
	e.mu.Unlock()
	err := e.cfg.Store.SetCursor(context.Background(), store.Cursor{Name: k.name(), Value: encode(rec)})
	if err != nil && !errors.Is(err, store.ErrClosed) {
		e.emit(FollowerLost{To: k.to, Err: fmt.Errorf("save what it acknowledged: %w", err)})
	}
}

// ErrAckPending says that a write is safe here and not yet where its bucket's acknowledgement class asks.
var ErrAckPending = errors.New("written here, but not yet confirmed by those that the bucket's ack class asks for")

// ackTimeout bounds how long a write waits for its acknowledgement class.
const ackTimeout = 30 * time.Second

// WaitAck returns when a write that this store logged as seq is where the class says, or ErrAckPending
// when ctx or ackTimeout ends first, or at once when the class cannot be met.
func (e *Engine) WaitAck(ctx context.Context, v object.Version, seq store.Seq, ack object.Ack) error {
	if ack == object.AckLocal {
		return nil
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	want := max(ack.Regions, 1)
	for {
		e.mu.Lock()
		have, possible := e.holders(&v, seq, ack)
		changed, generation := e.ackChanged, e.generation
		e.mu.Unlock()
		if have >= want {
			return nil
		}
		if possible < want {
			return fmt.Errorf("%w: ack %s needs %d, and the policies and the region's routers give only %d", ErrAckPending, ack, want, possible)
		}
		select {
		case <-changed:
		case <-generation:
		case <-ctx.Done():
			return fmt.Errorf("%w: %d of %d after %s; the copy goes on", ErrAckPending, have, want, time.Since(began).Round(time.Millisecond))
		}
	}
}

// has says whether a follower has a write. One that was set aside is passed and not had.
func (f *followed) has(m mark, seq store.Seq) bool {
	_, bad := f.aside[m]
	return f.cursor.passed(seq) && !bad && !f.more
}

// holders counts who has a write: other routers of the region for ack zone, else other regions. The caller
// holds e.mu.
func (e *Engine) holders(v *object.Version, seq store.Seq, ack object.Ack) (have, possible int) {
	m := refOf(v).mark()
	// A write of another region can only be the purge of one.
	purged := v.Region != e.cfg.Region
	regions := map[topo.Region]bool{}
	for i := range e.out {
		r := &e.out[i]
		if ack.Zone != (r.name == zoneRule) || r.name == returnedRule || !r.selects(v, purged, e.cfg.Self, e.cfg.Region) {
			continue
		}
		for _, to := range r.to {
			ok := e.known(ackKey{r.name, r.hash, to}).has(m, seq)
			if ack.Zone {
				possible++
				if ok {
					have++
				}
				continue
			}
			region := e.topology.regionOf(to)
			regions[region] = regions[region] || ok
		}
	}
	for _, ok := range regions {
		possible++
		if ok {
			have++
		}
	}
	return have, possible
}
