package store

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/galleon-net/galleon/replication/chunk"
	"github.com/galleon-net/galleon/replication/object"
)

func TestMultipart(t *testing.T) {
	ctx := context.Background()
	o := testOptions(vfs.NewMem())
	o.MinPartSize = 100_000
	s := openTest(t, o)
	u, err := s.CreateUpload(ctx, Upload{Algorithm: "CRC32", Type: "COMPOSITE", Version: object.Version{
		Bucket: testBucket, Key: "big", ContentType: "text/plain", Meta: map[string]string{"a": "b"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	parts := map[int][]byte{1: testData(1, 600_000), 2: testData(2, 100_000), 7: testData(7, 5)}
	etags := map[int]string{}
	for _, n := range []int{7, 1, 2} {
		first, err := putPart(s, u, n, testData(uint64(100+n), 50)) // replaced by the next
		if err != nil {
			t.Fatal(err)
		}
		p, err := putPart(s, u, n, parts[n])
		if err != nil || p.ETag == first.ETag || p.ETag != fmt.Sprintf("%x", md5.Sum(parts[n])) {
			t.Fatalf("part %d: %+v, %v", n, p, err)
		}
		etags[n] = p.ETag
	}
	got, err := s.GetUpload(testBucket, "big", u.ID)
	if err != nil || got.Algorithm != "CRC32" || got.Type != "COMPOSITE" || got.Version.ContentType != "text/plain" || !got.Created.Equal(u.Created) {
		t.Errorf("GetUpload: %+v, %v", got, err)
	}
	list, more, err := s.ListParts(testBucket, "big", u.ID, 1, 1)
	if err != nil || !more || len(list) != 1 || list[0].Number != 2 || list[0].Size != 100_000 || list[0].Chunks != nil {
		t.Errorf("ListParts: %+v %v %v", list, more, err)
	}
	complete := func(nums ...int) error {
		c := Complete{Checksums: map[string]string{"CRC32": "abc-3"}}
		for _, n := range nums {
			c.Parts = append(c.Parts, CompletePart{n, etags[n]})
		}
		_, _, err := s.CompleteUpload(ctx, testBucket, "big", u.ID, c, PutOptions{})
		return err
	}
	etags[9] = "x"
	for _, c := range []struct {
		nums []int
		want error
	}{{nil, ErrInvalidPart}, {[]int{2, 1}, ErrPartOrder}, {[]int{1, 1}, ErrPartOrder}, {[]int{1, 9}, ErrInvalidPart}, {[]int{0, 1}, ErrInvalidPart}} {
		if err := complete(c.nums...); !errors.Is(err, c.want) {
			t.Errorf("complete %v: %v, want %v", c.nums, err, c.want)
		}
	}
	if _, err := putPart(s, u, 8, []byte("tail")); err != nil {
		t.Fatal(err)
	}
	etags[8] = fmt.Sprintf("%x", md5.Sum([]byte("tail")))
	if err := complete(1, 7, 8); !errors.Is(err, ErrPartTooSmall) {
		t.Errorf("a small part in the middle: %v", err)
	}
	etags[1] = "wrong"
	if err := complete(1, 2); !errors.Is(err, ErrInvalidPart) {
		t.Errorf("a wrong ETag: %v", err)
	}
	etags[1] = fmt.Sprintf("%x", md5.Sum(parts[1]))
	if err := complete(1, 2, 7); err != nil {
		t.Fatal(err)
	}
	want := bytes.Join([][]byte{parts[1], parts[2], parts[7]}, nil)
	if got := mustRead(t, s, testBucket, "big"); !bytes.Equal(got, want) {
		t.Error("the object is not its parts")
	}
	v, err := s.Manifest(testBucket, "big", object.VersionID{})
	if err != nil || v.Sum != chunk.Sum(want) || len(v.PartSizes) != 3 || v.ETag[32:] != "-3" || v.Meta["a"] != "b" || v.Checksums["CRC32"] != "abc-3" {
		t.Errorf("version %+v, %v", v, err)
	}
	if err := complete(1, 2, 7); !errors.Is(err, ErrNoSuchUpload) {
		t.Errorf("second complete: %v", err)
	}
	if _, err := putPart(s, u, 1, nil); !errors.Is(err, ErrNoSuchUpload) {
		t.Errorf("part after complete: %v", err)
	}
	res, err := s.GC(ctx)
	if err != nil || res.FreedChunks == 0 {
		t.Errorf("replaced and unused parts are garbage: %+v, %v", res, err)
	}
	mustCheck(t, s)
}

func TestUploadsListAndAbort(t *testing.T) {
	ctx := context.Background()
	s := openTest(t, testOptions(vfs.NewMem()))
	var ups []Upload
	for _, k := range []string{"a", "a", "a/b", "b"} {
		u, err := s.CreateUpload(ctx, Upload{Version: object.Version{Bucket: testBucket, Key: k}})
		if err != nil {
			t.Fatal(err)
		}
		ups = append(ups, u)
	}
	if ups[1].ID < ups[0].ID {
		ups[0], ups[1] = ups[1], ups[0] // made within one millisecond
	}
	var seen []string
	key, id := "", ""
	for more := true; more; {
		var page []Upload
		var err error
		if page, more, err = s.ListUploads(testBucket, "", key, id, 1); err != nil || len(page) != 1 {
			t.Fatalf("page %v, %v", page, err)
		}
		key, id = page[0].Version.Key, page[0].ID
		seen = append(seen, id)
	}
	for i := range ups {
		if len(seen) != len(ups) || seen[i] != ups[i].ID {
			t.Fatalf("listed %v, want the order of %v", seen, ups)
		}
	}
	if page, _, err := s.ListUploads(testBucket, "a/", "", "", 0); len(page) != 1 || err != nil {
		t.Errorf("with a prefix: %v %v", page, err)
	}
	if page, _, err := s.ListUploads(testBucket, "", "a", "", 0); len(page) != 2 || err != nil {
		t.Errorf("behind all of a: %v %v", page, err)
	}
	if err := s.AbortUpload(ctx, testBucket, "b", ups[0].ID); !errors.Is(err, ErrNoSuchUpload) {
		t.Errorf("abort under another key: %v", err)
	}
	for _, id := range []string{"", "x", "00", ups[0].ID + "00"} {
		if err := s.AbortUpload(ctx, testBucket, "a", id); !errors.Is(err, ErrNoSuchUpload) {
			t.Errorf("abort of %q: %v", id, err)
		}
	}
	if err := s.AbortUpload(ctx, testBucket, "a", ups[0].ID); err != nil {
		t.Error(err)
	}
	if _, err := s.GetUpload(testBucket, "a", ups[0].ID); !errors.Is(err, ErrNoSuchUpload) {
		t.Errorf("after abort: %v", err)
	}
}
