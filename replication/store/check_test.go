package store

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galleon-net/galleon/replication/object"
)

// Bytes that rot on the disk are never handed out; the scrub names them; whoever stores the same bytes again
// repairs every object that shares them.
func TestRotAndRepair(t *testing.T) {
	ctx := context.Background()
	s := openTest(t, testOptions(vfs.NewMem()))
	data := testData(5, 500_000)
	v := mustPut(t, s, testBucket, "k", data)
	full, err := s.Manifest(testBucket, "k", v.ID)
	if err != nil {
		t.Fatal(err)
	}
	id := full.Chunks[1].ID
	rotten := append([]byte{recordFormat}, data[full.Chunks[0].Size:][:full.Chunks[1].Size]...)
	rotten[77] ^= 1
	if err := s.db.Set(chunkKey(id), rotten, pebble.Sync); err != nil {
		t.Fatal(err)
	}
	mustPut(t, s, testBucket, "next", nil) // brings a new view
	got, err := readBytes(s, v)
	if !errors.Is(err, ErrCorrupt) || len(got) != int(full.Chunks[0].Size) {
		t.Errorf("read %d bytes, %v; want the first chunk alone", len(got), err)
	}
	res, err := s.Check(ctx)
	if err != nil || res.Problems != 1 || !strings.Contains(res.Bad[0], id.String()) {
		t.Errorf("check: %+v, %v", res, err)
	}
	lease := s.NewLease(0)
	if m, err := lease.Missing([]object.ChunkID{id, full.Chunks[0].ID}); err != nil || len(m) != 1 || m[0] != id {
		t.Errorf("missing: %v, %v", m, err)
	}
	lease.Release()
	mustPut(t, s, testBucket, "copy", data)
	if got := mustRead(t, s, testBucket, "k"); !bytes.Equal(got, data) {
		t.Error("not repaired")
	}
	mustCheck(t, s)
}

// The scrub sees what a bug in the index would leave behind.
func TestCheckFindsDamage(t *testing.T) {
	for _, c := range []struct {
		what   string
		damage func(s *Store, v object.Version) error
		want   string
	}{
		{"a chunk is gone", func(s *Store, v object.Version) error { return s.db.Delete(chunkKey(v.Chunks[0].ID), nil) }, "chunk is not in the store"},
		{"a manifest is gone", func(s *Store, v object.Version) error {
			p := versionKey(spaceManifest, v.Bucket, v.Key, v.ID)
			return s.db.DeleteRange(p, successor(p), nil)
		}, "has 0 chunks of"},
		{"a key is not listed", func(s *Store, v object.Version) error { return s.db.Delete(currentKey(v.Bucket, v.Key), nil) }, "listing of bucket/k"},
		{"a version is gone", func(s *Store, v object.Version) error {
			return s.db.Delete(versionKey(spaceVersion, v.Bucket, v.Key, v.ID), nil)
		}, "2 keys are listed, 1 are visible"},
		{"a record is garbage", func(s *Store, v object.Version) error {
			return s.db.Set(versionKey(spaceVersion, v.Bucket, v.Key, v.ID), []byte{recordFormat, 0xff}, nil)
		}, "version record"},
		{"the log has a gap", func(s *Store, v object.Version) error { return s.db.Delete(logKey(1), nil) }, "log entry 1"},
		{"a count is wrong", func(s *Store, v object.Version) error {
			return s.db.Set([]byte("bbucket"), (&counts{1, 2, 3, 4}).append([]byte{recordFormat}), nil)
		}, "the buckets have"},
	} {
		t.Run(c.what, func(t *testing.T) {
			s := openTest(t, testOptions(vfs.NewMem()))
			mustPut(t, s, testBucket, "k", testData(1, 2<<20))
			mustPut(t, s, testBucket, "l", []byte("x"))
			v, err := s.Manifest(testBucket, "k", object.VersionID{})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.damage(s, v); err != nil {
				t.Fatal(err)
			}
			if err := s.SetCursor(context.Background(), Cursor{Name: "c", Value: []byte("x")}); err != nil { // brings a new view
				t.Fatal(err)
			}
			res, err := s.Check(context.Background())
			if err != nil || res.Problems == 0 || !strings.Contains(strings.Join(res.Bad, "; "), c.want) {
				t.Errorf("check: %+v, %v; want %q", res, err, c.want)
			}
		})
	}
}
