package s3_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/signer"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/s3"
	"github.com/galleon-net/galleon/replication/s3/s3test"
)

// TestForwardToOwner: a bucket's owner serves what another router was asked, and its answers are the same.
func TestForwardToOwner(t *testing.T) {
	owner := &s3test.Memory{Region: testRegion, Router: 2}
	peer := s3.New(s3.Config{
		Backend: owner, Keys: s3test.Keys{testKey: testSecret}, Region: testRegion, Limits: s3.Limits{MinPart: 16},
		Owner: func(context.Context, string) (http.RoundTripper, error) {
			return nil, errors.New("a forwarded request must not be forwarded")
		},
	})
	srv := httptest.NewServer(peer.Peer())
	defer srv.Close()
	to := &http.Transport{DisableCompression: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", srv.Listener.Addr().String())
	}}
	defer to.CloseIdleConnections()
	d := open(t, func(c *s3.Config) {
		c.Owner = func(_ context.Context, bucket string) (http.RoundTripper, error) {
			switch bucket {
			case "theirs":
				return to, nil
			case "lost":
				return nil, errors.New("no lease")
			}
			return nil, nil
		}
	})
	c := d.client(t, func(o *minio.Options) { o.TrailingHeaders = true })
	newBucket(t, c, "theirs")
	newBucket(t, c, "ours")
	data := bytesOf(300_000)
	for _, key := range []string{"k", "a b/c+d%2F", "ü//x", "../up"} {
		put(t, c, "theirs", key, data, minio.PutObjectOptions{UserMetadata: map[string]string{"a": "b"}})
		if _, err := owner.GetVersion(t.Context(), "theirs", key, object.VersionID{}); err != nil {
			t.Errorf("%s: the owner does not have it: %v", key, err)
		}
		got, info := get(t, c, "theirs", key, minio.GetObjectOptions{Checksum: true})
		if !bytes.Equal(got, data) || info.UserMetadata["A"] != "b" {
			t.Errorf("%s: came back as %d bytes with %v", key, len(got), info.UserMetadata)
		}
	}
	if _, err := d.GetVersion(t.Context(), "theirs", "k", object.VersionID{}); !errors.Is(err, s3.ErrNoSuchBucket) {
		t.Errorf("the router that was asked kept it too: %v", err)
	}
	big := bytesOf(6 << 20)
	put(t, c, "theirs", "big", big, minio.PutObjectOptions{PartSize: 5 << 20})
	if got, _ := get(t, c, "theirs", "big", minio.GetObjectOptions{}); !bytes.Equal(got, big) {
		t.Error("a multipart object came back as other bytes")
	}
	put(t, c, "ours", "k", data, putOptions)
	_, err := c.StatObject(t.Context(), "theirs", "absent", minio.StatObjectOptions{})
	wantCode(t, err, "NoSuchKey")
	_, _, _, err = c.GetObject(t.Context(), "theirs", "absent", minio.GetObjectOptions{})
	wantCode(t, err, "NoSuchKey")

	a := d.do(t, "PUT", "/theirs/lie", "hello", "X-Amz-Content-Sha256", sha256Hex("other"))
	if a.code() != "XAmzContentSHA256Mismatch" || len(a.header.Values("X-Amz-Request-Id")) != 1 {
		t.Errorf("a lying body: %d %s %v", a.status, a.body, a.header)
	}
	if a := d.do(t, "GET", "/lost/k", ""); a.code() != "ServiceUnavailable" || strings.Contains(a.body, "lease") {
		t.Errorf("a bucket without an owner: %d %s", a.status, a.body)
	}
	srv.Close()
	if a := d.do(t, "GET", "/theirs/k", ""); a.code() != "ServiceUnavailable" {
		t.Errorf("an owner that is gone: %d %s", a.status, a.body)
	}
}

func TestVirtualHostStyle(t *testing.T) {
	d := open(t, func(c *s3.Config) { c.Domains = []string{"s3.example.com"} })
	addr := strings.TrimPrefix(d.url, "http://")
	to := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var n net.Dialer
		return n.DialContext(ctx, "tcp", addr)
	}}
	defer to.CloseIdleConnections()
	d.url = "http://s3.example.com:9000"
	c := d.client(t, func(o *minio.Options) { o.Transport, o.BucketLookup = to, minio.BucketLookupDNS })
	newBucket(t, c, "hosted")
	put(t, c, "hosted", "dir/a b", []byte("cargo"), putOptions)
	if got, _ := get(t, c, "hosted", "dir/a b", minio.GetObjectOptions{}); string(got) != "cargo" {
		t.Errorf("got %q", got)
	}
	if _, err := d.GetVersion(t.Context(), "hosted", "dir/a b", object.VersionID{}); err != nil {
		t.Error(err)
	}
}

