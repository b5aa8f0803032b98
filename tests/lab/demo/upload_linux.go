package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
)

// Uploads: what is small is read whole and sent in one request, what is large goes in parts.
const (
	wholeMost = 8 << 20
	partSize  = 16 << 20
)

// moved counts what has been done, for the line of progress.
type moved struct{ items, bytes atomic.Int64 }

// watch shows a meter until f returns.
func (d *demo) watch(m *meter, done *moved, f func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- f() }()
	tick := time.NewTicker(liveEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return err
		case now := <-tick.C:
			m.observe(now, done.items.Load(), done.bytes.Load())
			d.screen.progress(m.String())
		}
	}
}

// upload puts every item into a bucket through the endpoint of a place's router. What it returns without error was
// acknowledged: every item has the ETag of its answer and the SHA-256 of what was sent.
func (d *demo) upload(ctx context.Context, p place, bucket string, items []item) error {
	c, err := d.s3(p)
	if err != nil {
		return err
	}
	var done moved
	m := meter{what: "put", unit: "files", items: int64(len(items)), bytes: input{items: items}.bytes()}
	return d.watch(&m, &done, func() error {
		return inParallel(ctx, parallel, len(items), func(ctx context.Context, i int) error {
			err := put(ctx, c, bucket, &items[i], &done)
			if err != nil {
				return fmt.Errorf("put %s into %s in %s: %w", items[i].key, bucket, p.name, err)
			}
			done.items.Add(1)
			return nil
		})
	})
}

func put(ctx context.Context, c *minio.Core, bucket string, it *item, done *moved) error {
	f, err := os.Open(it.path)
	if err != nil {
		return err
	}
	defer f.Close()
	var body io.Reader
	if it.size <= wholeMost {
		b, err := io.ReadAll(io.LimitReader(f, wholeMost+1))
		if err != nil {
			return err
		}
		it.size, it.sum, body = int64(len(b)), sha256.Sum256(b), bytes.NewReader(b)
	} else {
		h := sha256.New()
		n, err := io.Copy(h, io.NewSectionReader(f, 0, it.size))
		if err == nil && n < it.size {
			err = fmt.Errorf("%s became shorter while it was read", it.path)
		}
		if err != nil {
			return err
		}
		h.Sum(it.sum[:0])
		body = io.NewSectionReader(f, 0, it.size)
	}
	// The embedded client, not the core, sends large objects in parts.
	info, err := c.Client.PutObject(ctx, bucket, it.key, body, it.size, minio.PutObjectOptions{
		PartSize: partSize, NumThreads: 4, ContentType: "application/octet-stream", Progress: &counter{&done.bytes},
	})
	if err != nil {
		return err
	}
	it.etag = info.ETag
	return nil
}

// counter is told by the client what it has sent: it "reads" as many bytes.
type counter struct{ n *atomic.Int64 }

func (c *counter) Read(b []byte) (int, error) {
	c.n.Add(int64(len(b)))
	return len(b), nil
}

// differences reads every item back from a place and gives those that are not as they were sent, missing ones included.
func (d *demo) differences(ctx context.Context, p place, bucket string, items []item) (bad []string, err error) {
	c, err := d.s3(p)
	if err != nil {
		return nil, err
	}
	var done moved
	wrong := make([]string, len(items))
	m := meter{what: "read back from " + p.name, unit: "files", items: int64(len(items)), bytes: input{items: items}.bytes()}
	err = d.watch(&m, &done, func() error {
		return inParallel(ctx, parallel, len(items), func(ctx context.Context, i int) error {
			it := &items[i]
			n, sum, err := fetch(ctx, c, bucket, it.key)
			switch {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case err != nil:
				wrong[i] = err.Error()
			case n != it.size || sum != it.sum:
				wrong[i] = fmt.Sprintf("%s has %d bytes with SHA-256 %x, want %d with %x", it.key, n, sum[:8], it.size, it.sum[:8])
			}
			done.bytes.Add(n)
			done.items.Add(1)
			return nil
		})
	})
	for _, w := range wrong {
		if w != "" {
			bad = append(bad, w)
		}
	}
	return bad, err
}

// some names the first few of many.
func some(list []string) string {
	const most = 3
	text := ""
	for i, s := range list[:min(most, len(list))] {
		if i > 0 {
			text += "; "
		}
		text += s
	}
	if n := len(list) - most; n > 0 {
		text += fmt.Sprintf("; and %d more", n)
	}
	return text
}
