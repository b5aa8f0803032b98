package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/galleon-net/galleon/cmd/admin"
)

// Sizes of what the demo makes itself.
const (
	modelSize  = 256 << 20
	updateSize = 64 << 20
	modelSeed  = 20261124
)

// stallLimit is how long nothing may arrive before the demo gives up waiting.
const stallLimit = time.Minute

// moveInput uploads the input in Hangzhou, waits for it in Querétaro, and reads every byte back there.
func (d *demo) moveInput(ctx context.Context) error {
	if err := d.gatherInput(ctx); err != nil {
		return err
	}
	items, total := d.moving.items, d.moving.bytes()
	// The copies, as much again for stores that tidy up while they are written to, and the rest of the demo.
	if err := d.work.room(total*2*copies + 2<<30); err != nil {
		return err
	}
	if err := d.applyPolicy(ctx, "far.yaml", farPolicies); err != nil {
		return err
	}
	before, err := d.held(ctx, queretaro)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := d.upload(ctx, hangzhou, models, items); err != nil {
		return err
	}
	took := time.Since(began)
	d.screen.say("put %s, %s, in %.1f s: %s/s, each one synced to disk before it was acknowledged", objects(int64(len(items))), size(total), took.Seconds(), perSecond(total, took))
	last, err := d.awaitFar(ctx, queretaro, before, began)
	if err != nil {
		return err
	}
	d.report.Objects, d.report.Bytes, d.report.SecondsToLastByte = int64(len(items)), total, seconds(last)
	d.screen.say("the last byte was in Querétaro %.1f s after the first was put in Hangzhou", last.Seconds())
	if err := d.wireBytes(ctx); err != nil {
		return err
	}
	if err := d.compareFar(ctx); err != nil {
		return err
	}
	for _, e := range elsewhere {
		if err := d.listedIn(ctx, e.place, under(e.prefix, items)); err != nil {
			return err
		}
	}
	return nil
}

// under picks the items whose keys begin with a prefix.
func under(prefix string, items []item) (some []item) {
	for _, it := range items {
		if strings.HasPrefix(it.key, prefix) {
			some = append(some, it)
		}
	}
	return some
}

// gatherInput is what INPUT names, or the source of Go and a file of weights.
func (d *demo) gatherInput(ctx context.Context) (err error) {
	if d.options.input != "" {
		d.moving, err = gather(d.options.input, filesPrefix)
		if err != nil {
			return err
		}
		d.screen.say("%s: %s files, %s", d.options.input, thousands(int64(len(d.moving.items))), size(d.moving.bytes()))
		if d.moving.skipped > 0 {
			d.screen.say("left out %d links and devices: an object is a file", d.moving.skipped)
		}
		return nil
	}
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("find Go's source (or name other files with INPUT=PATH): %w", err)
	}
	src, err := goSource(string(out))
	if err != nil {
		return err
	}
	if d.moving, err = gather(src, filesPrefix+"go/"); err != nil {
		return err
	}
	d.screen.say("%s: %s files, %s", src, thousands(int64(len(d.moving.items))), size(d.moving.bytes()))
	model, err := d.makeWeights("model.safetensors", modelSize, modelSeed)
	if err != nil {
		return err
	}
	d.moving.items = append([]item{model}, d.moving.items...)
	return nil
}

// makeWeights writes a file of weights to upload.
func (d *demo) makeWeights(name string, n int64, seed uint64) (item, error) {
	w := newWeights(n, seed)
	it := item{key: "weights/" + name, path: d.work.path("input", name), size: w.size()}
	f, err := os.Create(it.path)
	if err != nil {
		return it, fmt.Errorf("make weights: %w", err)
	}
	out := bufio.NewWriterSize(f, 1<<20)
	entropy, err := w.writeTo(out)
	err = errors.Join(err, out.Flush(), f.Close())
	if err != nil {
		return it, fmt.Errorf("make weights: %w", err)
	}
	d.screen.say("%s: %d BF16 tensors, %s, exponents with %.2f bits of entropy", name, len(w.tensors), size(it.size), entropy)
	return it, nil
}

// held is how many objects of the bucket a router says it has.
func (d *demo) held(ctx context.Context, p place) (objects int64, err error) {
	c := d.router(p).client()
	defer c.Close()
	reply, err := c.BucketList(ctx, admin.BucketListRequest{})
	if err != nil {
		return 0, err
	}
	for _, b := range reply.Buckets {
		if b.Name == models {
			return b.Objects, nil
		}
	}
	return 0, fmt.Errorf("%s has no bucket %s", p.name, models)
}

