package replication

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// TestCutAnywhere breaks every stream after n bytes, for n from less than one batch up, until all is there. What
// has arrived is not sent again: the bytes on the wire stay near those of one undisturbed run.
func TestCutAnywhere(t *testing.T) {
	const objects, size, large = 60, 20_000, 3_000_000
	run := func(t *testing.T, n int64) (bytes int64, dials int) {
		synctest.Test(t, func(t *testing.T) {
			w, a, b := pair(t)
			defer w.close()
			w.change(func() { w.breakAfter = func(topo.RouterID, topo.RouterID) int64 { return n } })
			for i := range objects {
				a.put("plain", fmt.Sprintf("o%d", i), random(i, size))
			}
			a.put("plain", "large", random(1000, large))
			w.set()
			w.until(10*time.Minute, "all is there", func() bool { return b.store.Stats().Objects == objects+1 })
			w.same("plain", true, a, b)
			bytes, dials = w.sent(), w.dials
		})
		return bytes, dials
	}
	whole, _ := run(t, -1)
	if whole > (objects*size+large)*102/100 {
		t.Errorf("%d bytes on the wire for %d of objects", whole, objects*size+large)
	}
	for _, n := range []int64{150_000, 150_001, 190_000, 256_000, 400_000, 777_777, 1_000_000, 2_500_000, whole - 1, whole - 100} {
		got, dials := run(t, n)
		// Each break loses the frame under way, which is small at the beginning of a stream and chunkFrame later, and
		// tells the versions of the batches under way again.
		lost := int64(dials) * (min(n/2, chunkFrame) + 60_000)
		if limit := whole*102/100 + lost; got > limit {
			t.Errorf("cut after %d bytes: %d streams carried %d bytes, %d undisturbed, want at most %d", n, dials, got, whole, limit)
		}
		t.Logf("cut after %7d bytes: %2d streams, %.3f of the bytes of one", n, dials, float64(got)/float64(whole))
	}
}

// TestCutChunksStay says it exactly: an object of many chunks, one break in the middle; no chunk that
// arrived before crosses again.
func TestCutChunksStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.close()
		w.change(func() { w.latency, w.rate = 100*time.Millisecond, 1<<20 })
		a.put("plain", "large", random(1, 8<<20))
		w.set()
		chunks := func() int64 { return b.store.Stats().Chunks }
		time.Sleep(5 * time.Second)
		before := b.stored(t, a)
		if before < 2<<20 || before > 6<<20 {
			t.Fatalf("%d bytes after 5 s at 1 MiB/s, chunks %d", before, chunks())
		}
		sent := w.sent()
		w.partition(1, 2, true)
		time.Sleep(time.Second)
		// What arrived is held, although no version names it yet.
		if res, err := b.store.GC(t.Context()); err != nil || res.FreedChunks != 0 {
			t.Errorf("collected %+v, %v", res, err)
		}
		before = b.stored(t, a)
		w.partition(1, 2, false)
		w.settle()
		if got, want := w.sent()-sent, int64(8<<20)-before; got > want+100_000 {
			t.Errorf("%d bytes after the break, %d were missing", got, want)
		}
		w.same("plain", true, a, b)
		// And not for ever: the policy ends in the middle of the next one.
		a.put("plain", "large2", random(2, 8<<20))
		time.Sleep(3 * time.Second)
		w.topo.Policies = nil
		w.set()
		time.Sleep(time.Second)
		if res, err := b.store.GC(t.Context()); err != nil || res.FreedChunks == 0 {
			t.Errorf("after the policy collected %+v, %v", res, err)
		}
	})
}

