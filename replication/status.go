package replication

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// Phases of a flow.
const (
	PhaseWaiting  = "waiting"  // no stream
	PhaseBackfill = "backfill" // what exists is being walked
	PhaseLive     = "live"     // the log is being followed
)

func phaseOf(c cursor) string {
	if c.Tail {
		return PhaseLive
	}
	return PhaseBackfill
}

// Status is every flow that this router takes part in.
type Status struct {
	Flows []FlowStatus
}

// FlowStatus is one rule from one router to another.
type FlowStatus struct {
	Policy   string
	Bucket   string
	From, To topo.RouterID
	// Inbound flows are this router's own: it knows what it has done. Of the others it is the source: it knows
	// what is pending.
	Inbound bool
	Phase   string
	// PendingObjects and PendingBytes are what the destination has not acknowledged; More says that
	// there is more than was counted.
	PendingObjects int64
	PendingBytes   int64
	OldestPending  time.Time
	More           bool
	// DoneObjects, DoneBytes and WireBytes count since the process began.
	DoneObjects int64
	DoneBytes   int64
	WireBytes   int64
	// Aside counts the versions that the destination could not take, up to maxAside at the source.
	Aside     int64
	LastError string
}

// countLimit bounds the log entries, and the versions, that one status looks at.
const (
	countLimit = 50_000
	countRead  = 1000
)

