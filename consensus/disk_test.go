package consensus

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/fabric/topo"
)

// hanging is a disk that stands still while hang is set, for one router.
type hanging struct {
	vfs.FS
	hang    *atomic.Bool
	release chan struct{}
}

type hangingFile struct {
	vfs.File
	h hanging
}

func (h hanging) wait() {
	if h.hang.Load() {
		<-h.release
	}
}

func (h hanging) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	h.wait()
	f, err := h.FS.Create(name, c)
	return hangingFile{f, h}, err
}

func (f hangingFile) Sync() error     { f.h.wait(); return f.File.Sync() }
func (f hangingFile) SyncData() error { f.h.wait(); return f.File.SyncData() }
func (f hangingFile) SyncTo(n int64) (bool, error) {
	f.h.wait()
	return f.File.SyncTo(n)
}

// A leader whose disk hangs keeps its lease and commits nothing. Its watchdog ends it, and the others
// choose another.
func TestLeaderWhoseDiskHangs(t *testing.T) {
	var hang [4]atomic.Bool
	release := make(map[topo.RouterID]chan struct{})
	inWorld(t, 3, 3, func(w *world) {
		for id := topo.RouterID(1); id <= 3; id++ {
			release[id] = make(chan struct{})
		}
		w.wrapFor = func(id topo.RouterID, fs vfs.FS) vfs.FS { return hanging{fs, &hang[id], release[id]} }
	}, func(w *world) {
		l := w.waitLeader()
		w.propose(l, createBucket("before"))
		hang[l].Store(true)
		begin := time.Now()
		done := make(chan error, 1)
		go func() {
			r := w.propose(l%3+1, createBucket("after"))
			if r.Err != nil {
				done <- r.Err
				return
			}
			done <- nil
		}()
		w.eventually(20*time.Second, "the watchdog ends the leader", func() bool {
			w.mu.Lock()
			defer w.mu.Unlock()
			return len(w.fatal) > 0
		})
		w.mu.Lock()
		if took := time.Since(begin); !strings.Contains(w.fatal[0].Error(), "the disk hangs") || took > 11*time.Second {
			t.Errorf("%v after %v", w.fatal[0], took)
		}
		w.fatal = nil
		w.mu.Unlock()
		// The process ends.
		halted := make(chan struct{})
		go func() {
			w.crash(l, 0)
			close(halted)
		}()
		synctest.Wait()
		hang[l].Store(false)
		close(release[l])
		<-halted
		if err := <-done; err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("the cluster stood still for %v", took)
		}
		release[l] = make(chan struct{})
		w.start(l)
		w.agree()
		w.mu.Lock()
		w.fatal = nil // what the ended process said on its way out
		w.mu.Unlock()
	})
}

// How long the cluster is without a leader when the one that it has dies, for each tier of distances.
func TestFailover(t *testing.T) {
	for tier, rtt := range []time.Duration{40 * ms, 90 * ms, 180 * ms, 290 * ms} {
		var took []time.Duration
		for range failovers {
			inWorld(t, 4, 3, func(w *world) {
				w.tier = tier
				for a := topo.RouterID(1); a <= 4; a++ {
					for b := a + 1; b <= 4; b++ {
						w.wire.setRTT(a, b, rtt)
					}
				}
			}, func(w *world) {
				l := w.waitLeader()
				w.propose(4, createBucket("before"))
				begin := time.Now()
				w.crash(l, 0)
				w.propose(4, createBucket("after"))
				took = append(took, time.Since(begin))
			})
		}
		slices.Sort(took)
		longest := took[len(took)-1]
		// Two elections may fail before one that does not, and the client waits a second between tries.
		if most := 2*tiers[tier].Heartbeat + 4*tiers[tier].Election + 8*rtt + retryMost; longest > most {
			t.Errorf("RTT %v: %v without a leader, expected at most %v", rtt, longest, most)
		}
		t.Logf("RTT %v: from the leader's death to the next command's answer: median %v, longest of %d %v",
			rtt, took[len(took)/2].Round(10*ms), len(took), longest.Round(10*ms))
	}
}

const failovers = 9

func TestSnapshotStore(t *testing.T) {
	fs := vfs.NewCrashableMem()
	var damaged int
	open := func(fs vfs.FS) *snapshots {
		s, err := openSnapshots(fs, "snaps", func(Event) { damaged++ })
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open(fs)
	take := func(index uint64, data string) error {
		k, err := s.Create(1, index, 2, raft.Configuration{Servers: []raft.Server{{ID: "r1-aa", Address: "r1"}}}, index-1, nil)
		if err != nil {
			return err
		}
		if _, err := k.Write([]byte(data)); err != nil {
			return err
		}
		return k.Close()
	}
	for i, data := range []string{"one", "two", "three"} {
		if err := take(uint64(10+i), data); err != nil {
			t.Fatal(err)
		}
	}
	k, _ := s.Create(1, 99, 2, raft.Configuration{}, 1, nil)
	_, _ = k.Write([]byte("never"))
	_ = k.Cancel()
	back := open(fs.CrashClone(vfs.CrashCloneCfg{}))
	list, err := back.List()
	if err != nil || len(list) != 2 || list[0].Index != 12 || list[0].ConfigurationIndex != 11 || back.configured() != 11 || list[0].Size != 5 {
		t.Fatalf("%+v, %v", list, err)
	}
	if _, r, err := back.Open(list[0].ID); err != nil {
		t.Fatal(err)
	} else {
		b := make([]byte, 9)
		if n, _ := r.Read(b); string(b[:n]) != "three" {
			t.Errorf("read %q", b[:n])
		}
	}
	// A damaged one is passed over for the one before it; when none is whole that is an error.
	for i, name := range []string{list[0].ID, list[1].ID} {
		path := "snaps/" + name + snapshotSuffix
		b, err := readFile(back.fs, path, maxImage)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/2] ^= 4
		if err := writeFile(back.fs, path, b); err != nil {
			t.Fatal(err)
		}
		rest, err := back.List()
		if i == 0 && (err != nil || len(rest) != 1 || rest[0].Index != 11) || i == 1 && err == nil {
			t.Errorf("with %d damaged: %+v, %v", i+1, rest, err)
		}
	}
	if damaged == 0 {
		t.Error("nobody was told")
	}
}
