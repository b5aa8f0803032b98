package s3_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
)

func TestListings(t *testing.T) {
	d := open(t)
	c := d.client(t)
	newBucket(t, c, "lists")
	keys := []string{"a", "a/1", "a/2", "a/3", "b & <c>", "b/ü", "c/d/e", "c/f", "z%2F", "z+ ", "~"}
	for _, k := range keys {
		put(t, c, "lists", k, []byte(k), minio.PutObjectOptions{})
	}
	list := func(o minio.ListObjectsOptions) (got []string) {
		for i := range c.Client.ListObjects(t.Context(), "lists", o) {
			if i.Err != nil {
				t.Fatal(i.Err)
			}
			got = append(got, i.Key)
		}
		return got
	}
	same := func(got []string, want ...string) {
		t.Helper()
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for _, v1 := range []bool{false, true} {
		for _, n := range []int{0, 1, 2, 3} {
			same(list(minio.ListObjectsOptions{Recursive: true, MaxKeys: n, UseV1: v1}), keys...)
			// minio-go gives a page's keys before its prefixes.
			flat := list(minio.ListObjectsOptions{MaxKeys: n, UseV1: v1})
			if len(flat) != 8 {
				t.Errorf("v1=%v max-keys=%d: %q", v1, n, flat)
			}
		}
		same(list(minio.ListObjectsOptions{Prefix: "a/", MaxKeys: 2, UseV1: v1}), "a/1", "a/2", "a/3")
		same(list(minio.ListObjectsOptions{Prefix: "c/", UseV1: v1}), "c/f", "c/d/")
		same(list(minio.ListObjectsOptions{Recursive: true, StartAfter: "b/ü", UseV1: v1}), "c/d/e", "c/f", "z%2F", "z+ ", "~")
	}
}

func TestVersions(t *testing.T) {
	d := open(t)
	c := d.client(t)
	newBucket(t, c, "versions")
	if cfg := must[minio.BucketVersioningConfiguration](t)(c.GetBucketVersioning(t.Context(), "versions")); cfg.Status != "" {
		t.Fatalf("a new bucket says %q", cfg.Status)
	}
	if err := c.EnableVersioning(t.Context(), "versions"); err != nil {
		t.Fatal(err)
	}
	first := put(t, c, "versions", "k", []byte("one"), minio.PutObjectOptions{})
	second := put(t, c, "versions", "k", []byte("two"), minio.PutObjectOptions{})
	put(t, c, "versions", "l", []byte("other"), minio.PutObjectOptions{})
	if first.VersionID == "" || first.VersionID == second.VersionID {
		t.Fatalf("versions %q and %q", first.VersionID, second.VersionID)
	}
	if got, _ := get(t, c, "versions", "k", minio.GetObjectOptions{VersionID: first.VersionID}); string(got) != "one" {
		t.Errorf("the first version is %q", got)
	}
	if err := c.Client.RemoveObject(t.Context(), "versions", "k", minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	_, _, h, err := c.GetObject(t.Context(), "versions", "k", minio.GetObjectOptions{})
	wantCode(t, err, "NoSuchKey")
	_ = h
	var seen []string
	for i := range c.Client.ListObjects(t.Context(), "versions", minio.ListObjectsOptions{WithVersions: true, Recursive: true, MaxKeys: 2}) {
		if i.Err != nil {
			t.Fatal(i.Err)
		}
		s := i.Key
		if i.IsDeleteMarker {
			s += " marker"
		}
		if i.IsLatest {
			s += " latest"
		}
		seen = append(seen, s)
	}
	if got := strings.Join(seen, ", "); got != "k marker latest, k, k, l latest" {
		t.Errorf("versions listed as %s", got)
	}
	if err := c.Client.RemoveObject(t.Context(), "versions", "k", minio.RemoveObjectOptions{VersionID: second.VersionID}); err != nil {
		t.Fatal(err)
	}
	_, _, _, err = c.GetObject(t.Context(), "versions", "k", minio.GetObjectOptions{VersionID: second.VersionID})
	wantCode(t, err, "NoSuchVersion")
}

func TestMultipart(t *testing.T) {
	d := open(t)
	c := d.client(t, func(o *minio.Options) { o.TrailingHeaders = true })
	newBucket(t, c, "parts")
	ctx := t.Context()
	data := bytesOf(5 << 20 * 2)
	for _, sum := range []minio.ChecksumType{minio.ChecksumNone, minio.ChecksumCRC32C, minio.ChecksumSHA256, minio.ChecksumCRC64NVME, minio.ChecksumFullObjectCRC32} {
		info, err := c.Client.PutObject(ctx, "parts", "big", bytes.NewReader(data), int64(len(data)), minio.PutObjectOptions{PartSize: 5 << 20, Checksum: sum})
		if err != nil {
			t.Fatalf("%v: %v", sum, err)
		}
		if !strings.HasSuffix(info.ETag, "-2") {
			t.Errorf("%v: ETag %s", sum, info.ETag)
		}
		got, _ := get(t, c, "parts", "big", minio.GetObjectOptions{Checksum: true})
		if !bytes.Equal(got, data) {
			t.Errorf("%v: other bytes came back", sum)
		}
		if got, _ := get(t, c, "parts", "big", minio.GetObjectOptions{PartNumber: 2}); !bytes.Equal(got, data[5<<20:]) {
			t.Errorf("%v: part 2 is other bytes", sum)
		}
	}

	id := must[string](t)(c.NewMultipartUpload(ctx, "parts", "dir/slow", minio.PutObjectOptions{}))
	part := func(n int, b []byte) minio.CompletePart {
		p := must[minio.ObjectPart](t)(c.PutObjectPart(ctx, "parts", "dir/slow", id, n, bytes.NewReader(b), int64(len(b)), minio.PutObjectPartOptions{}))
		return minio.CompletePart{PartNumber: n, ETag: p.ETag}
	}
	p1, p3 := part(1, data[:100]), part(3, data[200:300])
	small := part(2, data[100:105])
	complete := func(parts ...minio.CompletePart) error {
		_, err := c.CompleteMultipartUpload(ctx, "parts", "dir/slow", id, parts, minio.PutObjectOptions{})
		return err
	}
	wantCode(t, complete(p1, small, p3), "EntityTooSmall")
	wantCode(t, complete(p3, p1), "InvalidPartOrder")
	wantCode(t, complete(p1, minio.CompletePart{PartNumber: 4, ETag: p1.ETag}), "InvalidPart")
	wantCode(t, complete(p1, minio.CompletePart{PartNumber: 3, ETag: p1.ETag}), "InvalidPart")
	src := minio.CopySrcOptions{Bucket: "parts", Object: "big", MatchRange: true, Start: 100, End: 199}
	copied := must[minio.CompletePart](t)(c.CopyObjectPart(ctx, "parts", "big", "parts", "dir/slow", id, 2, src.Start, 100, nil))
	listed := must[minio.ListObjectPartsResult](t)(c.ListObjectParts(ctx, "parts", "dir/slow", id, 1, 1))
	if len(listed.ObjectParts) != 1 || listed.ObjectParts[0].PartNumber != 2 || !listed.IsTruncated {
		t.Errorf("parts behind the first are listed as %+v", listed)
	}
	ups := must[minio.ListMultipartUploadsResult](t)(c.ListMultipartUploads(ctx, "parts", "", "", "", "/", 10))
	if len(ups.CommonPrefixes) != 1 || ups.CommonPrefixes[0].Prefix != "dir/" {
		t.Errorf("uploads listed as %+v", ups)
	}
	if err := complete(p1, copied, p3); err != nil {
		t.Fatal(err)
	}
	if got, _ := get(t, c, "parts", "dir/slow", minio.GetObjectOptions{}); !bytes.Equal(got, data[:300]) {
		t.Errorf("the object made of parts is other bytes")
	}
	wantCode(t, complete(p1), "NoSuchUpload")
	id = must[string](t)(c.NewMultipartUpload(ctx, "parts", "dir/slow", minio.PutObjectOptions{}))
	if err := c.AbortMultipartUpload(ctx, "parts", "dir/slow", id); err != nil {
		t.Fatal(err)
	}
	wantCode(t, c.AbortMultipartUpload(ctx, "parts", "dir/slow", id), "NoSuchUpload")
}
