package replication

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// world is a few engines on real stores, over simulated streams, in fake time: use it inside synctest.
type world struct {
	t     testing.TB
	sites map[topo.RouterID]*site
	topo  Topology

	mu      sync.Mutex
	latency time.Duration // one way
	rate    int64         // of a stream, or, with access, into a router
	access  bool
	cut     map[topo.Pair]bool
	streams map[*stream]topo.Pair
	// breakAfter, if not nil, says after how many bytes the next stream breaks; negative: never.
	breakAfter func(from, to topo.RouterID) int64
	budgets    []*budget
	dials      int
}

// change sets what the network is like, while it may be in use.
func (w *world) change(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// site is one router.
type site struct {
	w      *world
	id     topo.RouterID
	region topo.Region
	mem    *vfs.MemFS
	fs     vfs.FS // mem, or something around it
	clock  *object.Clock
	link   *link
	delay  time.Duration // of every write
	free   uint64        // of the disk, in bytes; guarded by w.mu

	store  *store.Store
	engine *Engine
	stop   context.CancelFunc
	ended  chan struct{}

	mu     sync.Mutex
	events []Event
}

func newWorld(t testing.TB) *world {
	w := &world{
		t: t, sites: map[topo.RouterID]*site{}, latency: 20 * time.Millisecond, cut: map[topo.Pair]bool{}, streams: map[*stream]topo.Pair{},
		topo: Topology{
			Buckets: map[string]object.Bucket{"plain": {Name: "plain"}, "kept": {Name: "kept", Versioning: true}},
			Regions: map[topo.Region][]topo.RouterID{}, Owners: map[topo.Region]topo.RouterID{},
		},
	}
	return w
}

// add makes a router; the first of a region is its owner.
func (w *world) add(id topo.RouterID, region topo.Region) *site {
	s := &site{w: w, id: id, region: region, mem: vfs.NewCrashableMem(), free: 1 << 40, link: &link{rate: w.rate}}
	s.fs = s.mem
	w.sites[id] = s
	w.topo.Regions[region] = append(w.topo.Regions[region], id)
	if w.topo.Owners[region] == 0 {
		w.topo.Owners[region] = id
	}
	s.start()
	return s
}

func (w *world) policy(p object.Policy) {
	w.topo.Policies = append(slices.Clone(w.topo.Policies), p)
}

// set tells every router the topology.
func (w *world) set() {
	w.topo.Index++
	for _, s := range w.sites {
		if s.engine != nil {
			s.engine.Set(w.snapshot())
		}
	}
}

// snapshot copies the topology, since the world goes on changing its own.
func (w *world) snapshot() Topology {
	t := w.topo
	t.Regions, t.Owners, t.Buckets = maps.Clone(t.Regions), maps.Clone(t.Owners), maps.Clone(t.Buckets)
	for r, ids := range t.Regions {
		t.Regions[r] = slices.Clone(ids)
	}
	return t
}

// close stops everything; a synctest bubble only ends when all its goroutines have.
func (w *world) close() {
	for _, s := range w.sites {
		s.halt()
	}
}

func (s *site) options() store.Options {
	return store.Options{
		Dir: "store", FS: s.fs, TenantKey: [32]byte{1}, Region: s.region, Router: s.id, Clock: s.clock, MinPartSize: -1,
		Versioned: func(b string) bool { return b != "plain" }, CacheBytes: 1 << 20,
		FreeBytes: func() (uint64, error) {
			s.w.mu.Lock()
			free, delay := s.free, s.delay
			s.w.mu.Unlock()
			time.Sleep(delay)
			return free, nil
		},
		Fatal: func(err error) {},
	}
}

func (s *site) start() {
	s.w.t.Helper()
	s.clock = &object.Clock{}
	st, err := store.Open(s.options())
	if err != nil {
		s.w.t.Fatal(err)
	}
	s.store = st
	e := New(Config{Store: st, Self: s.id, Region: s.region, Dial: s.dial, Emit: func(e Event) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.events = append(s.events, e)
	}})
	e.Set(s.w.snapshot())
	s.w.mu.Lock()
	s.engine = e // dial looks for it
	s.w.mu.Unlock()
	ctx, stop := context.WithCancel(context.Background())
	s.stop, s.ended = stop, make(chan struct{})
	go func(e *Engine, ended chan struct{}) {
		defer close(ended)
		_ = e.Run(ctx)
	}(e, s.ended)
}

