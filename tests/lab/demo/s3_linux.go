package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/tests/lab"
)

// store is the object side as the servers behind the routers see it: a public S3 client for each region's endpoint.
type store struct {
	key admin.KeyCreateReply

	mu      sync.Mutex
	clients map[place]*minio.Core
}

// parallel is how many requests each server has under way.
const parallel = 16

// retries is how often the client repeats a request that failed for the moment; 1 is not at all.
const (
	retries   = 10
	noRetries = 1
)

// s3 is the client of a place's server, for the endpoint of its router.
func (d *demo) s3(p place) (*minio.Core, error) {
	d.store.mu.Lock()
	defer d.store.mu.Unlock()
	if c := d.store.clients[p]; c != nil {
		return c, nil
	}
	c, err := newS3(d.host(p).NS, p, d.store.key, retries)
	if err != nil {
		return nil, err
	}
	d.store.clients[p] = c
	return c, nil
}

func newS3(from *lab.NS, p place, key admin.KeyCreateReply, retries int) (*minio.Core, error) {
	c, err := minio.NewCore(p.s3(), &minio.Options{
		Creds: credentials.NewStaticV4(key.ID, key.Secret, ""), Region: p.region, BucketLookup: minio.BucketLookupPath,
		TrailingHeaders: true, MaxRetries: retries,
		Transport: &http.Transport{DialContext: from.Dial, MaxIdleConnsPerHost: 2 * parallel},
	})
	if err != nil {
		return nil, fmt.Errorf("S3 client for %s: %w", p.s3(), err)
	}
	return c, nil
}

// fetch reads an object and gives its size and SHA-256.
func fetch(ctx context.Context, c *minio.Core, bucket, key string) (n int64, sum [sha256.Size]byte, err error) {
	body, _, _, err := c.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return 0, sum, fmt.Errorf("get %s/%s: %w", bucket, key, err)
	}
	defer body.Close()
	h := sha256.New()
	if n, err = io.Copy(h, body); err != nil {
		return n, sum, fmt.Errorf("get %s/%s: %w", bucket, key, err)
	}
	h.Sum(sum[:0])
	return n, sum, nil
}

// listed is an object as a listing has it.
type listed struct {
	size int64
	etag string
}

// list gives all objects of a bucket whose keys begin with a prefix.
func list(ctx context.Context, c *minio.Core, bucket, prefix string) (map[string]listed, error) {
	found := map[string]listed{}
	for o := range c.ListObjectsIter(ctx, bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return nil, fmt.Errorf("list %s/%s: %w", bucket, prefix, o.Err)
		}
		found[o.Key] = listed{o.Size, o.ETag}
	}
	return found, nil
}

// inParallel calls f for every index below n, so many at a time, until one fails.
func inParallel(ctx context.Context, workers, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var group sync.WaitGroup
	for range min(workers, n) {
		group.Go(func() {
			for i := range next {
				if err := f(ctx, i); err != nil {
					cancel(err) // the first one wins
					return
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	group.Wait()
	return context.Cause(ctx)
}
