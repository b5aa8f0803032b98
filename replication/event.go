package replication

import (
	"log/slog"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

// FlowUp is a stream to a source that began.
type FlowUp struct {
	Rule   string
	Source topo.RouterID
	Tail   bool
	Seq    uint64
}

// FlowBroken is a stream to a source that ended; it is tried again. The same failure in a row is told once.
type FlowBroken struct {
	Rule   string
	Source topo.RouterID
	Err    error
	Retry  time.Duration
}

// SpaceWanted is a flow that waits for room on this router's disk.
type SpaceWanted struct {
	Rule   string
	Source topo.RouterID
	Err    error
}

// FollowerLost is a stream from a destination that ended.
type FollowerLost struct {
	To  topo.RouterID
	Err error
}

// SetAside is a version that this router could not take. It is asked for again by itself.
type SetAside struct {
	Rule        string
	Source      topo.RouterID
	Bucket, Key string
	Why         string
}

// Settled is a version that was set aside and is here now, or gone at the source.
type Settled struct {
	Rule        string
	Source      topo.RouterID
	Bucket, Key string
}

// ChunkUnavailable is a chunk that a destination asked for and this store cannot read.
type ChunkUnavailable struct {
	To    topo.RouterID
	Chunk object.ChunkID
	Err   error
}

// Name gives the event's kind; LogValue its particulars.
func (FlowUp) Name() string           { return "flow-up" }
func (FlowBroken) Name() string       { return "flow-broken" }
func (SpaceWanted) Name() string      { return "flow-waits-for-space" }
func (FollowerLost) Name() string     { return "follower-ended" }
func (SetAside) Name() string         { return "version-set-aside-failed" }
func (Settled) Name() string          { return "version-settled" }
func (ChunkUnavailable) Name() string { return "chunk-lost" }

func (e FlowUp) LogValue() slog.Value {
	return slog.GroupValue(slog.String("rule", e.Rule), slog.String("source", e.Source.String()), slog.Bool("tail", e.Tail), slog.Uint64("seq", e.Seq))
}

func (e FlowBroken) LogValue() slog.Value {
	return slog.GroupValue(slog.String("rule", e.Rule), slog.String("source", e.Source.String()), slog.String("err", e.Err.Error()), slog.Duration("retry", e.Retry))
}

func (e SpaceWanted) LogValue() slog.Value {
	return slog.GroupValue(slog.String("rule", e.Rule), slog.String("source", e.Source.String()), slog.String("err", e.Err.Error()))
}

func (e FollowerLost) LogValue() slog.Value {
	return slog.GroupValue(slog.String("to", e.To.String()), slog.String("err", e.Err.Error()))
}

func (e SetAside) LogValue() slog.Value {
	return slog.GroupValue(slog.String("rule", e.Rule), slog.String("source", e.Source.String()), slog.String("bucket", e.Bucket),
		slog.String("key", e.Key), slog.String("why", e.Why))
}

func (e Settled) LogValue() slog.Value {
	return slog.GroupValue(slog.String("rule", e.Rule), slog.String("source", e.Source.String()), slog.String("bucket", e.Bucket), slog.String("key", e.Key))
}

func (e ChunkUnavailable) LogValue() slog.Value {
	return slog.GroupValue(slog.String("to", e.To.String()), slog.String("chunk", e.Chunk.String()), slog.String("err", e.Err.Error()))
}

// Name gives the kind of event.
func (Expired) Name() string { return "lifecycle-expired" }

// LogValue gives the counts.
func (e Expired) LogValue() slog.Value {
	return slog.GroupValue(slog.String("bucket", e.Bucket), slog.Int("hidden", e.Hidden), slog.Int("removed", e.Removed),
		slog.Int("aborted", e.Aborted), slog.Int("protected", e.Protected))
}
