package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// Bounds of cursors, in bytes.
const (
	maxCursorName  = 512
	maxCursorValue = 64 << 10
)

// SetCursor keeps a named value; an empty one forgets the name.
func (s *Store) SetCursor(ctx context.Context, c Cursor) error {
	if err := checkCursor(c); err != nil {
		return err
	}
	return s.commit(ctx, recordWeight, func(tx *tx) error { return tx.setCursor(c) })
}

func checkCursor(c Cursor) error {
	if c.Name == "" || len(c.Name) > maxCursorName || len(c.Value) > maxCursorValue {
		return fmt.Errorf("set cursor %.80q: %w: name of %d bytes and value of %d, want 1 to %d and at most %d",
			c.Name, ErrTooLarge, len(c.Name), len(c.Value), maxCursorName, maxCursorValue)
	}
	return nil
}

func (tx *tx) setCursor(c Cursor) error {
	if len(c.Value) == 0 {
		return tx.b.Delete(cursorKey(c.Name), nil)
	}
	return tx.b.Set(cursorKey(c.Name), append([]byte{recordFormat}, c.Value...), nil)
}

// Cursor gives a named value, or ErrNotFound.
func (s *Store) Cursor(name string) (value []byte, err error) {
	err = s.read(func(v *view) error {
		b, err := get(v.snap, cursorKey(name))
		if err == nil {
			value, err = decodeCursor(b)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("cursor %q: %w", name, err)
	}
	return value, nil
}

// Cursors gives all whose names begin with prefix, by name.
func (s *Store) Cursors(prefix string) (out []Cursor, err error) {
	err = s.read(func(v *view) error {
		base := cursorKey(prefix)
		it, err := v.snap.NewIter(&pebble.IterOptions{LowerBound: base, UpperBound: successor(base)})
		if err != nil {
			return err
		}
		for ok := it.First(); ok && err == nil; ok = it.Next() {
			c := Cursor{Name: string(it.Key()[1:])}
			var val []byte
			if val, err = it.ValueAndErr(); err == nil {
				c.Value, err = decodeCursor(val)
				out = append(out, c)
			}
		}
		return errors.Join(err, it.Error(), it.Close())
	})
	if err != nil {
		return nil, fmt.Errorf("list cursors %q: %w", prefix, err)
	}
	return out, nil
}

func decodeCursor(b []byte) ([]byte, error) {
	d := decoder{b: b}
	d.format()
	if d.err != nil {
		return nil, d.end("cursor")
	}
	return append([]byte(nil), d.b...), nil
}
