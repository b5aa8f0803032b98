package replication

import (
	"cmp"
	"slices"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// Status is every flow that this router takes part in.
type Status struct {
	Flows []FlowStatus
}

// FlowStatus is one rule from one router to another. Phase is backfill, live or waiting. What is pending
// is known at the source; what is done counts since the process began.
type FlowStatus struct {
	Policy   string
	Bucket   string
	From, To topo.RouterID
	Inbound  bool
	Phase    string
	// PendingObjects and PendingBytes are what the destination has not acknowledged; More says that
	// there is more than was counted.
	PendingObjects int64
	PendingBytes   int64
	OldestPending  time.Time
	More           bool
	DoneObjects    int64
	DoneBytes      int64
	WireBytes      int64
	LastError      string
}

// countLimit bounds the log entries that one status looks at.
const countLimit = 50_000

// Status gives the state of every flow.
func (e *Engine) Status() Status {
	var out Status
	e.mu.Lock()
	for _, f := range e.followers {
		f.mu.Lock()
		out.Flows = append(out.Flows, f.status)
		f.mu.Unlock()
	}
	type outbound struct {
		r  rule
		to topo.RouterID
		c  cursor
	}
	var flows []outbound
	for _, r := range e.topology.rules() {
		for _, to := range e.topology.followers(e.cfg.Self, e.cfg.Region, r) {
			flows = append(flows, outbound{r, to, e.acked(r, to)})
		}
	}
	connected := map[ackKey]*sending{}
	for s := range e.sendings {
		connected[ackKey{s.rule.name(), s.rule.hash, s.to}] = s
	}
	e.mu.Unlock()
	for _, f := range flows {
		st := FlowStatus{Policy: f.r.name(), Bucket: f.r.policy.Bucket, From: e.cfg.Self, To: f.to, Phase: "waiting"}
		if connected[ackKey{f.r.name(), f.r.hash, f.to}] != nil {
			st.Phase = "backfill"
			if f.c.Tail {
				st.Phase = "live"
			}
		}
		e.count(&st, f.r, f.c)
		out.Flows = append(out.Flows, st)
	}
	slices.SortFunc(out.Flows, func(a, b FlowStatus) int {
		return cmp.Or(cmp.Compare(a.Policy, b.Policy), cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	return out
}

// count adds up what the log has behind an acknowledgement. During a walk it cannot know what the walk
// still has before it, and says so.
func (e *Engine) count(st *FlowStatus, r rule, c cursor) {
	st.More = !c.Tail
	seq := c.Seq + 1
	for looked := 0; looked < countLimit; {
		entries, next, err := e.cfg.Store.Log(seq, logRead)
		if err != nil || len(entries) == 0 {
			return
		}
		for _, en := range entries {
			if !r.selects(&en.Version, en.Purged, e.cfg.Region) {
				continue
			}
			st.PendingObjects++
			st.PendingBytes += en.Version.Size
			if st.OldestPending.IsZero() {
				st.OldestPending = en.Version.ID.Time.Wall()
			}
		}
		looked += len(entries)
		seq = next
	}
	st.More = true
}

// What S3 calls the states of a version.
const (
	StatusPending   = "PENDING"
	StatusCompleted = "COMPLETED"
	StatusReplica   = "REPLICA"
)

// ObjectStatus is where a version is.
type ObjectStatus struct {
	// Status is PENDING, COMPLETED, REPLICA, or empty when no policy sends it anywhere.
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
	var out ObjectStatus
	e.mu.Lock()
	type target struct {
		DestinationStatus
		c cursor
	}
	var targets []target
	for _, p := range e.topology.Policies {
		r := policyRule(p)
		if !r.selects(&v, false, e.cfg.Region) {
			continue
		}
		for _, to := range e.topology.followers(e.cfg.Self, e.cfg.Region, r) {
			targets = append(targets, target{DestinationStatus{Policy: p.Name, Router: to, Region: e.topology.regionOf(to), Status: StatusCompleted}, e.acked(r, to)})
		}
	}
	e.mu.Unlock()
	if len(targets) == 0 {
		return out
	}
	out.Status = StatusCompleted
	for _, t := range targets {
		switch {
		case !t.c.Tail && (t.c.Bucket < v.Bucket || t.c.Bucket == v.Bucket && t.c.Key < v.Key):
			t.Status, t.Detail = StatusPending, "the backfill has not come to it yet"
			if t.c.Store == "" {
				t.Detail = "the destination has not begun"
			}
		case e.inLog(v.ID, v.Bucket, v.Key, t.c.Seq+1):
			t.Status, t.Detail = StatusPending, "sent, or waiting to be sent, and not acknowledged"
		}
		if t.Status == StatusPending {
			out.Status = StatusPending
		}
		out.Destinations = append(out.Destinations, t.DestinationStatus)
	}
	return out
}

// inLog says whether a version is among the log's entries from a sequence on, as far as countLimit reaches.
func (e *Engine) inLog(id object.VersionID, bucket, key string, seq store.Seq) bool {
	for looked := 0; looked < countLimit; {
		entries, next, err := e.cfg.Store.Log(seq, logRead)
		if err != nil || len(entries) == 0 {
			return false
		}
		for _, en := range entries {
			if en.Version.ID == id && en.Version.Bucket == bucket && en.Version.Key == key {
				return true
			}
		}
		looked += len(entries)
		seq = next
	}
	return false
}
