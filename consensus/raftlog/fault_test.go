package raftlog

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/hashicorp/raft"
)

func mkdir(t testing.TB, dir string, n int) string {
	t.Helper()
	d := filepath.Join(dir, strconv.Itoa(n))
	if err := os.MkdirAll(d, 0o700); err != nil {
		t.Fatal(err)
	}
	return d
}

// step is one thing that Raft does to its stores.
type step struct {
	name string
	do   func(both) error
}

// life is a follower's: it appends, is overruled, votes, is compacted, installs a snapshot.
func life() []step {
	var steps []step
	add := func(name string, do func(both) error) { steps = append(steps, step{name, do}) }
	appendTo := func(from, to, term uint64) {
		add(fmt.Sprintf("append %d-%d", from, to), func(s both) error {
			var logs []*raft.Log
			for i := from; i <= to; i++ {
				logs = append(logs, entry(i, term))
			}
			return s.StoreLogs(logs)
		})
	}
	remove := func(lo, hi uint64) {
		add(fmt.Sprintf("remove %d-%d", lo, hi), func(s both) error { return s.DeleteRange(lo, hi) })
	}
	term := func(n uint64) {
		add(fmt.Sprintf("term %d", n), func(s both) error { return s.SetUint64([]byte("CurrentTerm"), n) })
	}
	term(1)
	appendTo(1, 8, 1)
	appendTo(9, 9, 1)
	term(2)
	remove(7, 9)
	appendTo(7, 12, 2)
	remove(1, 5)
	term(3)
	remove(6, 12)
	appendTo(40, 44, 3)
	return steps
}

// The disk fails at the n-th write, for every n. The failing step says so, the process is told to end
// once, nothing is accepted afterwards, and what had been acknowledged is there when the disk is back.
func TestEveryWriteFails(t *testing.T) {
	for n := int32(0); ; n++ {
		mem := vfs.NewCrashableMem()
		var writes atomic.Int32
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
				return nil
			}
			if writes.Add(1) == n+1 {
				return errorfs.ErrInjected
			}
			return nil
		}))
		var fatal atomic.Int32
		s, err := Open(Options{Dir: "raft", FS: fs, Fatal: func(error) { fatal.Add(1) }})
		if err != nil {
			continue
		}
		oracle, done := newBolt(t, t.TempDir()), 0
		var failedAt error
		for _, st := range life() {
			if failedAt = st.do(s); failedAt != nil {
				break
			}
			if err := st.do(oracle); err != nil {
				t.Fatal(err)
			}
			done++
		}
		if failedAt == nil {
			if done != len(life()) {
				t.Fatalf("write %d: stopped after %d steps without an error", n, done)
			}
			s.Close()
			if writes.Load() <= n {
				return // the run was over before its n-th write
			}
			continue // a write failed that was not needed, like a preallocation
		}
		if fatal.Load() != 1 {
			t.Fatalf("write %d: %v, and the process was told to end %d times", n, failedAt, fatal.Load())
		}
		if err := s.StoreLog(entry(99, 9)); !errors.Is(err, ErrFailed) {
			t.Fatalf("write %d: a failed store took another entry: %v", n, err)
		}
		// What is on disk is the state after done steps, or with the failed one too.
		back := mustOpen(t, mem.CrashClone(vfs.CrashCloneCfg{}))
		diff := compare(back, oracle)
		if diff != "" {
			if err := life()[done].do(oracle); err != nil {
				t.Fatal(err)
			}
			if also := compare(back, oracle); also != "" {
				t.Fatalf("write %d failed in %q; afterwards %s; with that step %s", n, life()[done].name, diff, also)
			}
		}
		back.Close()
	}
}

// Power is cut at every single file operation, with any part of what was not synced kept. What Raft
// was told is safe is there.
func TestCrashAnywhere(t *testing.T) {
	mem := vfs.NewCrashableMem()
	type crash struct {
		fs   *vfs.MemFS
		done int
	}
	var crashes []crash
	var done atomic.Int32
	done.Store(-1)
	rng := rand.New(rand.NewPCG(1, 2))
	fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if d := done.Load(); d >= 0 && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			for _, percent := range []int{0, 50, 100} {
				crashes = append(crashes, crash{mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}), int(d)})
			}
		}
		return nil
	}))
	s := mustOpen(t, fs)
	steps := life()
	done.Store(0)
	for i, st := range steps {
		if err := st.do(s); err != nil {
			t.Fatal(err)
		}
		done.Store(int32(i + 1))
	}
	done.Store(-1)
	s.Close()
	if len(crashes) < 3*len(steps) {
		t.Fatalf("only %d crashes for %d steps: the injector misses the writes", len(crashes), len(steps))
	}
	for i, c := range crashes {
		oracle := newBolt(t, t.TempDir())
		for _, st := range steps[:c.done] {
			if err := st.do(oracle); err != nil {
				t.Fatal(err)
			}
		}
		back := mustOpen(t, c.fs)
		if diff := compare(back, oracle); diff != "" && c.done < len(steps) {
			if err := steps[c.done].do(oracle); err != nil {
				t.Fatal(err)
			}
			if also := compare(back, oracle); also != "" {
				t.Fatalf("crash %d after %d steps (next %q): %s; with it %s", i, c.done, steps[c.done].name, diff, also)
			}
		} else if diff != "" {
			t.Fatalf("crash %d after all steps: %s", i, diff)
		}
		back.Close()
	}
}

