package store

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galleon-net/galleon/replication/object"
)

const testBucket = "bucket"

// testOptions give a small store in memory; tests change what they are about.
func testOptions(fs vfs.FS) Options {
	return Options{
		Dir: "store", FS: fs, TenantKey: [32]byte{1, 2, 3}, Region: "cn-hangzhou", Router: 1,
		Clock: &object.Clock{}, MinPartSize: -1, Versioned: func(b string) bool { return b != testBucket },
	}
}

func openTest(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// testData makes bytes that no other seed makes.
func testData(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24), 7})
	r.Read(b)
	return b
}

// putBytes is a whole PUT, as the front door does it.
func putBytes(s *Store, bucket, key string, data []byte, o PutOptions) (object.Version, Seq, error) {
	w := s.NewWriter(context.Background())
	defer w.Close()
	if _, err := w.Write(data); err != nil {
		return object.Version{}, 0, err
	}
	b, err := w.Finish()
	if err != nil {
		return object.Version{}, 0, err
	}
	return s.Put(context.Background(), object.Version{
		Bucket: bucket, Key: key, Size: b.Size, ETag: hex.EncodeToString(b.MD5[:]), Sum: b.Sum, Chunks: b.Chunks,
	}, o)
}

func mustPut(t testing.TB, s *Store, bucket, key string, data []byte) object.Version {
	t.Helper()
	v, _, err := putBytes(s, bucket, key, data, PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func readBytes(s *Store, v object.Version) ([]byte, error) {
	r, err := s.Open(v)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func mustRead(t testing.TB, s *Store, bucket, key string) []byte {
	t.Helper()
	b, err := readBytes(s, object.Version{Bucket: bucket, Key: key})
	if err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	return b
}

func mustCheck(t testing.TB, s *Store) {
	t.Helper()
	res, err := s.Check(context.Background())
	if err != nil || res.Problems != 0 {
		t.Fatalf("check: %v, %q", err, res.Bad)
	}
}

func keys(p ListPage) (out []string) {
	for _, e := range p.Entries {
		out = append(out, e.Version.Key)
	}
	return out
}

func TestPutGetSurvivesReopen(t *testing.T) {
	fs := vfs.NewMem()
	s, err := Open(testOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	id := s.ID()
	for i, n := range []int{0, 1, 8 << 10, 100_000, 3 << 20} {
		data := testData(uint64(i), n)
		v := mustPut(t, s, testBucket, fmt.Sprint("k", i), data)
		if v.Region != "cn-hangzhou" || v.ID.Origin != 1 || v.Chunks != nil || v.Modified.IsZero() {
			t.Errorf("version %+v", v)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("a second Close: %v", err)
	}
	if _, _, err := putBytes(s, testBucket, "late", []byte("x"), PutOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("put after close: %v", err)
	}
	o := testOptions(fs)
	o.NewIncarnation = true
	s = openTest(t, o)
	if s.ID() != id || s.Incarnation() != 1 {
		t.Errorf("id %v incarnation %d, want %v and 1", s.ID(), s.Incarnation(), id)
	}
	for i, n := range []int{0, 1, 8 << 10, 100_000, 3 << 20} {
		if !bytes.Equal(mustRead(t, s, testBucket, fmt.Sprint("k", i)), testData(uint64(i), n)) {
			t.Errorf("k%d has other bytes", i)
		}
	}
	first, next := s.LogRange()
	if st := s.Stats(); st.Objects != 5 || st.Versions != 5 || first != 1 || next != 6 || st.Chunks == 0 {
		t.Errorf("stats %+v", st)
	}
	mustCheck(t, s)
	v, err := s.Manifest(testBucket, "k4", object.VersionID{})
	if err != nil || len(v.Chunks) <= inlineChunks {
		t.Errorf("manifest of %d chunks, %v", len(v.Chunks), err)
	}
	if v2 := mustPut(t, s, testBucket, "k4", nil); !v.ID.Less(v2.ID) {
		t.Error("a version minted after a restart is older than one before")
	}
}

func TestWrongTenantKey(t *testing.T) {
	fs := vfs.NewMem()
	s, err := Open(testOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	o := testOptions(fs)
	o.TenantKey[0]++
	if _, err := Open(o); err == nil || !bytes.Contains([]byte(err.Error()), []byte("another tenant key")) {
		t.Errorf("got %v", err)
	}
}

func TestReaderSeeksAndReadsAt(t *testing.T) {
	s := openTest(t, testOptions(vfs.NewMem()))
	data := testData(1, 5<<20)
	mustPut(t, s, testBucket, "k", data)
	r, err := s.Open(object.Version{Bucket: testBucket, Key: "k"})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		off := rnd.Int64N(int64(len(data)))
		n := min(rnd.Int64N(300_000), int64(len(data))-off)
		buf := make([]byte, n)
		if _, err := r.ReadAt(buf, off); err != nil || !bytes.Equal(buf, data[off:off+n]) {
			t.Fatalf("ReadAt %d+%d: %v", off, n, err)
		}
	}
	if n, err := r.ReadAt(make([]byte, 10), int64(len(data))-4); n != 4 || err != io.EOF {
		t.Errorf("ReadAt over the end: %d, %v", n, err)
	}
	if pos, err := r.Seek(-1000, io.SeekEnd); err != nil || pos != int64(len(data))-1000 {
		t.Fatalf("Seek: %d, %v", pos, err)
	}
	var buf bytes.Buffer
	if n, err := r.WriteTo(&buf); n != 1000 || err != nil || !bytes.Equal(buf.Bytes(), data[len(data)-1000:]) {
		t.Errorf("WriteTo: %d, %v", n, err)
	}
	if _, err := r.Seek(-1, io.SeekStart); err == nil {
		t.Error("seek to before the start")
	}
	// A purge and a collection do not take away what an open reader reads.
	v, _ := s.Get(testBucket, "k", object.VersionID{})
	if _, _, err := s.Purge(context.Background(), testBucket, "k", v.ID, PutOptions{}); err != nil {
		t.Fatal(err)
	}
	if res, err := s.GC(context.Background()); err != nil || res.FreedChunks == 0 {
		t.Fatalf("GC: %+v, %v", res, err)
	}
	r.Seek(0, io.SeekStart)
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, data) {
		t.Errorf("after purge and collection: %v", err)
	}
	if _, err := readBytes(s, v); !errors.Is(err, ErrNotFound) {
		t.Errorf("open of a purged version: %v", err)
	}
}

func TestConditions(t *testing.T) {
	s := openTest(t, testOptions(vfs.NewMem()))
	try := func(o PutOptions) error {
		_, _, err := putBytes(s, testBucket, "k", []byte("x"), o)
		return err
	}
	if err := try(PutOptions{IfMatch: "*"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("If-Match on nothing: %v", err)
	}
	if err := try(PutOptions{IfNoneMatch: "*"}); err != nil {
		t.Errorf("If-None-Match on nothing: %v", err)
	}
	if err := try(PutOptions{IfNoneMatch: "*"}); !errors.Is(err, ErrPrecondition) {
		t.Errorf("If-None-Match on something: %v", err)
	}
	v, _ := s.Get(testBucket, "k", object.VersionID{})
	if err := try(PutOptions{IfMatch: v.ETag}); err != nil {
		t.Errorf("If-Match that matches: %v", err)
	}
	if err := try(PutOptions{IfMatch: "other"}); !errors.Is(err, ErrPrecondition) {
		t.Errorf("If-Match that does not: %v", err)
	}
	if _, _, err := s.Delete(context.Background(), testBucket, "k", PutOptions{IfMatch: "other"}); !errors.Is(err, ErrPrecondition) {
		t.Errorf("conditional delete: %v", err)
	}
	if _, _, err := s.Delete(context.Background(), testBucket, "k", PutOptions{IfMatch: v.ETag}); err != nil {
		t.Errorf("conditional delete: %v", err)
	}
	if err := try(PutOptions{IfNoneMatch: "*"}); err != nil {
		t.Errorf("If-None-Match after a delete: %v", err)
	}
}

func TestDeletePurgeAndMarkers(t *testing.T) {
	s := openTest(t, testOptions(vfs.NewMem()))
	ctx := context.Background()
	if _, _, err := s.Delete(ctx, testBucket, "no", PutOptions{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("delete of nothing without versioning: %v", err)
	}
	if m, _, err := s.Delete(ctx, "versioned", "no", PutOptions{}); err != nil || !m.DeleteMarker {
		t.Errorf("delete of nothing with versioning: %+v, %v", m, err)
	}
	a, b := mustPut(t, s, "versioned", "k", []byte("a")), mustPut(t, s, "versioned", "k", []byte("b"))
	m, _, err := s.Delete(ctx, "versioned", "k", PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if v, err := s.Get("versioned", "k", object.VersionID{}); err != nil || !v.DeleteMarker || v.ID != m.ID {
		t.Errorf("latest is %+v, %v", v, err)
	}
	if _, err := s.Open(object.Version{Bucket: "versioned", Key: "k"}); !errors.Is(err, ErrNotFound) {
		t.Errorf("open of a marker: %v", err)
	}
	if got, err := readBytes(s, a); err != nil || string(got) != "a" {
		t.Errorf("old version: %q, %v", got, err)
	}
	purge := func(id object.VersionID) {
		t.Helper()
		if _, _, err := s.Purge(ctx, "versioned", "k", id, PutOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	purge(m.ID)
	if got := mustRead(t, s, "versioned", "k"); string(got) != "b" {
		t.Errorf("after the marker went: %q", got)
	}
	purge(a.ID)
	purge(b.ID)
	if _, err := s.Get("versioned", "k", object.VersionID{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("after all went: %v", err)
	}
	if _, _, err := s.Purge(ctx, "versioned", "k", a.ID, PutOptions{}); !errors.Is(err, ErrNotFound) {
		t.Errorf("second purge: %v", err)
	}
	entries, next, err := s.Log(1, 0)
	if err != nil || next != 8 {
		t.Fatalf("log to %d, %v", next, err)
	}
	var purged int
	for _, e := range entries {
		if e.Purged {
			purged++
		}
	}
	if purged != 3 || len(entries) != 4 {
		t.Errorf("log of %d entries with %d purges", len(entries), purged)
	}
	mustCheck(t, s)
}

func TestReplicasAndConflicts(t *testing.T) {
	ctx := context.Background()
	s := openTest(t, testOptions(vfs.NewMem()))
	lease := s.NewLease(0)
	defer lease.Release()
	data := testData(3, 1000)
	far := openTest(t, Options{
		Dir: "far", FS: vfs.NewMem(), TenantKey: [32]byte{1, 2, 3}, Region: "mx-queretaro", Router: 9, Clock: &object.Clock{},
	})
	early := mustPut(t, far, testBucket, "k", data)
	early, err := far.Manifest(testBucket, "k", early.ID)
	if err != nil {
		t.Fatal(err)
	}
	rep := []Replica{{Version: early, CatalogIndex: 7}}
	cur := Cursor{Name: "from/far", Value: []byte("1")}
	if _, err := s.ApplyReplica(ctx, rep, cur); !errors.Is(err, ErrMissingChunk) {
		t.Fatalf("without its chunks: %v", err)
	}
	if _, err := s.Cursor(cur.Name); !errors.Is(err, ErrNotFound) {
		t.Errorf("the cursor of a refused batch: %v", err)
	}
	s.opts.Clock.Observe(time.Now(), early.ID.Time) // within one millisecond the origin would decide
	mine := mustPut(t, s, testBucket, "k", []byte("mine, and later"))
	if err := lease.Put(early.Chunks[0].ID, []byte("other bytes")); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a chunk that is not what it says: %v", err)
	}
	if err := lease.Put(early.Chunks[0].ID, data); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{1, 0} {
		if n, err := s.ApplyReplica(ctx, rep, cur); n != want || err != nil {
			t.Errorf("apply %d: %d, %v", i, n, err)
		}
	}
	if v, _ := s.Get(testBucket, "k", object.VersionID{}); v.ID != mine.ID {
		t.Errorf("the older replica won")
	}
	cs, err := s.Conflicts(testBucket, "", 0)
	if err != nil || len(cs) != 1 || cs[0].Loser.ID != early.ID || cs[0].Winner != mine.ID {
		t.Errorf("conflicts %+v, %v", cs, err)
	}
	if got, err := readBytes(s, early); err != nil || !bytes.Equal(got, data) {
		t.Errorf("the loser's bytes: %v", err)
	}
	if b, err := s.Cursor(cur.Name); string(b) != "1" || err != nil {
		t.Errorf("cursor %q, %v", b, err)
	}
	e, _, err := s.Log(2, 1)
	if err != nil || len(e) != 1 || e[0].CatalogIndex != 7 || e[0].Version.Region != "mx-queretaro" || len(e[0].Version.Chunks) != 1 {
		t.Errorf("log %+v, %v", e, err)
	}
	// A replica from an hour ahead is taken; only its own key cannot be written until then.
	future := early
	future.Key, future.ID.Time = "future", object.MakeHLC(time.Now().Add(time.Hour), 0)
	if n, err := s.ApplyReplica(ctx, []Replica{{Version: future}}, Cursor{}); n != 1 || err != nil {
		t.Fatalf("from the future: %d, %v", n, err)
	}
	if _, _, err := putBytes(s, testBucket, "future", nil, PutOptions{}); !errors.Is(err, object.ErrClock) {
		t.Errorf("write over the future: %v", err)
	}
	mustPut(t, s, testBucket, "other", nil)
	if n, err := s.ApplyReplica(ctx, []Replica{{Version: object.Version{Bucket: testBucket, Key: "future", ID: future.ID}, Purged: true}}, Cursor{}); n != 1 || err != nil {
		t.Errorf("purge by replica: %d, %v", n, err)
	}
	bad := early
	bad.Key = "bad\x00key"
	if _, err := s.ApplyReplica(ctx, []Replica{rep[0], {Version: bad}}, Cursor{}); err == nil {
		t.Error("a bad key was applied")
	}
	mustCheck(t, s)
}