// halt ends the router's process in an orderly way.
func (s *site) halt() {
	if s.engine == nil {
		return
	}
	s.stop()
	<-s.ended
	s.w.mu.Lock()
	s.engine = nil
	s.w.mu.Unlock()
	if err := s.store.Close(); err != nil && !errors.Is(err, store.ErrFailed) {
		s.w.t.Errorf("close store of %s: %v", s.id, err)
	}
}

// crash loses what was not synced and starts again.
func (s *site) crash(rng *rand.Rand) {
	disk := s.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(101), RNG: rng})
	s.halt()
	s.mem, s.fs = disk, disk
	s.start()
}

func (s *site) restart() {
	s.halt()
	s.start()
}

// count gives how many events of a kind there were.
func (s *site) count(name string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Name() == name {
			n++
		}
	}
	return n
}

func (s *site) dial(ctx context.Context, to topo.RouterID) (net.Conn, error) {
	w := s.w
	w.mu.Lock()
	peer, pair := w.sites[to], topo.PairOf(s.id, to)
	bad := w.cut[pair]
	latency := w.latency
	w.mu.Unlock()
	select {
	case <-time.After(2 * latency):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if peer == nil || bad {
		return nil, fmt.Errorf("dial %s: no route", to)
	}
	w.mu.Lock()
	left := int64(-1)
	if w.breakAfter != nil {
		left = w.breakAfter(s.id, to)
	}
	there, back := &link{rate: w.rate}, &link{rate: w.rate}
	if w.access {
		there, back = peer.link, s.link
	}
	a, b, used := newStream(w.latency, there, back, left)
	w.streams[a] = pair
	w.budgets = append(w.budgets, used)
	w.dials++
	e := peer.engine
	w.mu.Unlock()
	if e == nil {
		return nil, fmt.Errorf("dial %s: refused", to)
	}
	go e.Serve(s.id, b)
	return a, nil
}

// partition cuts or heals what runs between two routers.
func (w *world) partition(a, b topo.RouterID, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[topo.PairOf(a, b)] = cut
	for s, p := range w.streams {
		if cut && p == topo.PairOf(a, b) {
			s.cut()
			delete(w.streams, s)
		}
	}
}

// sent gives the bytes of all streams so far.
func (w *world) sent() (n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.budgets {
		b.mu.Lock()
		n += b.total
		b.mu.Unlock()
	}
	return n
}

// random makes n bytes that do not compress.
func random(seed, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), 3}).Read(b)
	return b
}

func (s *site) put(bucket, key string, data []byte) (object.Version, store.Seq) {
	s.w.t.Helper()
	v, seq, err := s.tryPut(bucket, key, data)
	if err != nil {
		s.w.t.Fatal(err)
	}
	return v, seq
}

func (s *site) tryPut(bucket, key string, data []byte) (object.Version, store.Seq, error) {
	ctx := context.Background()
	w := s.store.NewWriter(ctx)
	defer w.Close()
	if _, err := w.Write(data); err != nil {
		return object.Version{}, 0, err
	}
	b, err := w.Finish()
	if err != nil {
		return object.Version{}, 0, err
	}
	return s.store.Put(ctx, object.Version{
		Bucket: bucket, Key: key, Size: b.Size, ETag: hex.EncodeToString(b.MD5[:]), Sum: b.Sum, Chunks: b.Chunks,
		Meta: map[string]string{"from": string(s.region)},
	}, store.PutOptions{CatalogIndex: s.w.topo.Index})
}