// Status gives the state of every flow.
func (e *Engine) Status() Status {
	var out Status
	type outbound struct {
		r  rule
		st FlowStatus
		c  cursor
	}
	var flows []outbound
	e.mu.Lock()
	for _, f := range e.followers {
		f.mu.Lock()
		out.Flows = append(out.Flows, f.status)
		f.mu.Unlock()
	}
	buckets := e.topology.Buckets
	for _, r := range e.out {
		for _, to := range r.to {
			k := ackKey{r.name, r.hash, to}
			f := e.known(k)
			st := FlowStatus{Policy: r.name, Bucket: r.policy.Bucket, From: e.cfg.Self, To: to, Phase: PhaseWaiting, Aside: int64(len(f.aside))}
			if e.sendings[k] != nil {
				st.Phase = phaseOf(f.cursor)
			}
			flows = append(flows, outbound{r.rule, st, f.cursor})
		}
	}
	e.mu.Unlock()
	for i := range flows {
		f := &flows[i]
		e.count(&f.st, &f.r, f.c, buckets)
		out.Flows = append(out.Flows, f.st)
	}
	slices.SortFunc(out.Flows, func(a, b FlowStatus) int {
		return cmp.Or(cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return out
}

// count adds up what lies behind a cursor: of a walk, and of the log.
func (e *Engine) count(st *FlowStatus, r *rule, c cursor, buckets map[string]object.Bucket) {
	pending := func(v *object.Version) {
		st.PendingObjects++
		st.PendingBytes += v.Size
		if t := v.ID.Time.Wall(); st.OldestPending.IsZero() || t.Before(st.OldestPending) {
			st.OldestPending = t
		}
	}
	selects := func(v *object.Version, purged bool) bool { return r.selects(v, purged, e.cfg.Self, e.cfg.Region) }
	walked := map[object.VersionID]bool{}
	if !c.Tail {
		w := walk{rule: r, selects: selects, store: e.cfg.Store, buckets: buckets, at: c}
		err := w.step(context.Background(), countLimit, func([]store.Replica, int64) bool { return false })
		for i := range w.out {
			pending(&w.out[i].Version)
			walked[w.out[i].Version.ID] = true
		}
		st.More = err != nil || !w.at.Tail
		if !e.ours(c) {
			return // it has not begun: the walk is all there is
		}
	}
	more := e.scanLog(c.Seq+1, func(en *store.LogEntry) bool {
		if !c.skips(en) && !walked[en.Version.ID] && selects(&en.Version, en.Purged) {
			pending(&en.Version)
		}
		return true
	})
	st.More = st.More || more
}

// scanLog visits log entries until fn says false, at most countLimit; it says whether there are more.
func (e *Engine) scanLog(from store.Seq, fn func(*store.LogEntry) bool) (more bool) {
	for looked := 0; looked < countLimit; looked += countRead {
		entries, next, err := e.cfg.Store.Log(from, countRead)
		if err != nil {
			return true // trimmed: the follower will walk
		}
		for i := range entries {
			if !fn(&entries[i]) {
				return true
			}
		}
		if next == from {
			return false
		}
		from = next
	}
	return true
}

// What S3 calls the states of a version.
const (
	StatusPending   = "PENDING"
	StatusCompleted = "COMPLETED"
	StatusFailed    = "FAILED"
	StatusReplica   = "REPLICA"
)

// ObjectStatus is where a version is.
type ObjectStatus struct {
	// Status is PENDING, COMPLETED, FAILED, REPLICA, or empty when no policy sends it anywhere. FAILED,
	// which goes away by itself when its cause does, goes before PENDING.
	Status       string
	Destinations []DestinationStatus
}

// DestinationStatus is one destination of a version.
type DestinationStatus struct {
	Policy string
	Router topo.RouterID
	Region topo.Region
	Status string
	Detail string
}

// ObjectStatus says where a version of this store has arrived.
func (e *Engine) ObjectStatus(v object.Version) ObjectStatus {
	if v.Region != e.cfg.Region {
		return ObjectStatus{Status: StatusReplica}
	}
	type target struct {
		DestinationStatus
		c      cursor
		failed bool
	}
	var targets []target
	m := refOf(&v).mark()
	e.mu.Lock()
	for i := range e.out {
		r := &e.out[i]
		if r.name == zoneRule || r.name == returnedRule || !r.selects(&v, false, e.cfg.Self, e.cfg.Region) {
			continue
		}
		for _, to := range r.to {
			f := e.known(ackKey{r.name, r.hash, to})
			_, failed := f.aside[m]
			targets = append(targets, target{
				DestinationStatus{Policy: r.name, Router: to, Region: e.topology.regionOf(to), Status: StatusCompleted}, f.cursor, failed,
			})
		}
	}
	e.mu.Unlock()
	var out ObjectStatus
	if len(targets) > 0 {
		out.Status = StatusCompleted
	}
	for _, t := range targets {
		switch {
		case t.failed:
			t.Status, t.Detail = StatusFailed, "the destination could not take it, and tries again: galleon there lists why"
			out.Status = StatusFailed
		case !e.ours(t.c):
			t.Status, t.Detail = StatusPending, "the destination has not begun"
		case !t.c.Tail && !walked(t.c, &v):
			t.Status, t.Detail = StatusPending, "the backfill has not come to it yet"
		case e.behind(max(t.c.Seq, t.c.Until)+1, &v):
			t.Status, t.Detail = StatusPending, "sent, or waiting to be sent, and not acknowledged"
		}
		if t.Status == StatusPending && out.Status == StatusCompleted {
			out.Status = StatusPending
		}
		out.Destinations = append(out.Destinations, t.DestinationStatus)
	}
	return out
}

// walked says whether a walk has passed a version.
func walked(c cursor, v *object.Version) bool {
	if d := cmp.Or(cmp.Compare(v.Bucket, c.Bucket), cmp.Compare(v.Key, c.Key)); d != 0 {
		return d < 0
	}
	return !v.ID.Less(c.Within)
}

// behind says whether a version's log entry is among those from a sequence on. What this router took itself is
// in its log in the order of its clock, so that the first such entry decides, but for versions that were changed
// later and moved to the log's end; this is asked for every HEAD.
func (e *Engine) behind(from store.Seq, v *object.Version) bool {
	first := object.VersionID{Time: math.MaxUint64}
	found := false
	e.scanLog(from, func(en *store.LogEntry) bool {
		found = !en.Purged && en.Version.ID == v.ID && en.Version.Bucket == v.Bucket && en.Version.Key == v.Key
		if v.ID.Origin == e.cfg.Self && en.Version.ID.Origin == e.cfg.Self && !en.Purged && !en.Version.Attributes.Changed() && !v.Attributes.Changed() {
			first = en.Version.ID
			return false
		}
		return !found
	})
	return found || !v.ID.Less(first)
}