// stored adds up the chunks of everything in a's store that are here.
func (s *site) stored(t *testing.T, a *site) (n int64) {
	t.Helper()
	err := a.store.Walk(t.Context(), "plain", "", func(r store.Replica, _ bool) error {
		for _, c := range r.Version.Chunks {
			if _, err := s.store.GetChunk(c.ID, nil); err == nil {
				n += int64(c.Size)
				continue
			}
			// Not synced is not in the view yet; ask for the chunk itself.
			l := s.store.NewLease(0)
			if m, err := l.Missing([]object.ChunkID{c.ID}); err == nil && len(m) == 0 {
				n += int64(c.Size)
			}
			l.Release()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// nthWrite takes a picture of the disk as a crash would leave it, at one write.
type nthWrite struct {
	mem *vfs.MemFS
	nth int

	mu    sync.Mutex
	count int
	disk  *vfs.MemFS
}

func (n *nthWrite) String() string { return "crash" }

func (n *nthWrite) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo, errorfs.OpCreate, errorfs.OpRename, errorfs.OpRemove:
	default:
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.count++; n.count == n.nth {
		n.disk = n.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: n.nth % 3 * 50, RNG: rand.New(rand.NewPCG(uint64(n.nth), 1))})
	}
	return nil
}

// TestCrashAnywhere crashes the destination at every few writes to its disk, and goes on from what is left.
func TestCrashAnywhere(t *testing.T) {
	total := 0
	for nth := 1; nth == 1 || nth <= total; nth += 1 + nth/6 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			a, b := w.add(1, "a"), w.add(2, "b")
			defer w.close()
			w.policy(object.Policy{Name: "p", Bucket: "kept", From: everywhere, To: everywhere})
			b.halt()
			probe := &nthWrite{mem: vfs.NewCrashableMem(), nth: nth}
			b.mem, b.fs = probe.mem, errorfs.Wrap(probe.mem, probe)
			b.start()
			for i := range 30 {
				a.put("kept", fmt.Sprintf("k%d", i%11), random(i, i*1000))
			}
			w.set()
			w.settle()
			a.del("kept", "k1")
			for i := range 10 {
				a.put("kept", fmt.Sprintf("n%d", i), random(50+i, 70_000))
			}
			w.settle()
			total = probe.count
			if probe.disk == nil {
				return
			}
			b.halt()
			b.mem, b.fs = probe.disk, probe.disk
			b.start()
			w.settle()
			w.same("kept", true, a, b)
		})
	}
	if total < 20 {
		t.Errorf("only %d writes", total)
	}
}

// TestCrashBothWhileBusy crashes source and destination in turn while writes and copies run.
func TestCrashBothWhileBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, b := w.add(1, "a"), w.add(2, "b")
		defer w.close()
		w.change(func() { w.rate = 4 << 20 })
		w.policy(object.Policy{Name: "p", Bucket: "kept", From: everywhere, To: everywhere})
		w.set()
		rng := rand.New(rand.NewPCG(1, 2))
		acked := map[string][]byte{}
		for i := range 12 {
			for j := range 6 {
				k := fmt.Sprintf("k%d", rng.IntN(20))
				acked[k] = random(i*10+j, rng.IntN(400_000))
				a.put("kept", k, acked[k])
			}
			time.Sleep(time.Duration(rng.IntN(800)) * time.Millisecond)
			if i%2 == 0 {
				b.crash(rng)
			} else {
				a.crash(rng)
			}
			w.set()
		}
		w.settle()
		w.same("kept", true, a, b)
		for k, want := range acked {
			w.has(a, "kept", k, want)
		}
	})
}

// TestNewStoreIsRecognised loses the source's disk: the destination walks what is there now, and keeps what it
// has.
func TestNewStoreIsRecognised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.close()
		for i := range 20 {
			a.put("kept", fmt.Sprintf("k%d", i), []byte("first"))
		}
		w.set()
		w.settle()
		a.halt()
		a.mem = vfs.NewCrashableMem()
		a.fs = a.mem
		a.start()
		for i := range 5 {
			a.put("kept", fmt.Sprintf("n%d", i), []byte("second"))
		}
		w.set()
		w.settle()
		w.has(b, "kept", "n4", []byte("second"))
		w.has(b, "kept", "k7", []byte("first"))
	})
}

