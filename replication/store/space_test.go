package store

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/galleon-net/galleon/replication/object"
)

func TestDiskFull(t *testing.T) {
	ctx := context.Background()
	var free atomic.Uint64
	free.Store(10 << 30)
	o := testOptions(vfs.NewMem())
	o.FreeBytes = func() (uint64, error) { return free.Load(), nil }
	var events []string
	o.Emit = func(e Event) { events = append(events, e.Name()) }
	s := openTest(t, o)
	v := mustPut(t, s, testBucket, "k", []byte("x"))
	u, err := s.CreateUpload(ctx, Upload{Version: object.Version{Bucket: testBucket, Key: "u"}})
	if err != nil {
		t.Fatal(err)
	}
	w := s.NewWriter(ctx)
	defer w.Close()
	if _, err := w.Write(testData(9, 100)); err != nil {
		t.Fatal(err)
	}
	free.Store(1 << 20)
	if _, err := w.Write(testData(10, 5<<20)); !errors.Is(err, ErrNoSpace) {
		t.Errorf("a writer at work: %v", err)
	}
	_, _, put := putBytes(s, testBucket, "l", []byte("x"), PutOptions{})
	_, upload := s.CreateUpload(ctx, Upload{Version: object.Version{Bucket: testBucket, Key: "u"}})
	_, part := putPart(s, u, 1, []byte("x"))
	_, apply := s.ApplyReplica(ctx, []Replica{{Version: object.Version{Bucket: testBucket, Key: "r", ID: object.VersionID{Time: 1, Origin: 2}}}}, Cursor{})
	for i, err := range []error{put, upload, part, apply} {
		if !errors.Is(err, ErrNoSpace) {
			t.Errorf("write %d on a full disk: %v", i, err)
		}
	}
	if got, err := readBytes(s, v); err != nil || string(got) != "x" || !s.Stats().Full {
		t.Errorf("reads must go on: %q, %v", got, err)
	}
	if _, _, err := s.Delete(ctx, testBucket, "k", PutOptions{}); err != nil {
		t.Errorf("deletes must go on: %v", err)
	}
	if err := s.AbortUpload(ctx, testBucket, "u", u.ID); err != nil {
		t.Errorf("aborts must go on: %v", err)
	}
	mustGC(t, s)
	free.Store(10 << 30)
	mustPut(t, s, testBucket, "l", []byte("x"))
	if want := "store-opened store-disk-full store-collected store-disk-full"; join(events) != want {
		t.Errorf("events %q, want %q", join(events), want)
	}
}

func join(s []string) string {
	var b bytes.Buffer
	for i, x := range s {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(x)
	}
	return b.String()
}

// full is a disk that has no room until the ballast has gone.
type full struct {
	on   atomic.Bool
	hits atomic.Int64
}

func (f *full) String() string { return "full" }

func (f *full) MaybeError(op errorfs.Op) error {
	switch {
	case !f.on.Load():
		return nil
	case op.Kind == errorfs.OpRemove && op.Path == "store/"+ballastName:
		f.on.Store(false)
	case op.Kind == errorfs.OpFileWrite:
		f.hits.Add(1)
		return syscall.ENOSPC
	}
	return nil
}

// Something else fills the disk between two looks at it: the write under way ends well, at the ballast's cost.
func TestBallast(t *testing.T) {
	f := &full{}
	o := testOptions(errorfs.Wrap(vfs.NewMem(), f))
	o.FreeBytes = func() (uint64, error) { return 10 << 30, nil }
	dropped := false
	o.Emit = func(e Event) { dropped = dropped || e.Name() == "store-ballast-dropped" }
	s := openTest(t, o)
	f.on.Store(true)
	mustPut(t, s, testBucket, "k", []byte("x"))
	if f.hits.Load() == 0 || !dropped || string(mustRead(t, s, testBucket, "k")) != "x" {
		t.Errorf("%d writes found the disk full, ballast dropped: %v", f.hits.Load(), dropped)
	}
}
