package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/galleon-net/galleon/replication/chunk"
	"github.com/galleon-net/galleon/replication/object"
)

// isChange says whether an operation changes the disk or makes a change durable.
func isChange(k errorfs.OpKind) bool {
	switch k {
	case errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo,
		errorfs.OpCreate, errorfs.OpRename, errorfs.OpLink, errorfs.OpRemove:
		return true
	}
	return false
}

const (
	crashWorkers = 3
	crashSteps   = 6
)

// state is what one worker's keys and cursor should be; nil bytes: no object.
type state map[string][]byte

func (s state) with(key string, data []byte) state {
	n := state{}
	for k, v := range s {
		n[k] = v
	}
	n[key] = data
	return n
}

// crashStep does the ith thing of worker w, and says what the state is if it works.
func crashStep(s *Store, w, i, large int, now state) (then state, err error) {
	ctx := context.Background()
	bucket := fmt.Sprint("worker", w)
	key := fmt.Sprintf("k%d", i%4)
	data := testData(uint64(w*1000+i), 3000+i)
	switch i % 6 {
	case 1:
		data = testData(uint64(w*1000+i), large)
	case 3:
		key = fmt.Sprintf("k%d", (i-1)%4)
		_, _, err = s.Delete(ctx, bucket, key, PutOptions{})
		return now.with(key, nil), err
	case 4:
		return crashReplicas(s, w, i, now)
	case 5:
		return crashUpload(s, bucket, key, w, i, large/15, now)
	}
	_, _, err = putBytes(s, bucket, key, data, PutOptions{})
	return now.with(key, data), err
}

// crashReplicas applies two versions and a cursor that must stand or fall together.
func crashReplicas(s *Store, w, i int, now state) (state, error) {
	bucket := fmt.Sprint("worker", w)
	cur := Cursor{Name: bucket, Value: fmt.Append(nil, i)}
	then := now.with("cursor", cur.Value)
	var batch []Replica
	lease := s.NewLease(0)
	defer lease.Release()
	for j := range 2 {
		key, data := fmt.Sprintf("replica%d", j), testData(uint64(w*1000+i*10+j), 2000)
		then = then.with(key, data)
		id := chunk.Hash(&s.opts.TenantKey, data)
		if err := lease.Put(id, data); err != nil {
			return then, err
		}
		batch = append(batch, Replica{Version: object.Version{
			Bucket: bucket, Key: key, ID: object.VersionID{Time: object.HLC(1000 + i), Origin: 9}, Region: "mx-queretaro", Size: 2000,
			Chunks: []object.ChunkRef{{ID: id, Size: 2000}},
		}})
	}
	n, err := s.ApplyReplica(context.Background(), batch, cur)
	if err == nil && n != 2 {
		err = fmt.Errorf("applied %d of 2", n)
	}
	return then, err
}

func crashUpload(s *Store, bucket, key string, w, i, size int, now state) (state, error) {
	ctx := context.Background()
	var whole []byte
	u, err := s.CreateUpload(ctx, Upload{Version: object.Version{Bucket: bucket, Key: key}})
	c := Complete{}
	for n := 1; n <= 2; n++ {
		data := testData(uint64(w*1000+i*10+n), size)
		whole = append(whole, data...)
		if err == nil {
			var p Part
			p, err = putPart(s, u, n, data)
			c.Parts = append(c.Parts, CompletePart{Number: n, ETag: p.ETag})
		}
	}
	if err == nil {
		_, _, err = s.CompleteUpload(ctx, bucket, key, u.ID, c, PutOptions{})
	}
	return now.with(key, whole), err
}

func putPart(s *Store, u Upload, n int, data []byte) (Part, error) {
	w := s.NewWriter(context.Background())
	defer w.Close()
	if _, err := w.Write(data); err != nil {
		return Part{}, err
	}
	b, err := w.Finish()
	if err != nil {
		return Part{}, err
	}
	return s.PutPart(context.Background(), u.Version.Bucket, u.Version.Key, u.ID, n, b, nil)
}

