package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
)

// The writes under way when the router dies.
const (
	writers     = 8
	writesFirst = 300 // acknowledged before it is killed
	writeMost   = 32 << 10
)

// killRouter kills Singapore's router, all of its processes at once, while its own server writes to it and while
// it carries the traffic between Hangzhou and Tokyo, whose direct path is cut. Then it starts it again.
func (d *demo) killRouter(ctx context.Context) error {
	r := d.router(singapore)
	probe, err := d.startProbe(ctx)
	if err != nil {
		return err
	}
	defer probe.Stop()
	way, err := d.path(ctx, hangzhou, tokyo)
	if err != nil {
		return err
	}
	w, err := d.startWriting(ctx)
	if err != nil {
		return err
	}
	err = until(ctx, 10*time.Millisecond, func() error {
		if n := w.count(); n < writesFirst {
			return fmt.Errorf("%d of %d objects acknowledged in Singapore: %v", n, writesFirst, w.lastError())
		}
		return nil
	})
	if err == nil {
		err = r.kill()
	}
	acked, doubtful := w.stop()
	if err != nil {
		return err
	}
	d.ledger = acked
	d.screen.say("killed Singapore's router, which had acknowledged %s objects of its server and left %d requests without an answer", thousands(int64(len(acked))), doubtful)
	if err := flows(ctx, probe); err != nil {
		return expected("the stream between Hangzhou and Tokyo to go on without Singapore", "%v: %v", probe.Stop(), err)
	}
	report := probe.Stop()
	around, err := d.path(ctx, hangzhou, tokyo)
	if err != nil {
		return err
	}
	d.screen.say("Hangzhou to Tokyo went %v and now goes %v: longest gap %s", way.Hops, around.Hops, millis(report.LongestGap))
	d.remarks = append(d.remarks, row{"a relay died", millis(report.LongestGap), gapRemark})
	return d.comeBack(ctx, r)
}

// comeBack puts something new while the router is away, starts it, and checks that it has all that it should.
func (d *demo) comeBack(ctx context.Context, r *router) error {
	missed, err := d.makeWeights("missed.safetensors", 4<<20, modelSeed+2)
	if err != nil {
		return err
	}
	items := []item{missed}
	if err := d.upload(ctx, hangzhou, models, items); err != nil {
		return err
	}
	d.later = append(d.later, items...)
	began := time.Now()
	if err := r.start(); err != nil {
		return err
	}
	if err := r.answers(ctx); err != nil {
		return err
	}
	if err := d.isMember(ctx, r); err != nil {
		return err
	}
	if err := d.connected(ctx); err != nil {
		return err
	}
	d.screen.say("Singapore is back after %.1f s, as the router that it was", time.Since(began).Seconds())
	for _, items := range [][]item{d.welcome, items} {
		if err := d.arrived(ctx, singapore, items); err != nil {
			return err
		}
	}
	if err := d.listedIn(ctx, singapore, under("weights/", slices.Concat(d.moving.items, d.later))); err != nil {
		return err
	}
	return d.heal(ctx)
}

// writing is a server that puts small objects as fast as it can, and remembers what was acknowledged.
type writing struct {
	cancel context.CancelFunc
	group  sync.WaitGroup

	mu       sync.Mutex
	acked    []item
	doubtful int // sent without an answer, or refused
	last     error
}

func (d *demo) startWriting(ctx context.Context) (*writing, error) {
	// Without retries, so that an answer is to the one request that was sent.
	c, err := newS3(d.host(singapore).NS, singapore, d.store.key, noRetries)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &writing{cancel: cancel}
	for n := range writers {
		w.group.Go(func() { w.write(ctx, c, uint64(n)) })
	}
	return w, nil
}

func (w *writing) write(ctx context.Context, c *minio.Core, writer uint64) {
	random := rand.New(rand.NewPCG(modelSeed, writer))
	noise := rand.NewChaCha8([32]byte{byte(writer)})
	for n := 0; ctx.Err() == nil; n++ {
		b := make([]byte, 1+random.IntN(writeMost))
		noise.Read(b)
		it := item{key: fmt.Sprintf("entries/%d/%06d", writer, n), size: int64(len(b)), sum: sha256.Sum256(b)}
		info, err := c.Client.PutObject(ctx, ledger, it.key, bytes.NewReader(b), it.size, minio.PutObjectOptions{})
		if ctx.Err() != nil && err != nil {
			w.note(it, err)
			return
		}
		it.etag = info.ETag
		w.note(it, err)
		if err != nil {
			select { // the router is gone; do not spin until stop says so
			case <-time.After(100 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}
}

func (w *writing) note(it item, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		w.doubtful++
		w.last = err
		return
	}
	w.acked = append(w.acked, it)
}

func (w *writing) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.acked)
}

func (w *writing) lastError() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// stop ends the writing and gives what was acknowledged, and how many requests had no answer.
func (w *writing) stop() (acked []item, doubtful int) {
	w.cancel()
	w.group.Wait()
	return w.acked, w.doubtful
}