// awaitFar waits until a place has all of the input beside the objects that it had before, and gives the time since
// the beginning. While it waits, the wire tells of objects that are on their way, and whether anything still moves.
func (d *demo) awaitFar(ctx context.Context, p place, before int64, began time.Time) (time.Duration, error) {
	want := int64(len(d.moving.items))
	wire := meter{bytes: d.moving.bytes()} // at most: what compresses is less on the wire
	err := every(ctx, liveEvery, func() (bool, error) {
		have, err := d.held(ctx, p)
		var bytes int64
		if err == nil {
			bytes, err = d.wire(ctx, p, farFlows...)
		}
		now := time.Now()
		if err == nil {
			wire.observe(now, have, bytes)
		}
		rate, _ := wire.rates()
		line := fmt.Sprintf("%s has %s of %s files; %s came over the wire, %s/s", p.name, thousands(have-before), thousands(want), size(bytes), size(int64(rate)))
		if left, ok := wire.left(); ok {
			line += fmt.Sprintf(", at most %s left", short(left))
		}
		d.screen.progress(line)
		if wire.stalled(now) > stallLimit {
			return false, fmt.Errorf("nothing moved for %v: %s (%v)%s", stallLimit, line, err, d.flows(p))
		}
		return have-before >= want, nil
	})
	return time.Since(began), err
}

// farFlows are the policies that move the input.
var farFlows = []string{"weights", "files"}

// wireBytes tells what replication to Querétaro cost on the wire.
func (d *demo) wireBytes(ctx context.Context) error {
	wire, err := d.wire(ctx, queretaro, farFlows...)
	if err != nil {
		return err
	}
	share := fmt.Sprintf("%d %% of the objects' bytes", wire*100/max(1, d.report.Bytes))
	d.screen.say("on the wire it was %s, %s", size(wire), share)
	d.remarks = append(d.remarks, row{"on the wire to Querétaro", size(wire), share})
	return nil
}

// compareFar reads everything back from Querétaro, and checks that what no policy names did not follow.
func (d *demo) compareFar(ctx context.Context) error {
	home, err := d.s3(hangzhou)
	if err != nil {
		return err
	}
	const draft = "drafts/stays-home.txt"
	if _, err := home.Client.PutObject(ctx, models, draft, strings.NewReader(draft), int64(len(draft)), minio.PutObjectOptions{}); err != nil {
		return fmt.Errorf("put %s: %w", draft, err)
	}
	began := time.Now()
	bad, err := d.differences(ctx, queretaro, models, d.moving.items)
	if err != nil {
		return err
	}
	if len(bad) > 0 {
		return expected("every object in Querétaro as it was put in Hangzhou", "%d of %d differ: %s", len(bad), len(d.moving.items), some(bad))
	}
	d.report.Identical = true
	took := time.Since(began)
	d.screen.say("read back %s, %s, from Querétaro in %.1f s: all identical by SHA-256", objects(d.report.Objects), size(d.report.Bytes), took.Seconds())
	far, err := d.s3(queretaro)
	if err != nil {
		return err
	}
	if _, err := far.Client.StatObject(ctx, models, draft, minio.StatObjectOptions{}); minio.ToErrorResponse(err).Code != "NoSuchKey" {
		return expected("an object that no policy names to stay in Hangzhou", "Querétaro answers %v", err)
	}
	return nil
}

// listedIn waits until a place lists items with the right sizes and tags.
func (d *demo) listedIn(ctx context.Context, p place, items []item) error {
	if len(items) == 0 {
		return nil
	}
	c, err := d.s3(p)
	if err != nil {
		return err
	}
	m := meter{what: p.name + " has", unit: "files", items: int64(len(items)), bytes: input{items: items}.bytes()}
	var wire meter // moves also while one large object is on its way
	err = every(ctx, time.Second, func() (bool, error) {
		found, err := list(ctx, c, models, prefixOf(items))
		if err != nil {
			return false, err
		}
		var have, bytes int64
		for _, it := range items {
			if f, ok := found[it.key]; ok && f == (listed{it.size, it.etag}) {
				have, bytes = have+1, bytes+it.size
			}
		}
		if have == m.items {
			return true, nil
		}
		carried, err := d.wire(ctx, p, farFlows...)
		now := time.Now()
		m.observe(now, have, bytes)
		wire.observe(now, have, carried)
		d.screen.progress(m.String())
		if wire.stalled(now) > stallLimit {
			return false, fmt.Errorf("nothing moved for %v: %s (%v)%s", stallLimit, m.String(), err, d.flows(p))
		}
		return false, nil
	})
	if err != nil {
		return &unmet{fmt.Sprintf("%d objects in %s", len(items), p.name), err}
	}
	d.screen.say("%-13s lists %s, with the same sizes and tags", p.name, objects(m.items)+" of "+prefixOf(items))
	return nil
}

func perSecond(bytes int64, d time.Duration) string {
	return size(int64(float64(bytes) / max(d.Seconds(), 0.001)))
}
