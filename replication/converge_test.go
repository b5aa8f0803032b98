package replication

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// soft turns failures inside a bubble into an error, so that rapid can shrink what led to them.
type soft struct {
	testing.TB
	log    []string
	failed bool
}

type stopped struct{}

func (s *soft) Helper()                 {}
func (s *soft) Failed() bool            { return s.failed }
func (s *soft) Logf(f string, a ...any) { s.log = append(s.log, fmt.Sprintf(f, a...)) }

func (s *soft) Errorf(f string, a ...any) {
	s.Logf(f, a...)
	s.failed = true
}

func (s *soft) Fatal(a ...any) {
	s.Errorf("%s", fmt.Sprint(a...))
	panic(stopped{})
}

func (s *soft) Fatalf(f string, a ...any) {
	s.Errorf(f, a...)
	panic(stopped{})
}

// step is one thing that happens in a random world. What n and m mean depends on the kind.
type step struct {
	kind   string
	site   topo.RouterID
	n, m   int
	bucket string
}

func (s step) String() string {
	return fmt.Sprintf("%s r%d %s %d %d", s.kind, s.site, s.bucket, s.n, s.m)
}

// drawStep weighs what happens: mostly writes.
func drawStep(t *rapid.T) step {
	kinds := []string{"put", "put", "put", "put", "delete", "delete", "purge", "cut", "heal", "crash", "restart", "sleep", "sleep", "skew", "forget", "break"}
	return step{
		kind: rapid.SampledFrom(kinds).Draw(t, "kind"), site: topo.RouterID(rapid.IntRange(1, 4).Draw(t, "site")),
		n: rapid.IntRange(0, 5).Draw(t, "n"), m: rapid.IntRange(0, 1000).Draw(t, "m"),
		bucket: rapid.SampledFrom([]string{"kept", "plain"}).Draw(t, "bucket"),
	}
}

// TestConverge does random things at four routers of three regions, with partitions, crashes, skewed clocks, streams
// that break and cursors that are forgotten, heals, and expects the same versions, markers and bytes everywhere,
// and every acknowledged write among them.
func TestConverge(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steps := rapid.SliceOfN(rapid.Custom(drawStep), 1, 40).Draw(rt, "steps")
		s := &soft{TB: t}
		synctest.Test(t, func(*testing.T) { converge(s, steps) })
		if s.failed {
			rt.Fatalf("%v\n%s", steps, strings.Join(s.log, "\n"))
		}
	})
}

func converge(t *soft, steps []step) {
	w := newWorld(t)
	defer func() {
		if p := recover(); p != nil && p != (stopped{}) {
			panic(p)
		}
	}()
	defer w.close()
	sites := []*site{w.add(1, "a"), w.add(2, "b"), w.add(3, "c"), w.add(4, "a")}
	for _, bucket := range []string{"plain", "kept"} {
		w.policy(object.Policy{Name: bucket, Bucket: bucket, From: everywhere, To: everywhere})
	}
	w.set()
	rng := rand.New(rand.NewPCG(uint64(len(steps)), 7))
	wrote, purged := map[ref]bool{}, map[ref]bool{}
	for i, st := range steps {
		w.step(st, i, rng, wrote, purged)
	}
	w.mu.Lock()
	clear(w.cut)
	w.breakAfter = nil
	w.mu.Unlock()
	w.settle()
	w.same("kept", true, sites...)
	w.same("plain", false, sites...)
	var have []ref
	if err := sites[2].store.Walk(context.Background(), "kept", "", func(r store.Replica, _ bool) error {
		have = append(have, refOf(&r.Version))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for r := range wrote {
		if slices.Contains(have, r) == purged[r] && r.Bucket == "kept" {
			t.Errorf("acknowledged %v (purged: %t) is there: %t", r, purged[r], !purged[r])
		}
	}
	for _, s := range sites {
		if res, err := s.store.Check(context.Background()); err != nil || res.Problems > 0 {
			t.Errorf("%s: %+v, %v", s.id, res, err)
		}
	}
}

// writer is the router that takes a region's writes: the others would send theirs on to it.
func (w *world) writer(id topo.RouterID) *site { return w.sites[w.topo.Owners[w.sites[id].region]] }

func (w *world) step(st step, i int, rng *rand.Rand, wrote, purged map[ref]bool) {
	ctx := context.Background()
	s, key := w.writer(st.site), fmt.Sprintf("k%d", st.n)
	other := topo.RouterID(st.n%4 + 1)
	switch st.kind {
	case "put":
		if v, _, err := s.tryPut(st.bucket, key, random(i, st.m*st.m/5)); err == nil {
			wrote[refOf(&v)] = true
		}
	case "delete":
		if v, _, err := s.store.Delete(ctx, st.bucket, key, noOptions); err == nil {
			wrote[refOf(&v)] = true
		}
	case "purge":
		page, err := s.store.List("kept", store.ListOptions{Versions: true})
		if err != nil {
			w.t.Fatal(err)
		}
		if n := len(page.Entries); n > 0 {
			v := page.Entries[st.m%n].Version
			if _, _, err := s.store.Purge(ctx, "kept", v.Key, v.ID, noOptions); err != nil {
				w.t.Fatal(err)
			}
			purged[refOf(&v)] = true
		}
	case "cut", "heal":
		w.partition(st.site, other, st.kind == "cut")
	case "crash":
		w.sites[st.site].crash(rng)
		w.set()
	case "restart":
		w.sites[st.site].restart()
		w.set()
	case "sleep":
		time.Sleep(time.Duration(st.m) * time.Millisecond)
	case "skew":
		s.clock.Restore(object.MakeHLC(time.Now().Add(time.Duration(st.m)*time.Second/4), 0))
	case "forget":
		// Everything that this router follows comes once more.
		s = w.sites[st.site]
		s.halt()
		s.reopen(func(st *store.Store) {
			cs, err := st.Cursors("follow/")
			for _, c := range cs {
				if err == nil {
					err = st.SetCursor(ctx, store.Cursor{Name: c.Name})
				}
			}
			if err != nil {
				w.t.Fatal(err)
			}
		})
		w.set()
	case "break":
		w.mu.Lock()
		n := 0
		w.breakAfter = func(topo.RouterID, topo.RouterID) int64 {
			if n++; n > 3 {
				return -1
			}
			return int64(200 * st.m)
		}
		w.mu.Unlock()
	}
}

// reopen changes a store while its router is down, and starts that.
func (s *site) reopen(change func(*store.Store)) {
	s.clock = &object.Clock{}
	st, err := store.Open(s.options())
	if err != nil {
		s.w.t.Fatal(err)
	}
	change(st)
	if err := st.Close(); err != nil {
		s.w.t.Fatal(err)
	}
	s.start()
}
