package replication

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// maxStreams bounds the followers that are served at once.
const maxStreams = 1024

// Engine follows whom the topology says and serves whoever follows it.
//
//	New ─▶ Set, any number of times ─▶ Run, once; Serve for every stream that a peer opens
type Engine struct {
	cfg  Config
	gate *gate

	mu         sync.Mutex
	topology   Topology
	generation chan struct{} // closed and made anew by Set
	followers  map[flow]*running
	sendings   map[*sending]struct{}
	acks       map[ackKey]cursor // what destinations acknowledged, also those that are away
	saved      map[ackKey]time.Time
	ackChanged chan struct{} // closed and made anew by every acknowledgement
	done       bool
	streams    sync.WaitGroup
	ctx        context.Context
	stop       context.CancelFunc
}

type running struct {
	*follower
	stop context.CancelFunc
}

type ackKey struct {
	rule, hash string
	to         topo.RouterID
}

// New makes an engine that follows nobody yet.
func New(cfg Config) *Engine {
	if cfg.Emit == nil {
		cfg.Emit = func(Event) {}
	}
	e := &Engine{
		cfg: cfg, gate: newGate(), generation: make(chan struct{}), followers: map[flow]*running{},
		sendings: map[*sending]struct{}{}, acks: map[ackKey]cursor{}, saved: map[ackKey]time.Time{}, ackChanged: make(chan struct{}),
	}
	e.ctx, e.stop = context.WithCancel(context.Background())
	return e
}

func (e *Engine) emit(ev Event) { e.cfg.Emit(ev) }

// Set says what the cluster agreed on by now.
func (e *Engine) Set(t Topology) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.topology = t
	close(e.generation)
	e.generation = make(chan struct{})
}

// Run keeps the flows that the topology asks for until ctx ends, and then ends everything, also the
// streams that are being served.
func (e *Engine) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer func() {
		e.mu.Lock()
		e.done = true
		e.mu.Unlock()
		e.stop()
		wg.Wait()
		e.streams.Wait()
	}()
	for {
		e.mu.Lock()
		changed := e.generation
		want := e.topology.follows(e.cfg.Self, e.cfg.Region)
		for f, r := range e.followers {
			if !slices.Contains(want, f) {
				r.stop()
				delete(e.followers, f)
			}
		}
		for _, f := range want {
			if e.followers[f] != nil {
				continue
			}
			ru, _ := e.topology.ruleNamed(f.rule)
			fctx, stop := context.WithCancel(ctx)
			fo := &follower{e: e, flow: f, rule: ru, status: FlowStatus{
				Policy: f.rule, Bucket: ru.policy.Bucket, From: f.source, To: e.cfg.Self, Phase: "waiting", Inbound: true,
			}}
			e.followers[f] = &running{fo, stop}
			wg.Go(func() {
				defer e.gate.set(fo, 0, false)
				fo.run(fctx)
			})
		}
		e.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Serve answers a stream that another router opened. It returns when the stream ends.
func (e *Engine) Serve(from topo.RouterID, conn net.Conn) {
	e.mu.Lock()
	if e.done || len(e.sendings) >= maxStreams {
		e.mu.Unlock()
		_ = conn.Close()
		return
	}
	e.streams.Add(1)
	e.mu.Unlock()
	defer e.streams.Done()
	defer context.AfterFunc(e.ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if err := e.serve(e.ctx, from, conn); err != nil && e.ctx.Err() == nil {
		e.emit(FollowerLost{To: from, Err: err})
	}
}

func (e *Engine) addSending(s *sending) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sendings[s] = struct{}{}
	e.setAck(s)
}

func (e *Engine) dropSending(s *sending) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.sendings, s)
}

// stillServed says whether a follower is one under the newest topology, and what to watch from now on.
func (e *Engine) stillServed(s *sending) (bool, <-chan struct{}) {
	r, generation, why := e.admit(s.to, helloBody{Protocol: protocol, Rule: s.rule.name(), Hash: s.rule.hash})
	return why == "" && r.hash == s.rule.hash, generation
}

// setAck notes an acknowledgement and wakes who waits for one. The caller holds e.mu.
func (e *Engine) setAck(s *sending) {
	s.mu.Lock()
	c := s.acked
	s.mu.Unlock()
	e.acks[ackKey{s.rule.name(), s.rule.hash, s.to}] = c
	close(e.ackChanged)
	e.ackChanged = make(chan struct{})
}

// saveAck makes an acknowledgement known, at once to who waits and every so often to the disk: after a
// restart the destination says it again, so a late one costs nothing but an old number in a status.
func (e *Engine) saveAck(s *sending, now bool) {
	k := ackKey{s.rule.name(), s.rule.hash, s.to}
	e.mu.Lock()
	e.setAck(s)
	c := e.acks[k]
	due := now || time.Since(e.saved[k]) > ackSavePeriod
	if due {
		e.saved[k] = time.Now()
	}
	e.mu.Unlock()
	if due {
		if err := e.cfg.Store.SetCursor(context.Background(), store.Cursor{Name: ackName(k.rule, k.hash, k.to), Value: c.encode()}); err != nil {
			e.emit(FollowerLost{To: s.to, Err: fmt.Errorf("save acknowledgement: %w", err)})
		}
	}
}

