package store

import (
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galleon-net/galleon/replication/object"
)

// maxBad bounds the problems that a scrub describes.
const maxBad = 100

// Check reads everything once and says what does not fit: chunks whose bytes are not what their name says,
// versions and parts whose chunks are missing, a listing or a count that differs from the versions, gaps
// in the log. It changes nothing, and runs beside everything else.
func (s *Store) Check(ctx context.Context) (CheckResult, error) {
	v, err := s.view.acquire()
	if err != nil {
		return CheckResult{}, err
	}
	defer s.view.release(v)
	c := checker{s: s, v: v}
	for _, step := range []func(context.Context) error{c.versions, c.buckets, c.listing, c.parts, c.log, c.chunks} {
		if err := step(ctx); err != nil {
			return c.res, fmt.Errorf("check store %s: %w", s.opts.Dir, err)
		}
	}
	if c.res.Problems == 0 && c.count != v.counts {
		c.bad("counted %+v, the store's counters say %+v", c.count, v.counts)
	}
	return c.res, nil
}

type checker struct {
	s     *Store
	v     *view
	res   CheckResult
	count counts // of all versions seen
	// sum is of the counts that the buckets have.
	sum counts
}

func (c *checker) bad(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if c.res.Problems++; len(c.res.Bad) < maxBad {
		c.res.Bad = append(c.res.Bad, text)
	}
	c.s.emit(Corruption{What: text})
}

// versions checks that every version has its chunks, and that visible latest ones are listed as they are.
func (c *checker) versions(ctx context.Context) error {
	lastBucket, lastKey := "", ""
	return scan(ctx, c.v.snap, spaceVersion, func(it *pebble.Iterator) error {
		rec, err := recordAt(it)
		if err != nil {
			c.bad("%v", err)
			return nil
		}
		c.res.Versions++
		c.count.versions++
		c.count.versionBytes += rec.v.Size
		if latest := rec.v.Bucket != lastBucket || rec.v.Key != lastKey; latest {
			lastBucket, lastKey = rec.v.Bucket, rec.v.Key
			c.latest(&rec)
		}
		full, err := whole(c.v.snap, &rec)
		if err == nil {
			err = checkVersion(&full)
		}
		if err == nil {
			err = c.haveAll(full.Chunks)
		}
		if err != nil {
			c.bad("version %d of %s/%s: %v", rec.v.ID.Time, rec.v.Bucket, rec.v.Key, err)
		}
		return nil
	})
}

func (c *checker) haveAll(refs []object.ChunkRef) error {
	for i := range refs {
		if _, closer, err := c.v.snap.Get(chunkKey(refs[i].ID)); err != nil {
			return fmt.Errorf("chunk %s: %w", refs[i].ID, ErrMissingChunk)
		} else if err := closer.Close(); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) latest(rec *record) {
	if !rec.v.DeleteMarker {
		c.count.objects++
		c.count.bytes += rec.v.Size
	}
	b, err := get(c.v.snap, currentKey(rec.v.Bucket, rec.v.Key))
	if rec.v.DeleteMarker {
		if err == nil {
			c.bad("%s/%s is deleted and still listed", rec.v.Bucket, rec.v.Key)
		}
		return
	}
	var cur current
	if err == nil {
		cur, err = decodeCurrent(b)
	}
	if err == nil && (cur.id != rec.v.ID || cur.size != rec.v.Size || cur.etag != rec.v.ETag || !cur.modified.Equal(rec.v.Modified)) {
		err = fmt.Errorf("listed as version %d", cur.id.Time)
	}
	if err != nil {
		c.bad("listing of %s/%s: %v", rec.v.Bucket, rec.v.Key, err)
	}
}

// buckets adds up the buckets' counts, which must be those of the store.
func (c *checker) buckets(ctx context.Context) error {
	err := scan(ctx, c.v.snap, spaceBucket, func(it *pebble.Iterator) error {
		val, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		n, err := decodeCounts(val)
		if err != nil {
			c.bad("bucket %q: %v", it.Key()[1:], err)
		}
		c.sum.add(n)
		return nil
	})
	if c.sum != c.v.counts {
		c.bad("the buckets have %+v, the store's counters say %+v", c.sum, c.v.counts)
	}
	return err
}

// listing finds listed keys that have no version; differences were found from the other side.
func (c *checker) listing(ctx context.Context) error {
	n := int64(0)
	err := scan(ctx, c.v.snap, spaceCurrent, func(*pebble.Iterator) error { n++; return nil })
	if n != c.count.objects {
		c.bad("%d keys are listed, %d are visible", n, c.count.objects)
	}
	return err
}

func (c *checker) parts(ctx context.Context) error {
	return scan(ctx, c.v.snap, spacePart, func(it *pebble.Iterator) error {
		val, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		p, err := decodePart(val)
		if err == nil {
			err = c.haveAll(p.Chunks)
		}
		if err != nil {
			c.bad("part %x: %v", it.Key()[1:], err)
		}
		return nil
	})
}

func (c *checker) log(ctx context.Context) error {
	want := c.v.first
	err := scan(ctx, c.v.snap, spaceLog, func(it *pebble.Iterator) error {
		e, _, err := entryAt(c.v.snap, it)
		if err != nil || e.Seq != want {
			c.bad("log entry %d: found %d, %v", want, e.Seq, err)
		}
		want = e.Seq + 1
		return nil
	})
	if want != c.v.next {
		c.bad("the log ends before %d, want %d", want, c.v.next)
	}
	return err
}

func (c *checker) chunks(ctx context.Context) error {
	return scan(ctx, c.v.snap, spaceChunk, func(it *pebble.Iterator) error {
		var id object.ChunkID
		copy(id[:], it.Key()[1:])
		c.res.Chunks++
		val, err := it.ValueAndErr()
		if err == nil {
			c.res.Bytes += int64(max(len(val)-1, 0))
			err = c.s.checkChunk(id, val)
		}
		if err != nil {
			c.bad("%v", err)
		}
		return nil
	})
}
