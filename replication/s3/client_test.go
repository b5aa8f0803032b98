package s3_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/galleon-net/galleon/replication/s3"
	"github.com/galleon-net/galleon/replication/s3/s3test"
)

const (
	testKey    = "GALLEONTESTKEY"
	testSecret = "not/a+secret=at all, spaces too"
	testRegion = "cn-hangzhou"
)

// door is a front door on a loopback port over a Backend in memory, with what it reported.
type door struct {
	*s3test.Memory
	url string

	mu     sync.Mutex
	served []s3.Served
}

func open(t *testing.T, change ...func(*s3.Config)) *door {
	t.Helper()
	d := &door{Memory: &s3test.Memory{Region: testRegion, Router: 1}}
	cfg := s3.Config{
		Backend: d.Memory, Keys: s3test.Keys{testKey: testSecret}, Region: testRegion,
		Emit: func(e s3.Event) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.served = append(d.served, e.(s3.Served))
		},
		Limits: s3.Limits{MinPart: 16},
	}
	for _, f := range change {
		f(&cfg)
	}
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = s3.NewServer(s3.New(cfg))
	srv.Start()
	t.Cleanup(srv.Close)
	d.url = srv.URL
	return d
}

func (d *door) client(t *testing.T, change ...func(*minio.Options)) *minio.Core {
	t.Helper()
	u, err := url.Parse(d.url)
	if err != nil {
		t.Fatal(err)
	}
	o := &minio.Options{Creds: credentials.NewStaticV4(testKey, testSecret, ""), Region: testRegion, MaxRetries: 1}
	for _, f := range change {
		f(o)
	}
	c, err := minio.NewCore(u.Host, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func bytesOf(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	r.Read(b)
	return b
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var e minio.ErrorResponse
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got the error %v, want the code %s", err, code)
	}
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newBucket(t *testing.T, c *minio.Core, name string) {
	t.Helper()
	if err := c.MakeBucket(t.Context(), name, minio.MakeBucketOptions{Region: testRegion}); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, c *minio.Core, bucket, key string, data []byte, o minio.PutObjectOptions) minio.UploadInfo {
	t.Helper()
	return must[minio.UploadInfo](t)(c.Client.PutObject(t.Context(), bucket, key, bytes.NewReader(data), int64(len(data)), o))
}

func get(t *testing.T, c *minio.Core, bucket, key string, o minio.GetObjectOptions) ([]byte, minio.ObjectInfo) {
	t.Helper()
	r, info, _, err := c.GetObject(t.Context(), bucket, key, o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	return must[[]byte](t)(io.ReadAll(r)), info
}

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
	wantCode(t, err, "NotImplemented")
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

func TestCopyAndDelete(t *testing.T) {
	d := open(t)
	c := d.client(t)
	newBucket(t, c, "from")
	newBucket(t, c, "dest")
	ctx := t.Context()
	put(t, c, "from", "a b/ü%", []byte("cargo"), minio.PutObjectOptions{UserMetadata: map[string]string{"k": "v"}})
	copyTo := func(dst minio.CopyDestOptions, src minio.CopySrcOptions) error {
		_, err := c.Client.CopyObject(ctx, dst, src)
		return err
	}
	src := minio.CopySrcOptions{Bucket: "from", Object: "a b/ü%"}
	if err := copyTo(minio.CopyDestOptions{Bucket: "dest", Object: "x"}, src); err != nil {
		t.Fatal(err)
	}
	if got, info := get(t, c, "dest", "x", minio.GetObjectOptions{}); string(got) != "cargo" || info.UserMetadata["K"] != "v" {
		t.Errorf("copied %q with %v", got, info.UserMetadata)
	}
	if err := copyTo(minio.CopyDestOptions{Bucket: "dest", Object: "x", ReplaceMetadata: true, UserMetadata: map[string]string{"n": "w"}}, src); err != nil {
		t.Fatal(err)
	}
	if _, info := get(t, c, "dest", "x", minio.GetObjectOptions{}); info.UserMetadata["N"] != "w" || info.UserMetadata["K"] != "" {
		t.Errorf("replaced metadata is %v", info.UserMetadata)
	}
	wantCode(t, copyTo(minio.CopyDestOptions{Bucket: "from", Object: "a b/ü%"}, src), "InvalidRequest")
	wantCode(t, copyTo(minio.CopyDestOptions{Bucket: "dest", Object: "y"}, minio.CopySrcOptions{Bucket: "from", Object: "absent"}), "NoSuchKey")
	src.MatchETag = "other"
	wantCode(t, copyTo(minio.CopyDestOptions{Bucket: "dest", Object: "y"}, src), "PreconditionFailed")

	wantCode(t, c.RemoveBucket(ctx, "dest"), "BucketNotEmpty")
	names := make(chan minio.ObjectInfo, 3)
	names <- minio.ObjectInfo{Key: "x"}
	names <- minio.ObjectInfo{Key: "never was"}
	close(names)
	for e := range c.RemoveObjects(ctx, "dest", names, minio.RemoveObjectsOptions{}) {
		t.Error(e)
	}
	if err := c.RemoveBucket(ctx, "dest"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, c.RemoveBucket(ctx, "dest"), "NoSuchBucket")
}

func TestBuckets(t *testing.T) {
	d := open(t)
	c := d.client(t)
	newBucket(t, c, "one")
	wantCode(t, c.MakeBucket(t.Context(), "one", minio.MakeBucketOptions{}), "BucketAlreadyOwnedByYou")
	wantCode(t, c.MakeBucket(t.Context(), "two", minio.MakeBucketOptions{Region: "mx-queretaro"}), "AuthorizationHeaderMalformed")
	newBucket(t, c, "three")
	all := must[[]minio.BucketInfo](t)(c.ListBuckets(t.Context()))
	if len(all) != 2 || all[0].Name != "one" {
		t.Errorf("buckets %v", all)
	}
	// A client that was not told the region asks for it.
	asking := d.client(t, func(o *minio.Options) { o.Region = "" })
	if l := must[string](t)(asking.GetBucketLocation(t.Context(), "one")); l != testRegion {
		t.Errorf("location %q", l)
	}
	put(t, asking, "one", "k", []byte("x"), minio.PutObjectOptions{})
	_ = context.Background
}

func TestPresigned(t *testing.T) {
	d := open(t)
	c := d.client(t)
	newBucket(t, c, "links")
	u := must[*url.URL](t)(c.PresignedPutObject(t.Context(), "links", "a/b c", time.Hour))
	if status, body := plainHTTP(t, "PUT", u.String(), strings.NewReader("by link")); status != 200 {
		t.Fatalf("PUT: %d %s", status, body)
	}
	q := url.Values{"response-content-type": {"text/x-test"}}
	u = must[*url.URL](t)(c.PresignedGetObject(t.Context(), "links", "a/b c", time.Hour, q))
	if status, body := plainHTTP(t, "GET", u.String(), nil); status != 200 || body != "by link" {
		t.Fatalf("GET: %d %s", status, body)
	}
	if status, body := plainHTTP(t, "GET", u.String()+"&response-expires=x", nil); status != 403 || !strings.Contains(body, "SignatureDoesNotMatch") {
		t.Errorf("an altered link: %d %s", status, body)
	}
	if status, body := plainHTTP(t, "DELETE", u.String(), nil); status != 403 {
		t.Errorf("a link for GET used for DELETE: %d %s", status, body)
	}
}

var putOptions = minio.PutObjectOptions{}
