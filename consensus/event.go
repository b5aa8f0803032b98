package consensus

import (
	"fmt"
	"log/slog"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Event is something that happened. The types below are all of them.
type Event interface {
	Name() string
	slog.LogValuer
}

// RoleChanged says that this router became a voter or a watcher.
type RoleChanged struct{ Role Role }

// LeaderChanged says whom this router takes for the leader; 0 for nobody.
type LeaderChanged struct {
	Leader topo.RouterID
	Term   uint64
}

// MembershipChanged says what the leader did to Raft's configuration, or failed to do.
type MembershipChanged struct {
	Change string
	Err    error
}

// TimeoutsChanged says that the voters now run with the timeouts for RTTs up to that of the tier.
type TimeoutsChanged struct{ Timeouts Timeouts }

// CallRefused says that the guard kept a call from Raft.
type CallRefused struct {
	From topo.RouterID
	Err  error
}

// FollowFailed says that following the state of a voter ended.
type FollowFailed struct {
	From topo.RouterID
	Err  error
}

// Diverged says that two routers have different states at the same index. It must never happen.
type Diverged struct {
	Router topo.RouterID
	Index  uint64
}

// FileDamaged says that a file was set aside because it is not what was written.
type FileDamaged struct {
	Path string
	Err  error
}

// RaftSaid is a line of Raft's own log.
type RaftSaid struct {
	Level slog.Level
	Text  string
}

// Name gives the event's name in logs and metrics.
func (RoleChanged) Name() string       { return "consensus.role" }
func (LeaderChanged) Name() string     { return "consensus.leader" }
func (MembershipChanged) Name() string { return "consensus.membership" }
func (TimeoutsChanged) Name() string   { return "consensus.timeouts" }
func (CallRefused) Name() string       { return "consensus.refused" }
func (FollowFailed) Name() string      { return "consensus.follow" }
func (Diverged) Name() string          { return "consensus.diverged" }
func (FileDamaged) Name() string       { return "consensus.damaged" }
func (RaftSaid) Name() string          { return "consensus.raft" }

// LogValue gives the event's fields.
func (e RoleChanged) LogValue() slog.Value {
	return slog.GroupValue(slog.String("role", string(e.Role)))
}
func (e LeaderChanged) LogValue() slog.Value {
	return slog.GroupValue(slog.String("leader", e.Leader.String()), slog.Uint64("term", e.Term))
}
func (e MembershipChanged) LogValue() slog.Value {
	return slog.GroupValue(slog.String("change", e.Change), slog.String("error", text(e.Err)))
}
func (e TimeoutsChanged) LogValue() slog.Value {
	return slog.GroupValue(slog.Duration("rtt", e.Timeouts.RTT), slog.Duration("heartbeat", e.Timeouts.Heartbeat))
}
func (e CallRefused) LogValue() slog.Value {
	return slog.GroupValue(slog.String("from", e.From.String()), slog.String("error", text(e.Err)))
}
func (e FollowFailed) LogValue() slog.Value {
	return slog.GroupValue(slog.String("from", e.From.String()), slog.String("error", text(e.Err)))
}
func (e Diverged) LogValue() slog.Value {
	return slog.GroupValue(slog.String("router", e.Router.String()), slog.Uint64("index", e.Index))
}
func (e FileDamaged) LogValue() slog.Value {
	return slog.GroupValue(slog.String("path", e.Path), slog.String("error", text(e.Err)))
}
func (e RaftSaid) LogValue() slog.Value {
	return slog.GroupValue(slog.String("level", e.Level.String()), slog.String("text", e.Text))
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return fmt.Sprint(err)
}
