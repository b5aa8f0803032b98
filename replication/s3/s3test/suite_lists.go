package s3test

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"testing"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/s3"
)

func versioned(t *testing.T, b s3.Backend) {
	t.Helper()
	if x, err := b.GetBucket(t.Context(), "versioned"); err != nil || !x.Versioning {
		t.Skip("this Backend cannot switch versioning on")
	}
}

func testVersions(t *testing.T, b s3.Backend) {
	versioned(t, b)
	ctx := t.Context()
	one, two := mustPut(t, b, "versioned", "k", "one"), mustPut(t, b, "versioned", "k", "two")
	if !one.ID.Less(two.ID) {
		t.Fatalf("version %v is not before %v", one.ID, two.ID)
	}
	d, err := b.DeleteObject(ctx, "versioned", "k", object.VersionID{}, s3.DeleteOptions{})
	if err != nil || !d.DeleteMarker || d.ID == (object.VersionID{}) {
		t.Fatalf("%+v, %v", d, err)
	}
	marker, err := b.GetVersion(ctx, "versioned", "k", object.VersionID{})
	if err != nil || !marker.DeleteMarker || marker.ID != d.ID {
		t.Fatalf("the latest is %+v, %v", marker, err)
	}
	if got, err := b.GetVersion(ctx, "versioned", "k", one.ID); err != nil || mustRead(t, b, got) != "one" {
		t.Fatalf("%+v, %v", got, err)
	}
	for _, limit := range []int{1, 2, 10} {
		var seen []object.VersionID
		o := s3.ListOptions{Versions: true, Limit: limit}
		for {
			p, err := b.ListObjects(ctx, "versioned", o)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range p.Versions {
				seen = append(seen, v.ID)
				o.After, o.AfterVersion = v.Key, v.ID
			}
			if !p.More {
				break
			}
		}
		if !slices.Equal(seen, []object.VersionID{d.ID, two.ID, one.ID}) {
			t.Fatalf("pages of %d: %v", limit, seen)
		}
	}
	if p, err := b.ListObjects(ctx, "versioned", s3.ListOptions{Limit: 10}); err != nil || len(p.Versions) != 0 {
		t.Fatalf("a deleted key is listed: %+v, %v", p, err)
	}
	if d, err := b.DeleteObject(ctx, "versioned", "k", marker.ID, s3.DeleteOptions{}); err != nil || !d.DeleteMarker || d.ID != marker.ID {
		t.Fatalf("%+v, %v", d, err)
	}
	if got, err := b.GetVersion(ctx, "versioned", "k", object.VersionID{}); err != nil || got.ID != two.ID {
		t.Fatalf("without the marker the latest is %+v, %v", got, err)
	}
	if _, err := b.DeleteObject(ctx, "versioned", "k", two.ID, s3.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = b.GetVersion(ctx, "versioned", "k", two.ID)
	wantErr(t, err, s3.ErrNoSuchVersion)
}

func testDelete(t *testing.T, b s3.Backend) {
	ctx := t.Context()
	mustPut(t, b, "plain", "k", "x")
	for range 2 {
		if _, err := b.DeleteObject(ctx, "plain", "k", object.VersionID{}, s3.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := b.GetVersion(ctx, "plain", "k", object.VersionID{}); err == nil && !v.DeleteMarker || err != nil && !errors.Is(err, s3.ErrNoSuchKey) {
		t.Fatalf("%+v, %v", v, err)
	}
	_, err := b.DeleteObject(ctx, "absent", "k", object.VersionID{}, s3.DeleteOptions{})
	wantErr(t, err, s3.ErrNoSuchBucket)
}

func testCopy(t *testing.T, b s3.Backend) {
	src := mustPut(t, b, "plain", "from", "cargo")
	dst := object.Version{Bucket: "versioned", Key: "to", ContentType: "text/y", Meta: map[string]string{"n": "w"}, Checksums: src.Checksums}
	v, err := b.CopyObject(t.Context(), src, dst, s3.Conditions{IfNoneMatch: "*"})
	if err != nil || v.ETag != src.ETag || v.Size != src.Size || v.ID == src.ID {
		t.Fatalf("%+v, %v", v, err)
	}
	got, err := b.GetVersion(t.Context(), "versioned", "to", object.VersionID{})
	if err != nil || got.ContentType != "text/y" || got.Meta["n"] != "w" || got.Meta["m"] != "" || mustRead(t, b, got) != "cargo" {
		t.Fatalf("%+v, %v", got, err)
	}
	_, err = b.CopyObject(t.Context(), src, dst, s3.Conditions{IfNoneMatch: "*"})
	wantErr(t, err, s3.ErrPrecondition)
}

func testList(t *testing.T, b s3.Backend) {
	ctx := t.Context()
	for _, k := range []string{"a", "a/1", "a/2", "a/3/x", "b", "b/1", "c", "ü"} {
		mustPut(t, b, "plain", k, k)
	}
	for _, c := range []struct {
		o    s3.ListOptions
		want string
	}{
		{s3.ListOptions{Limit: 10}, "a a/1 a/2 a/3/x b b/1 c ü | "},
		{s3.ListOptions{Limit: 10, Delimiter: "/"}, "a b c ü | a/ b/"},
		{s3.ListOptions{Limit: 10, Delimiter: "/", Prefix: "a/"}, "a/1 a/2 | a/3/"},
		{s3.ListOptions{Limit: 10, Delimiter: "/", After: "a/\xff"}, "b c ü | b/"},
		{s3.ListOptions{Limit: 10, After: "a/2"}, "a/3/x b b/1 c ü | "},
		{s3.ListOptions{Limit: 10, After: "a/2", Prefix: "a"}, "a/3/x | "},
		{s3.ListOptions{Limit: 2}, "a a/1 | ..."},
		{s3.ListOptions{Limit: 2, Delimiter: "/"}, "a | a/..."},
		{s3.ListOptions{Limit: 8}, "a a/1 a/2 a/3/x b b/1 c ü | "},
		{s3.ListOptions{Limit: 10, Prefix: "nothing"}, " | "},
	} {
		p, err := b.ListObjects(ctx, "plain", c.o)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for i, v := range p.Versions {
			if i > 0 {
				got += " "
			}
			got += v.Key
			if v.ETag == "" || v.Size == 0 || v.Modified.IsZero() {
				t.Errorf("%+v: the entry %+v lacks ETag, size or time", c.o, v)
			}
		}
		got += " | "
		for i, x := range p.Prefixes {
			if i > 0 {
				got += " "
			}
			got += x
		}
		if p.More {
			got += "..."
		}
		if got != c.want {
			t.Errorf("%+v:\n got %s\nwant %s", c.o, got, c.want)
		}
	}
	_, err := b.ListObjects(ctx, "absent", s3.ListOptions{Limit: 1})
	wantErr(t, err, s3.ErrNoSuchBucket)
}

func testUploads(t *testing.T, b s3.Backend) {
	ctx := t.Context()
	const partSize = 5 << 20
	u, err := b.CreateUpload(ctx, s3.Upload{Object: object.Version{Bucket: "plain", Key: "k", ContentType: "text/x", Meta: map[string]string{"m": "v"}}, Algorithm: "CRC32", Type: "FULL_OBJECT"})
	if err != nil || u.ID == "" || u.Initiated.IsZero() {
		t.Fatalf("%+v, %v", u, err)
	}
	if got, err := b.GetUpload(ctx, "plain", "k", u.ID); err != nil || got.Algorithm != "CRC32" || got.Type != "FULL_OBJECT" {
		t.Fatalf("%+v, %v", got, err)
	}
	_, err = b.GetUpload(ctx, "plain", "other", u.ID)
	wantErr(t, err, s3.ErrNoSuchUpload)
	var parts []s3.Part
	for _, n := range []int{3, 1, 7} {
		data := bytes.Repeat([]byte(strconv.Itoa(n)), partSize)
		p, err := b.PutPart(ctx, s3.PartInput{Bucket: "plain", Key: "k", UploadID: u.ID, Number: n, Body: &Bytes{Data: data}, Size: int64(len(data))})
		if err != nil || p.Size != partSize || p.ETag == "" {
			t.Fatalf("%+v, %v", p, err)
		}
		parts = append(parts, p)
	}
	listed, more, err := b.ListParts(ctx, "plain", "k", u.ID, 1, 1)
	if err != nil || !more || len(listed) != 1 || listed[0].Number != 3 || listed[0].Checksums["CRC32"] != "AAAAAA==" {
		t.Fatalf("%+v %v, %v", listed, more, err)
	}
	ups, more, err := b.ListUploads(ctx, "plain", "", "", "", 10)
	if err != nil || more || len(ups) != 1 || ups[0].ID != u.ID || ups[0].Object.Key != "k" {
		t.Fatalf("%+v %v, %v", ups, more, err)
	}
	if ups, _, err := b.ListUploads(ctx, "plain", "", "k", "", 10); err != nil || len(ups) != 0 {
		t.Fatalf("behind the key: %+v, %v", ups, err)
	}
	in := s3.CompleteInput{Bucket: "plain", Key: "k", UploadID: u.ID, Parts: []s3.Part{parts[1], parts[0]}, ETag: "etag-2", Checksums: map[string]string{"CRC32": "BBBBBB=="}}
	wrong := in
	wrong.Parts = []s3.Part{{Number: 1, ETag: "other", Size: partSize}}
	_, err = b.CompleteUpload(ctx, wrong)
	wantErr(t, err, s3.ErrInvalidPart)
	v, err := b.CompleteUpload(ctx, in)
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.GetVersion(ctx, "plain", "k", v.ID)
	if err != nil || got.Size != 2*partSize || got.ETag == "" || !slices.Equal(got.PartSizes, []int64{partSize, partSize}) ||
		got.ContentType != "text/x" || got.Meta["m"] != "v" || got.Checksums["CRC32"] != "BBBBBB==" {
		t.Fatalf("%+v, %v", got, err)
	}
	if r := mustRead(t, b, got); r[0] != '1' || r[partSize] != '3' {
		t.Fatal("the parts are in another order")
	}
	_, err = b.GetUpload(ctx, "plain", "k", u.ID)
	wantErr(t, err, s3.ErrNoSuchUpload)
	u, err = b.CreateUpload(ctx, s3.Upload{Object: object.Version{Bucket: "plain", Key: "k"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.AbortUpload(ctx, "plain", "k", u.ID); err != nil {
		t.Fatal(err)
	}
	wantErr(t, b.AbortUpload(ctx, "plain", "k", u.ID), s3.ErrNoSuchUpload)
}