// acked gives what a destination acknowledged last, from memory or from before a restart. The caller
// holds e.mu.
func (e *Engine) acked(r rule, to topo.RouterID) cursor {
	k := ackKey{r.name(), r.hash, to}
	if c, ok := e.acks[k]; ok {
		return c
	}
	var c cursor
	if b, err := e.cfg.Store.Cursor(ackName(k.rule, k.hash, k.to)); err == nil {
		c, _ = decodeCursor(b)
	}
	if c.Store != e.cfg.Store.ID().String() || c.Incarnation != e.cfg.Store.Incarnation() {
		c = cursor{}
	}
	e.acks[k] = c
	return c
}

// ErrAckPending says that a write is safe here and not yet where its bucket's acknowledgement class asks.
var ErrAckPending = errors.New("written here, but not yet confirmed by those that the bucket's ack class asks for")

// ackTimeout bounds how long a write waits for its acknowledgement class.
const ackTimeout = 30 * time.Second

// WaitAck returns when a write that this store logged as seq is where the class says, or ErrAckPending
// when ctx or ackTimeout ends first.
func (e *Engine) WaitAck(ctx context.Context, v object.Version, seq store.Seq, ack object.Ack) error {
	if ack == object.AckLocal {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, ackTimeout)
	defer cancel()
	for {
		e.mu.Lock()
		have, possible := e.holders(&v, seq, ack)
		changed, generation := e.ackChanged, e.generation
		e.mu.Unlock()
		want := max(ack.Regions, 1)
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
			return fmt.Errorf("%w: %d of %d after %s; the copy goes on", ErrAckPending, have, want, ackTimeout)
		}
	}
}

// holders counts who has a write: other routers of the region for ack zone, else other regions. The caller
// holds e.mu.
func (e *Engine) holders(v *object.Version, seq store.Seq, ack object.Ack) (have, possible int) {
	t := &e.topology
	if ack.Zone {
		zone, _ := t.ruleNamed(zoneRule)
		for _, to := range t.followers(e.cfg.Self, e.cfg.Region, zone) {
			possible++
			if e.acked(zone, to).passed(seq) {
				have++
			}
		}
		return have, possible
	}
	regions := map[topo.Region]bool{}
	for _, p := range t.Policies {
		r := policyRule(p)
		if !r.selects(v, false, e.cfg.Region) {
			continue
		}
		for _, to := range t.followers(e.cfg.Self, e.cfg.Region, r) {
			region := t.regionOf(to)
			regions[region] = regions[region] || e.acked(r, to).passed(seq)
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

// TrimLog drops log entries that every follower has passed. A follower that has not begun, or is still
// walking, holds all of it, up to maxLog entries: who falls behind that walks again.
func (e *Engine) TrimLog(ctx context.Context) error {
	first, next := e.cfg.Store.LogRange()
	before := next
	e.mu.Lock()
	for _, r := range e.topology.rules() {
		for _, to := range e.topology.followers(e.cfg.Self, e.cfg.Region, r) {
			before = min(before, e.acked(r, to).Seq+1)
		}
	}
	e.mu.Unlock()
	if next > maxLog {
		before = max(before, next-maxLog)
	}
	if before <= first {
		return nil
	}
	return e.cfg.Store.TrimLog(ctx, before)
}

// maxLog is how many entries the log keeps for destinations that are away.
const maxLog = 4_000_000

// FlowUp is a stream to a source that began.
type FlowUp struct {
	Rule   string
	Source topo.RouterID
	Tail   bool
	Seq    uint64
}

// FlowBroken is a stream to a source that ended; it is tried again.
type FlowBroken struct {
	Rule   string
	Source topo.RouterID
	Err    error
	Retry  time.Duration
}

// FollowerLost is a stream from a destination that ended.
type FollowerLost struct {
	To  topo.RouterID
	Err error
}

// Quarantined is a version that was set aside: its chunks cannot be had from the source.
type Quarantined struct {
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

// Name and LogValue make these events.
func (FlowUp) Name() string           { return "flow-up" }
func (FlowBroken) Name() string       { return "flow-broken" }
func (FollowerLost) Name() string     { return "follower-ended" }
func (Quarantined) Name() string      { return "version-quarantined-failed" }
func (ChunkUnavailable) Name() string { return "chunk-lost" }

func (e FlowUp) LogValue() slog.Value {
	return slog.GroupValue(slog.String("rule", e.Rule), slog.String("source", e.Source.String()), slog.Bool("tail", e.Tail), slog.Uint64("seq", e.Seq))
}

func (e FlowBroken) LogValue() slog.Value {
	return slog.GroupValue(slog.String("rule", e.Rule), slog.String("source", e.Source.String()), slog.String("err", e.Err.Error()), slog.Duration("retry", e.Retry))
}

func (e FollowerLost) LogValue() slog.Value {
	return slog.GroupValue(slog.String("to", e.To.String()), slog.String("err", e.Err.Error()))
}

func (e Quarantined) LogValue() slog.Value {
	return slog.GroupValue(slog.String("rule", e.Rule), slog.String("source", e.Source.String()), slog.String("bucket", e.Bucket), slog.String("key", e.Key))
}

func (e ChunkUnavailable) LogValue() slog.Value {
	return slog.GroupValue(slog.String("to", e.To.String()), slog.String("chunk", e.Chunk.String()), slog.String("err", e.Err.Error()))
}
