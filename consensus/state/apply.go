package state

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Code classes what a command was refused for, so that a program can choose what to do.
type Code string

// The codes.
const (
	CodeInvalid  Code = "invalid"   // the command makes no sense
	CodeNotFound Code = "not-found" // it names what is not there
	CodeConflict Code = "conflict"  // it contradicts what is there
	CodeDenied   Code = "denied"    // whoever asks may not have it: a used, expired or altered token
	CodeFeature  Code = "feature"   // the cluster's feature level does not know it yet
)

// Error is a refusal: the state did not change.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Message }

func refuse(code Code, format string, a ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, a...)}
}

// Result is what a command came to. Err is nil when it was carried out.
type Result struct {
	Err    *Error        `json:"err,omitempty"`
	Index  uint64        `json:"index"`
	Router topo.RouterID `json:"router,omitempty"` // Init, Join: the router that was made
	Epoch  uint64        `json:"epoch,omitempty"`  // SetOwner: the new lease's epoch
}

// Outcome is a remembered result.
type Outcome struct {
	Key    string `json:"key"`
	Result Result `json:"result"`
}

// maxDone is how many outcomes are remembered. A retry comes within seconds; this many commands take
// minutes even at the highest commit rate.
const maxDone = 1024

// operation is what each kind of command knows how to do.
type operation interface {
	// apply changes the draft or refuses. After an error the draft is thrown away.
	apply(d *draft) (Result, error)
	// level is the feature level from which on the operation may be used.
	level() int
	// what says in a few words what was done, for the audit trail.
	what() string
}

// FeatureLevel is the highest feature level that this version of the software knows. Level 2 has settings,
// suspended versioning and object lock of buckets.
const FeatureLevel = 2

// draft is a state being changed: the maps that a command touches are copied before they are.
type draft struct {
	*State
	now    time.Time
	reason string
	// note replaces the operation's own words in the audit trail when the outcome says more.
	note string
}

// edit copies a map before its first change, so that older states keep theirs.
func edit[K comparable, V any](m *map[K]V) map[K]V {
	c := maps.Clone(*m)
	if c == nil {
		c = make(map[K]V)
	}
	*m = c
	return c
}

// Apply carries a command out. It gives the next state, which is s itself but for the index when the
// command was refused or had been done before, and the audit entry when something changed.
func (s *State) Apply(index uint64, c Command) (*State, Result, *AuditEntry) {
	next := *s
	next.Index = index
	for _, o := range s.Done {
		if c.Key != "" && o.Key == c.Key {
			return &next, o.Result, nil
		}
	}
	op, err := c.op()
	var res Result
	var entry *AuditEntry
	if err == nil {
		if c.Time.After(next.Time) {
			next.Time = c.Time
		}
		trial := next
		d := &draft{State: &trial, now: next.Time, reason: c.Reason}
		if err = s.permit(op); err == nil {
			res, err = op.apply(d)
		}
		if err == nil {
			entry = trial.record(index, c, cmp.Or(d.note, op.what()))
			next = trial
		}
	}
	if err != nil {
		var e *Error
		if !errors.As(err, &e) {
			e = &Error{Code: CodeInvalid, Message: err.Error()}
		}
		res = Result{Err: e}
	}
	res.Index = index
	if c.Key != "" {
		done := slices.Clone(next.Done)
		if len(done) >= maxDone {
			done = done[len(done)-maxDone+1:]
		}
		next.Done = append(done, Outcome{c.Key, res})
	}
	return &next, res, entry
}

// permit refuses everything before Init, Init afterwards, and what the feature level does not know.
func (s *State) permit(op operation) error {
	_, first := op.(*Init)
	switch {
	case first && s.Cluster.ID != "":
		return refuse(CodeConflict, "the cluster %s exists already", s.Cluster.ID)
	case !first && s.Cluster.ID == "":
		return refuse(CodeConflict, "the cluster is not initialised")
	case !first && op.level() > s.Cluster.FeatureLevel:
		return refuse(CodeFeature, "%s needs feature level %d and the cluster is at %d; upgrade every voter first",
			op.what(), op.level(), s.Cluster.FeatureLevel)
	}
	return nil
}

// op finds the one operation that a command holds.
func (c *Command) op() (operation, error) {
	var found operation
	n := 0
	for _, o := range []struct {
		set bool
		op  operation
	}{
		{c.Init != nil, c.Init}, {c.CreateToken != nil, c.CreateToken}, {c.DeleteToken != nil, c.DeleteToken},
		{c.Join != nil, c.Join}, {c.UpdateRouter != nil, c.UpdateRouter}, {c.RevokeRouter != nil, c.RevokeRouter},
		{c.DrainRouter != nil, c.DrainRouter}, {c.SetMembers != nil, c.SetMembers}, {c.SetFeature != nil, c.SetFeature},
		{c.CreatePool != nil, c.CreatePool}, {c.GrantPrefix != nil, c.GrantPrefix}, {c.WithdrawPrefix != nil, c.WithdrawPrefix},
		{c.CreateBucket != nil, c.CreateBucket}, {c.UpdateBucket != nil, c.UpdateBucket}, {c.DeleteBucket != nil, c.DeleteBucket},
		{c.ApplyPolicies != nil, c.ApplyPolicies}, {c.DeletePolicy != nil, c.DeletePolicy},
		{c.CreateKey != nil, c.CreateKey}, {c.DeleteKey != nil, c.DeleteKey}, {c.SetOwner != nil, c.SetOwner},
	} {
		if o.set {
			found = o.op
			n++
		}
	}
	if n != 1 {
		return nil, refuse(CodeInvalid, "a command does one thing; this one has %d", n)
	}
	return found, nil
}