func (s *site) del(bucket, key string) {
	s.w.t.Helper()
	if _, _, err := s.store.Delete(context.Background(), bucket, key, store.PutOptions{}); err != nil && !errors.Is(err, store.ErrNotFound) {
		s.w.t.Fatal(err)
	}
}

// get reads a key as a client does; nil: it is not there.
func (s *site) get(bucket, key string) []byte {
	s.w.t.Helper()
	v, err := s.store.Get(bucket, key, object.VersionID{})
	if errors.Is(err, store.ErrNotFound) || err == nil && v.DeleteMarker {
		return nil
	}
	if err != nil {
		s.w.t.Fatal(err)
	}
	return s.read(v)
}

func (s *site) read(v object.Version) []byte {
	s.w.t.Helper()
	r, err := s.store.Open(v)
	if err != nil {
		s.w.t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		s.w.t.Fatal(err)
	}
	if b == nil {
		b = []byte{}
	}
	return b
}

// holds prints a bucket: every version where all counts, else the latest visible ones, with a digest of
// everything that was replicated and of the bytes.
func (s *site) holds(bucket string, all bool) string {
	s.w.t.Helper()
	var out strings.Builder
	err := s.store.Walk(context.Background(), bucket, "", func(r store.Replica, latest bool) error {
		if !all && (!latest || r.Version.DeleteMarker) {
			return nil
		}
		v := r.Version
		h := sha256.New()
		fmt.Fprintf(h, "%v", v)
		if !v.DeleteMarker {
			h.Write(s.read(v))
		}
		fmt.Fprintf(&out, "%s %d.%d %s size %d marker %t %x\n", v.Key, v.ID.Time, v.ID.Origin, v.Region, v.Size, v.DeleteMarker, h.Sum(nil)[:6])
		return nil
	})
	if err != nil {
		s.w.t.Fatal(err)
	}
	return out.String()
}

// trim does what the daemon does every hour, for a day.
func (s *site) trim() {
	s.w.t.Helper()
	for range 26 {
		if err := s.engine.TrimLog(context.Background()); err != nil {
			s.w.t.Fatal(err)
		}
		time.Sleep(time.Hour)
	}
}

// until waits, in fake time, for something to become so.
func (w *world) until(limit time.Duration, what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(limit); !ok(); {
		if time.Now().After(end) {
			for _, s := range w.sites {
				if s.engine == nil {
					continue
				}
				for _, f := range s.engine.Status().Flows {
					w.t.Logf("%s: %+v", s.id, f)
				}
			}
			w.t.Fatalf("after %s still not: %s", limit, what)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// settled says whether every flow is live with nothing pending.
func (w *world) settled() bool {
	for _, s := range w.sites {
		if s.engine == nil {
			return false
		}
		flows := s.engine.Status().Flows
		for _, f := range flows {
			if f.Phase != PhaseLive || f.PendingObjects > 0 || f.More {
				return false
			}
		}
	}
	return true
}

func (w *world) settle() {
	w.t.Helper()
	w.until(10*time.Minute, "everything is everywhere", w.settled)
}

// same fails unless all sites hold the same of a bucket.
func (w *world) same(bucket string, all bool, sites ...*site) {
	w.t.Helper()
	first := sites[0].holds(bucket, all)
	for _, s := range sites[1:] {
		if got := s.holds(bucket, all); got != first {
			w.t.Errorf("%s: %s and %s differ:\n%s---\n%s", bucket, sites[0].id, s.id, first, got)
		}
	}
}

func (w *world) has(s *site, bucket, key string, want []byte) {
	w.t.Helper()
	if got := s.get(bucket, key); !bytes.Equal(got, want) || (got == nil) != (want == nil) {
		w.t.Errorf("%s: %s/%s has %d bytes (there: %t), want %d (%t)", s.id, bucket, key, len(got), got != nil, len(want), want != nil)
	}
}

// regions makes a set of regions.
func regions(names ...topo.Region) object.RegionSet { return object.RegionSet{Names: names} }

var noOptions store.PutOptions

var everywhere = object.RegionSet{All: true}