// hangFS is a disk whose syncs wait for release once hang is set.
type hangFS struct {
	vfs.FS
	hang    atomic.Bool
	release chan struct{}
}

type hangFile struct {
	vfs.File
	fs *hangFS
}

func (h *hangFS) wait() {
	if h.hang.Load() {
		<-h.release
	}
}

func (h *hangFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := h.FS.Create(name, c)
	return hangFile{f, h}, err
}

func (f hangFile) Sync() error     { f.fs.wait(); return f.File.Sync() }
func (f hangFile) SyncData() error { f.fs.wait(); return f.File.SyncData() }
func (f hangFile) SyncTo(n int64) (bool, error) {
	f.fs.wait()
	return f.File.SyncTo(n)
}

func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := &hangFS{FS: vfs.NewMem(), release: make(chan struct{})}
		var fatal atomic.Pointer[error]
		s, err := Open(Options{Dir: "raft", FS: fs, Fatal: func(err error) { fatal.Store(&err) }})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.StoreLog(entry(1, 1)); err != nil {
			t.Fatal(err)
		}
		fs.hang.Store(true)
		result := make(chan error, 1)
		go func() { result <- s.StoreLog(entry(2, 1)) }()
		time.Sleep(DefaultWriteLimit - time.Millisecond)
		synctest.Wait()
		if fatal.Load() != nil {
			t.Fatalf("ended before the limit: %v", *fatal.Load())
		}
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if p := fatal.Load(); p == nil || !strings.Contains((*p).Error(), "the disk hangs") {
			t.Fatal("a write that hangs for ten seconds did not end the process")
		}
		close(fs.release)
		if err := <-result; !errors.Is(err, ErrFailed) {
			t.Fatalf("the write that hung: %v, want ErrFailed", err)
		}
		s.db.Close()
	})
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name, want string
		harm       func(*pebble.DB) error
	}{
		{"a hole", "entries 3 to 3 are missing", func(db *pebble.DB) error { return db.Delete(logKey(3), pebble.Sync) }},
		{"a misplaced entry", "entry 6 is damaged", func(db *pebble.DB) error { return db.Set(logKey(6), encode(entry(5, 1)), pebble.Sync) }},
		{"a later format", "not known to this version", func(db *pebble.DB) error { return db.Set([]byte{keyFormat}, []byte{9}, pebble.Sync) }},
		{"a foreign key", "want 9 bytes", func(db *pebble.DB) error { return db.Set([]byte("lx"), nil, pebble.Sync) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := vfs.NewMem()
			s := mustOpen(t, fs)
			for i := uint64(1); i <= 5; i++ {
				if err := s.StoreLog(entry(i, 1)); err != nil {
					t.Fatal(err)
				}
			}
			if err := c.harm(s.db); err != nil {
				t.Fatal(err)
			}
			s.Close()
			if s, err := Open(Options{Dir: "raft", FS: fs}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("opened %v, %v; want an error about %q", s, err, c.want)
			}
		})
	}
}

func TestGapIsFatal(t *testing.T) {
	for name, do := range map[string]func(*Store) error{
		"gap":    func(s *Store) error { return s.StoreLog(entry(7, 1)) },
		"repeat": func(s *Store) error { return s.StoreLog(entry(5, 1)) },
		"hole":   func(s *Store) error { return s.DeleteRange(2, 3) },
	} {
		t.Run(name, func(t *testing.T) {
			fatal := 0
			s, err := Open(Options{Dir: "raft", FS: vfs.NewMem(), Fatal: func(error) { fatal++ }})
			if err != nil {
				t.Fatal(err)
			}
			for i := uint64(1); i <= 5; i++ {
				if err := s.StoreLog(entry(i, 1)); err != nil {
					t.Fatal(err)
				}
			}
			if err := do(s); err == nil || fatal != 1 {
				t.Errorf("%v, told to end %d times", err, fatal)
			}
			if _, err := s.LastIndex(); !errors.Is(err, ErrFailed) {
				t.Errorf("a failed store still answers: %v", err)
			}
			s.db.Close()
		})
	}
}