// history is what the workers did: states[w][n] is worker w's after n steps, acked[w] how many steps were
// acknowledged so far.
type history struct {
	large  int // size of some objects in bytes
	states [crashWorkers][]state
	acked  [crashWorkers]atomic.Int64
}

// run lets the workers work until they are done or a step fails.
func (h *history) run(s *Store) {
	var wg sync.WaitGroup
	for w := range crashWorkers {
		h.states[w] = []state{{}}
		wg.Go(func() {
			for i := range crashSteps {
				then, err := crashStep(s, w, i, h.large, h.states[w][i])
				h.states[w] = append(h.states[w], then)
				if err != nil {
					return
				}
				h.acked[w].Store(int64(i + 1))
			}
		})
	}
	wg.Wait()
}

// crash is the disk as a power cut left it, and what was acknowledged by then.
type crash struct {
	op    int
	disk  *vfs.MemFS
	acked [crashWorkers]int64
}

// powerCuts takes a picture of the disk before every change to it, with none, half or all of what was not
// synced having reached it.
type powerCuts struct {
	mem  *vfs.MemFS
	hist *history
	step int

	mu    sync.Mutex
	ops   int
	taken []crash
}

func (p *powerCuts) String() string { return "power cuts" }

func (p *powerCuts) MaybeError(op errorfs.Op) error {
	if !isChange(op.Kind) {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ops++; p.ops%p.step != 0 {
		return nil
	}
	c := crash{op: p.ops}
	for w := range c.acked {
		c.acked[w] = p.hist.acked[w].Load() // before the picture: more may be on it, never less
	}
	c.disk = p.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: p.ops / p.step % 3 * 50, RNG: rand.New(rand.NewPCG(uint64(p.ops), 1))})
	p.taken = append(p.taken, c)
	return nil
}

func crashOptions(fs vfs.FS) Options {
	o := testOptions(fs)
	o.CacheBytes = 1 << 20
	o.memTable = 256 << 10 // so that log files end and tables are written in the middle of it
	o.Versioned = nil
	return o
}