// TestNewIncarnation restores the source from a backup: sequences of the time before mean something else.
func TestNewIncarnation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.close()
		a.put("kept", "k0", []byte("0"))
		w.set()
		w.settle()
		backup := a.mem.CrashClone(vfs.CrashCloneCfg{})
		for i := range 20 {
			a.put("kept", fmt.Sprintf("lost%d", i), []byte("lost"))
		}
		w.settle()
		a.halt()
		a.mem, a.fs = backup, backup
		a.clock = &object.Clock{}
		o := a.options()
		o.NewIncarnation = true
		st, err := store.Open(o)
		if err != nil {
			t.Fatal(err)
		}
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		a.start()
		for i := range 5 {
			a.put("kept", fmt.Sprintf("n%d", i), []byte("new"))
		}
		w.set()
		w.settle()
		w.has(b, "kept", "n0", []byte("new"))
		w.has(b, "kept", "lost3", []byte("lost"))
	})
}

// TestTrimmedLogMeansWalk trims the log behind the back of a destination that is away.
func TestTrimmedLogMeansWalk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.close()
		a.put("kept", "k", []byte("1"))
		w.set()
		w.settle()
		w.partition(1, 2, true)
		for i := range 30 {
			a.put("kept", fmt.Sprintf("k%d", i), []byte("2"))
		}
		_, next := a.store.LogRange()
		// By itself the engine keeps what a destination that is away has not seen.
		a.trim()
		if first, _ := a.store.LogRange(); first != 2 {
			t.Errorf("log begins at %d after a trim, want 2: a destination is behind", first)
		}
		if err := a.store.TrimLog(context.Background(), next); err != nil {
			t.Fatal(err)
		}
		w.partition(1, 2, false)
		w.settle()
		w.same("kept", true, a, b)
		if err := a.engine.TrimLog(t.Context()); err != nil {
			t.Fatal(err)
		}
		if first, old := a.store.LogRange(); first != next {
			t.Errorf("log is %d to %d within a day of the last write", first, old)
		}
		a.trim()
		if first, next := a.store.LogRange(); first != next {
			t.Errorf("log is %d to %d although every destination has all", first, next)
		}
	})
}

// TestJoinLater walks a new destination in while writes go on, in a bucket with keys of many versions.
func TestJoinLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.close()
		for i := range 700 {
			a.put("kept", fmt.Sprintf("k%d", i%3), fmt.Appendf(nil, "version %d", i))
		}
		for i := range 300 {
			a.put("plain", fmt.Sprintf("p%03d", i), random(i, 2000))
		}
		w.set()
		w.settle()
		w.change(func() { w.latency = 100 * time.Millisecond })
		c := w.add(3, "c")
		w.set()
		for i := range 200 {
			a.put("kept", fmt.Sprintf("k%d", i%5), fmt.Appendf(nil, "later %d", i))
			a.put("plain", fmt.Sprintf("p%03d", (i*7)%400), random(i, 3000))
			time.Sleep(10 * time.Millisecond)
		}
		w.settle()
		w.same("kept", true, a, b, c)
		w.same("plain", false, a, b, c)
		if !bytes.Equal(c.get("kept", "k4"), []byte("later 199")) {
			t.Errorf("k4 at c: %q", c.get("kept", "k4"))
		}
	})
}

// TestSlowDisk: a destination whose disk takes its time for every write is slow, and its streams stay.
func TestSlowDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, a, b := pair(t)
		defer w.close()
		for i := range 300 {
			a.put("kept", fmt.Sprintf("k%d", i), random(i, 3000))
		}
		// The store asks for room before each write. A frame of chunks takes longer than silence.
		w.mu.Lock()
		b.delay = 300 * time.Millisecond
		w.mu.Unlock()
		w.set()
		w.until(time.Hour, "all is there", func() bool { return b.store.Stats().Objects == 300 })
		w.settle()
		if n := b.count("flow-broken"); n != 0 {
			t.Errorf("streams broke %d times", n)
		}
		w.same("kept", true, a, b)
	})
}
