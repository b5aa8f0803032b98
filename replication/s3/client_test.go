package s3_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"

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

var putOptions = minio.PutObjectOptions{}
