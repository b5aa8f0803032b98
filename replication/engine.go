package replication

import (
	"context"
	"maps"
	"net"
	"slices"
	"sync"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

// maxStreams bounds the followers that are served at once.
const maxStreams = 1024

// Engine follows whom the topology says and serves whoever follows it.
//
//	New ─▶ Set, any number of times ─▶ Run, once; Serve for every stream that a peer opens
type Engine struct {
	cfg  Config
	gate *gate
	ctx  context.Context // of what is served; ends with Run
	stop context.CancelFunc

	mu         sync.Mutex
	topology   Topology
	out        []outRule                // of the topology
	generation chan struct{}            // closed and made anew by Set
	followers  map[flow]*running        // those that run
	sendings   map[ackKey]*sending      // the newest stream of each follower
	acks       map[ackKey]*followed     // what followers acknowledged, also those that are away
	ackChanged chan struct{}            // closed and made anew by every acknowledgement
	streams    sync.WaitGroup           // of Serve
	serving    int                      // number of those
	ended      map[flow]<-chan struct{} // followers that were stopped and may not have returned yet
	done       bool
}

type running struct {
	*follower
	stop context.CancelFunc
}

// New makes an engine that follows nobody yet.
func New(cfg Config) *Engine {
	if cfg.Emit == nil {
		cfg.Emit = func(Event) {}
	}
	e := &Engine{
		cfg: cfg, gate: newGate(), generation: make(chan struct{}), followers: map[flow]*running{},
		sendings: map[ackKey]*sending{}, acks: map[ackKey]*followed{}, ackChanged: make(chan struct{}),
		ended: map[flow]<-chan struct{}{},
	}
	e.ctx, e.stop = context.WithCancel(context.Background())
	return e
}

func (e *Engine) emit(ev Event) { e.cfg.Emit(ev) }

// Set says what the cluster agreed on by now.
func (e *Engine) Set(t Topology) {
	out := t.outRules(e.cfg.Self, e.cfg.Region)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.topology, e.out = t, out
	close(e.generation)
	e.generation = make(chan struct{})
}

func (e *Engine) topologyChanged() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.generation
}

func (e *Engine) buckets() map[string]object.Bucket {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.topology.Buckets
}

// Run keeps the flows that the topology asks for until ctx ends, and then ends everything, also the
// streams that are being served.
func (e *Engine) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		e.mu.Lock()
		e.done = true
		e.mu.Unlock()
		e.stop()
		cancel()
		wg.Wait()
		e.streams.Wait()
	}()
	for {
		changed := e.reconcile(ctx, &wg)
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// reconcile stops and starts followers, and gives what to wait for.
func (e *Engine) reconcile(ctx context.Context, wg *sync.WaitGroup) <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	want := e.topology.follows(e.cfg.Self, e.cfg.Region)
	maps.DeleteFunc(e.ended, func(_ flow, done <-chan struct{}) bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	})
	for f, r := range e.followers {
		if !slices.Contains(want, f) {
			r.stop()
			delete(e.followers, f)
			e.ended[f.sameCursor()] = r.done
		}
	}
	for _, f := range want {
		if e.followers[f] != nil {
			continue
		}
		fo := &follower{e: e, flow: f, region: e.topology.regionOf(f.source), done: make(chan struct{})}
		for _, r := range e.topology.rules() {
			if r.name == f.rule {
				fo.rule = r
			}
		}
		if f.rule == zoneRule || f.rule == returnedRule {
			fo.region = e.cfg.Region
		}
		fo.status = FlowStatus{Policy: f.rule, Bucket: fo.rule.policy.Bucket, From: f.source, To: e.cfg.Self, Phase: PhaseWaiting, Inbound: true}
		fctx, stop := context.WithCancel(ctx)
		e.followers[f] = &running{fo, stop}
		before := e.ended[f.sameCursor()]
		delete(e.ended, f.sameCursor())
		wg.Go(func() {
			defer stop()
			if before != nil {
				<-before // two must not move one cursor
			}
			fo.run(fctx)
		})
	}
	return e.generation
}

// sameCursor is a name for flows that share a cursor.
func (f flow) sameCursor() flow {
	f.priority = 0
	return f
}

// Serve answers a stream that another router opened. It returns when the stream ends.
func (e *Engine) Serve(from topo.RouterID, conn net.Conn) {
	e.mu.Lock()
	if e.done || e.serving >= maxStreams {
		e.mu.Unlock()
		_ = conn.Close()
		return
	}
	e.serving++
	e.streams.Add(1)
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.serving--
		e.mu.Unlock()
		e.streams.Done()
	}()
	if err := e.serve(e.ctx, from, conn); err != nil && e.ctx.Err() == nil {
		e.emit(FollowerLost{To: from, Err: err})
	}
}
