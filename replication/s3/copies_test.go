package s3_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
)

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