// TestPowerCut cuts the power before every single change of the disk, and looks at what the next start finds:
// all that was acknowledged, and of what was under way all or nothing.
func TestPowerCut(t *testing.T) {
	hist := &history{large: 700_000} // more chunks than a record holds
	cuts := &powerCuts{mem: vfs.NewCrashableMem(), hist: hist, step: 1}
	if testing.Short() {
		cuts.step = 11
	}
	s, err := Open(crashOptions(errorfs.Wrap(cuts.mem, cuts)))
	if err != nil {
		t.Fatal(err)
	}
	hist.run(s)
	if _, err := s.GC(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for w := range crashWorkers {
		if n := hist.acked[w].Load(); n != crashSteps {
			t.Fatalf("worker %d stopped after %d steps", w, n)
		}
	}
	t.Logf("%d changes of the disk, %d power cuts", cuts.ops, len(cuts.taken))
	for i := range cuts.taken {
		if c := &cuts.taken[i]; !t.Failed() {
			hist.verify(t, c.op, c.disk, c.acked)
			c.disk = nil
		}
	}
}

// verify starts a store on what a crash left behind.
func (h *history) verify(t *testing.T, op int, disk *vfs.MemFS, acked [crashWorkers]int64) {
	t.Helper()
	s, err := Open(crashOptions(disk))
	if err != nil {
		t.Fatalf("change %d: open after the crash: %v", op, err)
	}
	defer s.Close()
	for w := range crashWorkers {
		got := crashState(t, s, w)
		if len(h.states[w]) > 0 && !slices.ContainsFunc(h.states[w][acked[w]:], got.equal) {
			t.Errorf("change %d, worker %d: found %v, acknowledged %v", op, w, got, h.states[w][acked[w]])
		}
	}
	if _, err := s.GC(context.Background()); err != nil {
		t.Errorf("change %d: collect after the crash: %v", op, err)
	}
	mustCheck(t, s)
	for w := range crashWorkers {
		if _, err := crashStep(s, w, crashSteps*6, h.large, nil); err != nil {
			t.Errorf("change %d: the next write: %v", op, err)
		}
	}
}

var errInjected = errors.New("injected disk error")

// faultyDisk fails changes of files from the nth on: only that one, or all that follow.
type faultyDisk struct {
	count atomic.Int64
	nth   int64 // 0: none
	once  bool
}

func (f *faultyDisk) String() string { return "faulty disk" }

func (f *faultyDisk) MaybeError(op errorfs.Op) error {
	if !isChange(op.Kind) || f.nth == 0 {
		return nil
	}
	if n := f.count.Add(1); n == f.nth || n > f.nth && !f.once {
		return errInjected
	}
	return nil
}

// TestDiskError fails every write and sync in turn. The store must say so, acknowledge nothing more, and
// be whole after the restart. Objects are small enough here that no log file ends: Pebble answers an error
// at that point with a panic that ends the process, which TestPowerCut has covered.
func TestDiskError(t *testing.T) {
	for _, once := range []bool{false, true} {
		step := int64(1)
		if testing.Short() {
			step = 7
		}
		for n := int64(1); !t.Failed() && !diskErrorAt(t, n, once); n += step {
		}
	}
}

func diskErrorAt(t *testing.T, n int64, once bool) (untouched bool) {
	t.Helper()
	mem := vfs.NewCrashableMem()
	disk := &faultyDisk{once: once}
	o := crashOptions(errorfs.Wrap(mem, disk))
	failed := make(chan error, 1)
	o.Fatal = func(err error) { failed <- err }
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	disk.nth = n
	hist := &history{large: 5000}
	hist.run(s)
	var acked [crashWorkers]int64
	for w := range acked {
		acked[w] = hist.acked[w].Load()
	}
	if untouched = disk.count.Load() < n; untouched {
		t.Logf("%d writes and syncs", disk.count.Load())
		disk.nth = 0
		return s.Close() == nil
	}
	if err := <-failed; !strings.Contains(err.Error(), errInjected.Error()) {
		t.Errorf("write %d: failed with %v", n, err)
	}
	if _, _, err := putBytes(s, testBucket, "k", []byte("x"), PutOptions{}); !errors.Is(err, ErrFailed) {
		t.Errorf("write %d: a put after the failure: %v", n, err)
	}
	if err := s.Close(); !errors.Is(err, ErrFailed) {
		t.Errorf("write %d: close after the failure: %v", n, err)
	}
	after := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: int(n % 3 * 50), RNG: rand.New(rand.NewPCG(uint64(n), 1))})
	hist.verify(t, int(n), after, acked)
	return false
}

func (s state) equal(w state) bool {
	for k := range s {
		if w[k] == nil && s[k] != nil {
			return false
		}
	}
	for k, v := range w {
		if !bytes.Equal(v, s[k]) {
			return false
		}
	}
	return true
}

func (s state) String() (out string) {
	for k, v := range s {
		out += fmt.Sprintf("%s:%d/%x ", k, len(v), chunk.Sum(v))[:len(k)+8]
	}
	return out
}

// crashState reads all of a worker's objects, each byte of them, and its cursor.
func crashState(t *testing.T, s *Store, w int) state {
	t.Helper()
	bucket := fmt.Sprint("worker", w)
	got := state{}
	page, err := s.List(bucket, ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Entries {
		b, err := readBytes(s, e.Version)
		if err != nil {
			t.Fatalf("listed but not readable: %v", err)
		}
		got[e.Version.Key] = b
	}
	if c, err := s.Cursor(bucket); err == nil {
		got["cursor"] = c
	}
	return got
}
