package replication

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/store"
)

// Pace of a follower.
const (
	retryMin    = 200 * time.Millisecond
	retryMax    = 5 * time.Second
	dialTimeout = 15 * time.Second
	// spacePeriod is how often a full disk is looked at.
	spacePeriod = 5 * time.Second
	// haveFor is how long chunks that arrived for batches that broke off stay: a lease that the next attempt
	// finds them under.
	haveFor = time.Hour
)

// follower follows one flow until its context ends: it dials the source, takes what comes (intake.go), and
// when the stream breaks begins again from the cursor.
type follower struct {
	e    *Engine
	flow flow
	rule rule
	// region is the source's: a rule other than a region's own carries nothing but what that region took.
	region topo.Region
	done   chan struct{} // closed when run has returned

	// keep leases what arrived for batches that broke off; one at a time. It belongs to run's goroutine.
	keep *store.Lease

	mu     sync.Mutex
	status FlowStatus
}

func (f *follower) run(ctx context.Context) {
	defer close(f.done)
	defer func() {
		if f.keep != nil {
			f.keep.Release()
		}
	}()
	wait, last := retryMin, ""
	for ctx.Err() == nil {
		took, err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		f.setWaiting(err)
		if errors.Is(err, store.ErrNoSpace) {
			f.e.emit(SpaceWanted{Rule: f.flow.rule, Source: f.flow.source, Err: err})
			f.awaitSpace(ctx)
			continue
		}
		// A stream that brought something was worth having: begin again at once, however often it breaks.
		if took {
			wait = retryMin
		}
		if text := err.Error(); took || text != last {
			last = text
			if r := (*refusal)(nil); !errors.As(err, &r) {
				f.e.emit(FlowBroken{Rule: f.flow.rule, Source: f.flow.source, Err: err, Retry: wait})
			}
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
			wait = min(2*wait, retryMax)
		case <-f.e.topologyChanged():
			// Whoever refused may know better now.
			t.Stop()
		case <-ctx.Done():
			t.Stop()
		}
	}
}

// awaitSpace returns when the store takes writes again. Until then nothing is asked for: what comes would be
// thrown away.
func (f *follower) awaitSpace(ctx context.Context) {
	t := time.NewTicker(spacePeriod)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		w := f.e.cfg.Store.NewWriter(ctx) // asks for room first of all
		_, err := w.Finish()
		_ = w.Close()
		if !errors.Is(err, store.ErrNoSpace) {
			return
		}
		f.setWaiting(err)
	}
}

// follow runs one stream until it breaks. It says whether the stream brought anything.
func (f *follower) follow(ctx context.Context) (took bool, err error) {
	hello, err := f.hello()
	if err != nil {
		return false, err
	}
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	conn, err := f.e.cfg.Dial(dialing, f.flow.source)
	cancel()
	if err != nil {
		return false, err
	}
	defer conn.Close()
	c := &conduit{Conn: conn}
	defer context.AfterFunc(ctx, c.cut)()
	fr, err := newFramer(c)
	if err != nil {
		return false, err
	}
	defer fr.close()
	if err := fr.writeJSON(frameHello, hello); err != nil {
		return false, fmt.Errorf("say hello to %s: %w", f.flow.source, err)
	}
	var w welcomeBody
	if err := fr.readJSON(frameWelcome, &w); err != nil {
		return false, fmt.Errorf("follow %s: %w", f.flow.source, err)
	}
	f.setPhase(w.Cursor)
	f.e.emit(FlowUp{Rule: f.flow.rule, Source: f.flow.source, Tail: w.Cursor.Tail, Seq: uint64(w.Cursor.Seq)})
	in := newIntake(f, fr, c)
	err = in.run(ctx)
	return in.batches > 0, err
}

// hello says where this follower is.
func (f *follower) hello() (helloBody, error) {
	h := helloBody{Protocol: protocol, Rule: f.flow.rule, Hash: f.flow.hash}
	b, err := f.e.cfg.Store.Cursor(f.flow.cursorName())
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return h, fmt.Errorf("load cursor: %w", err)
	}
	// One that cannot be read is as good as none: the walk finds what is here, and only costs time.
	if err == nil && json.Unmarshal(b, &h.Cursor) != nil {
		h.Cursor = cursor{}
	}
	list, err := f.asides()
	if err != nil {
		return h, err
	}
	f.mu.Lock()
	f.status.Aside = int64(len(list))
	f.mu.Unlock()
	for _, a := range list[:min(len(list), maxAside)] {
		h.Aside = append(h.Aside, a.mark())
	}
	h.AsideMore = len(list) > maxAside
	return h, nil
}

func (f *follower) setWaiting(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.LastError = err.Error()
	f.status.Phase = PhaseWaiting
}

func (f *follower) setPhase(c cursor) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status.LastError = ""
	f.status.Phase = phaseOf(c)
}
