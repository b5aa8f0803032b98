package s3_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
)

func TestPutGetInEveryPayloadForm(t *testing.T) {
	d := open(t)
	plain := d.client(t)
	newBucket(t, plain, "forms")
	trailing := d.client(t, func(o *minio.Options) { o.TrailingHeaders = true })
	for name, f := range map[string]struct {
		c *minio.Core
		o minio.PutObjectOptions
	}{
		"streaming signed":           {plain, minio.PutObjectOptions{}},
		"streaming signed, md5":      {plain, minio.PutObjectOptions{SendContentMd5: true}},
		"exact sha256":               {plain, minio.PutObjectOptions{DisableContentSha256: false, SendContentMd5: true}},
		"unsigned":                   {plain, minio.PutObjectOptions{DisableContentSha256: true}},
		"streaming trailer crc32c":   {trailing, minio.PutObjectOptions{Checksum: minio.ChecksumCRC32C}},
		"streaming trailer crc64":    {trailing, minio.PutObjectOptions{Checksum: minio.ChecksumCRC64NVME}},
		"streaming trailer sha256":   {trailing, minio.PutObjectOptions{Checksum: minio.ChecksumSHA256}},
		"streaming trailer sha1":     {trailing, minio.PutObjectOptions{Checksum: minio.ChecksumSHA1}},
		"unsigned with trailer":      {trailing, minio.PutObjectOptions{DisableContentSha256: true, Checksum: minio.ChecksumCRC32}},
		"streaming, default trailer": {trailing, minio.PutObjectOptions{}},
	} {
		for _, size := range []int{0, 1, 64 << 10, 64<<10 + 1, 300_000} {
			data := bytesOf(size)
			key := name + "/" + strings.Repeat("x", size%7)
			info, err := f.c.Client.PutObject(t.Context(), "forms", key, bytes.NewReader(data), int64(size), f.o)
			if err != nil {
				t.Fatalf("%s, %d bytes: %v", name, size, err)
			}
			sum := md5.Sum(data)
			if info.ETag != hex.EncodeToString(sum[:]) {
				t.Errorf("%s, %d bytes: ETag %s is not the MD5", name, size, info.ETag)
			}
			got, _ := get(t, f.c, "forms", key, minio.GetObjectOptions{Checksum: true})
			if !bytes.Equal(got, data) {
				t.Errorf("%s, %d bytes: came back as %d other bytes", name, size, len(got))
			}
		}
	}
}

func TestMetadataAndHeaders(t *testing.T) {
	d := open(t)
	c := d.client(t)
	newBucket(t, c, "meta")
	put(t, c, "meta", "weights/a b+c%2F.bin", []byte("galleon"), minio.PutObjectOptions{
		ContentType: "application/x-weights", CacheControl: "max-age=5", ContentDisposition: "attachment",
		ContentEncoding: "gzip", ContentLanguage: "es-MX", UserMetadata: map[string]string{"Layer": "12", "note": "uno  dos"},
	})
	_, info := get(t, c, "meta", "weights/a b+c%2F.bin", minio.GetObjectOptions{})
	if info.ContentType != "application/x-weights" || info.Metadata.Get("Cache-Control") != "max-age=5" ||
		info.Metadata.Get("Content-Encoding") != "gzip" || info.Metadata.Get("Content-Language") != "es-MX" {
		t.Errorf("headers came back as %v", info.Metadata)
	}
	if info.UserMetadata["Layer"] != "12" {
		t.Errorf("metadata came back as %v", info.UserMetadata)
	}
	_, err := c.Client.PutObject(t.Context(), "meta", "k", strings.NewReader(""), 0, minio.PutObjectOptions{
		UserMetadata: map[string]string{"big": strings.Repeat("x", 2100)}})
	wantCode(t, err, "MetadataTooLarge")
	o := minio.PutObjectOptions{}
	o.UserTags = map[string]string{"a": "b"}
	_, err = c.Client.PutObject(t.Context(), "meta", "k", strings.NewReader(""), 0, o)
	if err != nil {
		t.Fatal(err)
	}
	tags, err := c.Client.GetObjectTagging(t.Context(), "meta", "k", minio.GetObjectTaggingOptions{})
	if err != nil || tags.ToMap()["a"] != "b" {
		t.Errorf("tags came back as %v, %v", tags, err)
	}
}

func TestRangesAndConditions(t *testing.T) {
	d := open(t)
	c := d.client(t)
	newBucket(t, c, "ranges")
	data := bytesOf(1000)
	etag := put(t, c, "ranges", "k", data, minio.PutObjectOptions{}).ETag
	for _, r := range []struct{ from, to, lo, hi int64 }{{0, 0, 0, 1}, {10, 19, 10, 20}, {990, 0, 990, 1000}, {0, -5, 995, 1000}, {500, 5000, 500, 1000}} {
		o := minio.GetObjectOptions{}
		if err := o.SetRange(r.from, r.to); err != nil {
			t.Fatal(err)
		}
		if got, _ := get(t, c, "ranges", "k", o); !bytes.Equal(got, data[r.lo:r.hi]) {
			t.Errorf("range %d-%d: got %d bytes", r.from, r.to, len(got))
		}
	}
	fails := func(code string, set func(*minio.GetObjectOptions) error) {
		t.Helper()
		var o minio.GetObjectOptions
		if err := set(&o); err != nil {
			t.Fatal(err)
		}
		_, _, _, err := c.GetObject(t.Context(), "ranges", "k", o)
		wantCode(t, err, code)
	}
	fails("InvalidRange", func(o *minio.GetObjectOptions) error { return o.SetRange(1000, 1001) })
	fails("PreconditionFailed", func(o *minio.GetObjectOptions) error { return o.SetMatchETag("other") })
	fails("PreconditionFailed", func(o *minio.GetObjectOptions) error { return o.SetUnmodified(time.Unix(1, 0)) })
	if _, _, h, _ := c.GetObject(t.Context(), "ranges", "k", minio.GetObjectOptions{}); h.Get("Accept-Ranges") != "bytes" {
		t.Errorf("no Accept-Ranges")
	}
	var o minio.GetObjectOptions
	if err := errors.Join(o.SetMatchETag(etag)); err != nil {
		t.Fatal(err)
	}
	get(t, c, "ranges", "k", o)

	onlyNew := minio.PutObjectOptions{}
	onlyNew.SetMatchETagExcept("*")
	_, err := c.Client.PutObject(t.Context(), "ranges", "k", strings.NewReader("x"), 1, onlyNew)
	wantCode(t, err, "PreconditionFailed")
	replace := minio.PutObjectOptions{}
	replace.SetMatchETag(etag)
	put(t, c, "ranges", "k", []byte("next"), replace)
	_, err = c.Client.PutObject(t.Context(), "ranges", "k", strings.NewReader("x"), 1, replace)
	wantCode(t, err, "PreconditionFailed")
	_, err = c.Client.PutObject(t.Context(), "ranges", "absent", strings.NewReader("x"), 1, replace)
	wantCode(t, err, "NoSuchKey")
}
