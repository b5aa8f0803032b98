package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galleon-net/galleon/replication/chunk"
	"github.com/galleon-net/galleon/replication/object"
)

func mustGC(t testing.TB, s *Store) GCResult {
	t.Helper()
	res, err := s.GC(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func TestGCKeepsWhatIsNeeded(t *testing.T) {
	s := openTest(t, testOptions(vfs.NewMem()))
	ctx := context.Background()
	shared := testData(1, 400_000)
	a := mustPut(t, s, "versioned", "a", shared)
	mustPut(t, s, "versioned", "b", append(bytes.Clone(shared), "tail"...))
	if st := s.Stats(); st.DedupRatio < 1.5 {
		t.Errorf("two objects that share nearly all have a ratio of %.2f", st.DedupRatio)
	}
	w := s.NewWriter(ctx) // an upload under way
	if _, err := w.Write(testData(2, 3_000_000)); err != nil {
		t.Fatal(err)
	}
	if res := mustGC(t, s); res.FreedChunks != 0 {
		t.Errorf("freed %d chunks of a writer at work", res.FreedChunks)
	}
	w.Close()
	if res := mustGC(t, s); res.FreedChunks == 0 || res.FreedBytes > 3_000_000 {
		t.Errorf("after an abort: %+v", res)
	}
	if _, _, err := s.Purge(ctx, "versioned", "a", a.ID, PutOptions{}); err != nil {
		t.Fatal(err)
	}
	mustGC(t, s)
	if got := mustRead(t, s, "versioned", "b"); !bytes.Equal(got[:len(shared)], shared) {
		t.Error("the other object lost shared bytes")
	}
	before := s.Stats()
	if res := mustGC(t, s); res.Chunks != before.Chunks {
		t.Errorf("%d chunks on the disk, the statistics say %d", res.Chunks, before.Chunks)
	}
	mustCheck(t, s)
}

func TestLeaseForPeersEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(testOptions(vfs.NewMem()))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		data := []byte("a chunk that a peer was told of")
		id := chunk.Hash(&s.opts.TenantKey, data)
		if err := s.NewLease(time.Hour).Put(id, data); err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Minute)
		if res := mustGC(t, s); res.FreedChunks != 0 {
			t.Error("freed under a lease")
		}
		time.Sleep(2 * time.Minute)
		if res := mustGC(t, s); res.FreedChunks != 1 {
			t.Error("still there when the lease had ended")
		}
		if _, err := s.GetChunk(id, nil); !errors.Is(err, ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}

// A tombstone and what it hides go when retention is over and everybody has passed them in the log, not before.
func TestTombstonesAreTrimmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := context.Background()
		o := testOptions(vfs.NewMem())
		o.Retention, o.UploadRetention = time.Hour, time.Hour
		s, err := Open(o)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		mustPut(t, s, testBucket, "k", []byte("1"))
		mustPut(t, s, testBucket, "k", []byte("2"))
		if _, _, err := s.Delete(ctx, testBucket, "k", PutOptions{}); err != nil {
			t.Fatal(err)
		}
		mustPut(t, s, testBucket, "other", []byte("1"))
		mustPut(t, s, testBucket, "other", []byte("2"))
		mustPut(t, s, "versioned", "k", []byte("1"))
		mustPut(t, s, "versioned", "k", []byte("2"))
		old := object.Version{Bucket: testBucket, Key: "other", Region: "mx-queretaro", ID: object.VersionID{Time: 1, Origin: 9}}
		if _, err := s.ApplyReplica(ctx, []Replica{{Version: old}}, Cursor{}); err != nil {
			t.Fatal(err)
		}
		u, err := s.CreateUpload(ctx, Upload{Version: object.Version{Bucket: testBucket, Key: "u"}})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour - time.Second)
		_, next := s.LogRange()
		if err := s.TrimLog(ctx, next-1); err != nil { // all but the late replica
			t.Fatal(err)
		}
		if res := mustGC(t, s); res.PurgedVersions != 0 || res.AbortedUploads != 0 {
			t.Errorf("before the retention: %+v", res)
		}
		time.Sleep(2 * time.Second)
		if res := mustGC(t, s); res.PurgedVersions != 4 || res.AbortedUploads != 1 {
			t.Errorf("after the retention: %+v, want k's three, other's first, and the upload", res)
		}
		if _, err := s.GetUpload(testBucket, "u", u.ID); !errors.Is(err, ErrNoSuchUpload) {
			t.Errorf("upload: %v", err)
		}
		if _, err := s.Get(testBucket, "other", old.ID); err != nil {
			t.Errorf("a follower still has to pass this one: %v", err)
		}
		if err := s.TrimLog(ctx, next+100); err != nil {
			t.Fatal(err)
		}
		if res := mustGC(t, s); res.PurgedVersions != 1 {
			t.Errorf("after the trim: %+v", res)
		}
		if cs, err := s.Conflicts(testBucket, "", 0); err != nil || len(cs) != 0 {
			t.Errorf("conflicts after their time: %v, %v", cs, err)
		}
		if st := s.Stats(); st.Versions != 3 || st.Objects != 2 {
			t.Errorf("left: %+v", st)
		}
		mustCheck(t, s)
	})
}

// Writers that share chunks with what is deleted around them, and collections without a pause: no acknowledged
// byte may go.
func TestGCBesideWriters(t *testing.T) {
	s := openTest(t, testOptions(vfs.NewMem()))
	ctx := context.Background()
	var stop atomic.Bool
	var collector, writers sync.WaitGroup
	collector.Go(func() {
		for !stop.Load() {
			if _, err := s.GC(ctx); err != nil {
				t.Error(err)
				return
			}
		}
	})
	for w := range 4 {
		writers.Go(func() {
			for i := range 30 {
				data := testData(uint64(i%3), 150_000) // three contents, all shared
				key := fmt.Sprint("w", w)
				v, _, err := putBytes(s, "versioned", key, data, PutOptions{})
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := readBytes(s, v); err != nil || !bytes.Equal(got, data) {
					t.Errorf("read back: %v", err)
					return
				}
				if _, _, err := s.Purge(ctx, "versioned", key, v.ID, PutOptions{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	stop.Store(true)
	collector.Wait()
	mustGC(t, s)
	if st := s.Stats(); st.Chunks != 0 || st.Versions != 0 {
		t.Errorf("left: %+v", st)
	}
	mustCheck(t, s)
}

func TestMarkSet(t *testing.T) {
	m := newMarkSet(10_000, 42)
	id := func(i int) *object.ChunkID { c := object.ChunkID(chunk.Sum(fmt.Append(nil, i))); return &c }
	for i := range 10_000 {
		m.add(id(i))
	}
	wrong := 0
	for i := range 20_000 {
		if got := m.has(id(i)); i < 10_000 && !got {
			t.Fatalf("lost %d", i)
		} else if i >= 10_000 && got {
			wrong++
		}
	}
	if wrong > 100 {
		t.Errorf("%d of 10000 seem to be there", wrong)
	}
}