// TestPresignedHeadersInTheQuery: SDKs move x-amz- headers into a presigned query; they count there.
func TestPresignedHeadersInTheQuery(t *testing.T) {
	d := open(t)
	newBucket(t, d.client(t), "links")
	req, err := http.NewRequest("PUT", d.url+"/links/k?"+url.Values{"x-amz-meta-layer": {"12"}, "X-Amz-Checksum-Crc32": {"NhCmhg=="}}.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	link := signer.PreSignV4(*req, testKey, testSecret, "", testRegion, 60).URL.String()
	if status, body := plainHTTP(t, "PUT", link, strings.NewReader("hellO")); status != 400 || !strings.Contains(body, "BadDigest") {
		t.Errorf("another body: %d %s", status, body)
	}
	if status, body := plainHTTP(t, "PUT", link, strings.NewReader("hello")); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if v, err := d.GetVersion(t.Context(), "links", "k", object.VersionID{}); err != nil || v.Meta["layer"] != "12" {
		t.Errorf("%v, %v", v.Meta, err)
	}
}

func TestRightsAndStatus(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	d := open(t, func(c *s3.Config) {
		c.Authorize = func(_ context.Context, a s3.Access) error {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, a.AccessKey+" "+a.Action+" "+a.Bucket+"/"+a.Key)
			if strings.HasPrefix(a.Key, "secret/") {
				return errors.New("policy says no")
			}
			return nil
		}
		c.AlsoRegions = []string{"us-east-1"}
		c.Now = func() time.Time { return time.Now() }
	})
	c := d.client(t)
	newBucket(t, c, "rights")
	put(t, c, "rights", "open", []byte("x"), putOptions)
	if _, err := d.PutObject(t.Context(), s3.PutInput{Object: object.Version{Bucket: "rights", Key: "secret/k"}, Body: given{strings.NewReader("s")}}); err != nil {
		t.Fatal(err)
	}
	if a := d.do(t, "GET", "/rights/secret/k", ""); a.code() != "AccessDenied" || strings.Contains(a.body, "policy says") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := d.do(t, "PUT", "/rights/copy", "", "X-Amz-Copy-Source", "/rights/secret%2Fk"); a.code() != "AccessDenied" {
		t.Errorf("reading through a copy: %d %s", a.status, a.body)
	}
	a := d.do(t, "POST", "/rights?delete", "<Delete><Object><Key>secret/k</Key></Object><Object><Key>open</Key></Object></Delete>")
	if !strings.Contains(a.body, "<Error><Key>secret/k</Key><Code>AccessDenied</Code>") || !strings.Contains(a.body, "<Deleted><Key>open</Key></Deleted>") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if got := strings.Join(asked, "\n"); !strings.Contains(got, testKey+" s3:DeleteObject rights/open") || !strings.Contains(got, "s3:PutObject rights/copy") {
		t.Errorf("asked:\n%s", got)
	}
	d.Status = func(object.Version) string { return "PENDING" }
	if a := d.do(t, "GET", "/rights/secret/../x", ""); a.status != 403 {
		t.Errorf("a key that only looks like another: %d", a.status)
	}
	put(t, c, "rights", "k", []byte("x"), putOptions)
	if a := d.do(t, "HEAD", "/rights/k", ""); a.header.Get("X-Amz-Replication-Status") != "PENDING" {
		t.Errorf("%v", a.header)
	}
	other := signer.SignV4(*d.request(t, "GET", "/rights/k", ""), testKey, testSecret, "", "us-east-1")
	if a := do(t, other); a.status != 200 {
		t.Errorf("another accepted region: %d %s", a.status, a.body)
	}
	unknown := signer.SignV4(*d.request(t, "GET", "/rights/k", ""), "NOBODY", testSecret, "", testRegion)
	if a := do(t, unknown); a.code() != "InvalidAccessKeyId" || a.status != 403 {
		t.Errorf("an unknown key: %d %s", a.status, a.body)
	}
	late := open(t, func(c *s3.Config) { c.Now = func() time.Time { return time.Now().Add(time.Hour) } })
	if a := late.do(t, "GET", "/", ""); a.code() != "RequestTimeTooSkewed" {
		t.Errorf("a clock that is wrong by an hour: %d %s", a.status, a.body)
	}
}

// given is a body without promises.
type given struct{ *strings.Reader }

func (given) Checksums() map[string]string { return nil }

// TestRepeatedComplete: the answer of a completion was lost; asking again is answered alike.
func TestRepeatedComplete(t *testing.T) {
	d := open(t)
	c := d.client(t)
	newBucket(t, c, "again")
	id, err := c.NewMultipartUpload(t.Context(), "again", "k", putOptions)
	if err != nil {
		t.Fatal(err)
	}
	p, err := c.PutObjectPart(t.Context(), "again", "k", id, 1, strings.NewReader("part"), 4, minio.PutObjectPartOptions{})
	if err != nil {
		t.Fatal(err)
	}
	parts := []minio.CompletePart{{PartNumber: 1, ETag: p.ETag}}
	first, err := c.CompleteMultipartUpload(t.Context(), "again", "k", id, parts, putOptions)
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.CompleteMultipartUpload(t.Context(), "again", "k", id, parts, putOptions)
	if err != nil || second.ETag != first.ETag {
		t.Errorf("%v, %v", second, err)
	}
	put(t, c, "again", "k", []byte("newer"), putOptions)
	_, err = c.CompleteMultipartUpload(t.Context(), "again", "k", id, parts, putOptions)
	wantCode(t, err, "NoSuchUpload")
}
