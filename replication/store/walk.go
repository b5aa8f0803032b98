package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// StopWalk is returned by the function given to Walk to end it without an error.
//
//lint:ignore ST1012 it is a signal, like io.EOF, and not a failure
var StopWalk = errors.New("stop walking")

// Walk visits every version of a bucket, delete markers and hidden ones too, with its chunks: in key order
// behind the key after, newest first within a key. It sees the store as it was when it began. It keeps that
// state on the disk while it lasts, so that long walks are better made in pieces, each after the key that
// the one before ended with.
func (s *Store) Walk(ctx context.Context, bucket, after string, fn func(r Replica, latest bool) error) error {
	err := s.read(func(v *view) error {
		base := bucketKey(spaceVersion, bucket)
		from := base
		if after != "" {
			from = append(append(base[:len(base):len(base)], after...), 1)
		}
		it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: successor(base)})
		if err != nil {
			return err
		}
		last := ""
		for ok := it.First(); ok && err == nil; ok = it.Next() {
			if err = ctx.Err(); err != nil {
				break
			}
			var rec record
			if rec, err = recordAt(it); err != nil {
				break
			}
			r := Replica{CatalogIndex: rec.catalog}
			if r.Version, err = whole(v.snap, &rec); err == nil {
				err = fn(r, rec.v.Key != last)
				last = rec.v.Key
			}
		}
		return errors.Join(err, it.Error(), it.Close())
	})
	if errors.Is(err, StopWalk) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("walk %s: %w", bucket, err)
	}
	return nil
}

// Conflicts lists losers of conflicts by key, from behind the key after, at most limit (0: 1000). Those whose
// retention is over are gone from it.
func (s *Store) Conflicts(bucket, after string, limit int) (out []Conflict, err error) {
	if limit <= 0 || limit > maxList {
		limit = maxList
	}
	err = s.read(func(v *view) error {
		base := bucketKey(spaceConflict, bucket)
		from := base
		if after != "" {
			from = append(append(base[:len(base):len(base)], after...), 1)
		}
		it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: successor(base)})
		if err != nil {
			return err
		}
		for ok := it.First(); ok && err == nil && len(out) < limit; ok = it.Next() {
			var c Conflict
			if c, err = conflictAt(v.snap, it); err == nil {
				out = append(out, c)
			}
		}
		return errors.Join(err, it.Error(), it.Close())
	})
	if err != nil {
		return nil, fmt.Errorf("list conflicts of %s: %w", bucket, err)
	}
	return out, nil
}

func conflictAt(r pebble.Reader, it *pebble.Iterator) (Conflict, error) {
	val, err := it.ValueAndErr()
	if err != nil {
		return Conflict{}, err
	}
	bucket, key, id, err := parseVersionKey(it.Key(), 0)
	if err != nil {
		return Conflict{}, err
	}
	c, err := decodeConflict(val)
	if err != nil {
		return Conflict{}, err
	}
	loser, err := readVersion(r, bucket, key, id)
	if err != nil {
		return Conflict{}, fmt.Errorf("loser of a conflict, %s/%s: %w", bucket, key, err)
	}
	v := loser.v
	v.Chunks = nil
	return Conflict{Loser: v, Winner: c.winner, Found: c.found}, nil
}
