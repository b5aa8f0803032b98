package store

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2"

	"github.com/galleon-net/galleon/replication/object"
)

// maxList bounds a page, as S3 does.
const maxList = 1000

// List gives one page of a bucket, in the byte order of keys. It reads as many index entries as the page
// has lines, whatever lies between them: latest visible versions have an index of their own, and what a
// common prefix covers is skipped by a seek.
func (s *Store) List(bucket string, o ListOptions) (ListPage, error) {
	if o.Limit <= 0 || o.Limit > maxList {
		o.Limit = maxList
	}
	space := byte(spaceCurrent)
	if o.Versions {
		space = spaceVersion
	}
	l := lister{o: o, base: bucketKey(space, bucket), unversioned: !s.opts.Versioned(bucket) && !s.opts.Suspended(bucket)}
	err := s.read(func(v *view) error { return l.run(v.snap) })
	if err != nil {
		return ListPage{}, fmt.Errorf("list %s: %w", bucket, err)
	}
	return l.page, nil
}

// lister makes one page.
type lister struct {
	o    ListOptions
	base []byte // what all index keys of the bucket begin with
	page ListPage
	last string // key of the entry before, to tell latest versions
	// unversioned buckets show the latest version of a key alone.
	unversioned bool
	// nulled is the last key of which the null version was passed: those below were replaced.
	nulled string
}

// seekKey is the first index key that the page may have.
func (l *lister) seekKey() []byte {
	at := func(key string, tail ...byte) []byte {
		return append(append(l.base[:len(l.base):len(l.base)], key...), tail...)
	}
	o := &l.o
	// What a common prefix that ended the page before stands for lies behind it, under the same prefix.
	if p, ok := l.common(o.After); ok && p == o.After {
		return successor(at(p))
	}
	switch {
	case o.After < o.Prefix:
		return at(o.Prefix)
	case o.Versions && !o.AfterVersion.IsZero():
		return append(appendVersionID(at(o.After, 0), o.AfterVersion), 0)
	}
	// No key holds a NUL, and in the version index one ends it: 1 is the first byte behind the key itself.
	return at(o.After, 1)
}

// common gives the common prefix that a key is rolled up into.
func (l *lister) common(key string) (string, bool) {
	rest, ok := strings.CutPrefix(key, l.o.Prefix)
	if !ok || l.o.Delimiter == "" {
		return "", false
	}
	i := strings.Index(rest, l.o.Delimiter)
	if i < 0 {
		return "", false
	}
	return key[:len(l.o.Prefix)+i+len(l.o.Delimiter)], true
}

func (l *lister) run(r pebble.Reader) error {
	upper := successor(append(l.base[:len(l.base):len(l.base)], l.o.Prefix...))
	it, err := r.NewIter(&pebble.IterOptions{LowerBound: l.base, UpperBound: upper})
	if err != nil {
		return err
	}
	if !l.o.AfterVersion.IsZero() && l.o.Versions {
		l.last = l.o.After // the latest of that key was on the page before
		if err := l.passedNull(r); err != nil {
			return errors.Join(err, it.Close())
		}
	}
	for ok := it.SeekGE(l.seekKey()); ok && err == nil; {
		if len(l.page.Entries)+len(l.page.Prefixes) == l.o.Limit {
			if l.page.Truncated, err = l.shows(it); l.page.Truncated || err != nil {
				break
			}
			ok = it.Next()
			continue
		}
		var skip []byte
		if skip, err = l.take(it); skip != nil {
			ok = it.SeekGE(skip)
		} else {
			ok = it.Next()
		}
	}
	if err = errors.Join(err, it.Error(), it.Close()); err == nil && !l.page.Truncated {
		l.page.Next, l.page.NextVersion = "", object.VersionID{}
	}
	return err
}

// take adds what is under the iterator, and says where to go on if not at the next key.
func (l *lister) take(it *pebble.Iterator) (skip []byte, err error) {
	var e ListEntry
	var key string
	if l.o.Versions {
		if _, key, _, err = parseVersionKey(it.Key(), 0); err != nil {
			return nil, err
		}
	} else {
		key = string(it.Key()[len(l.base):])
	}
	if l.o.Versions {
		hidden, err := l.hides(it, key)
		if hidden || err != nil {
			return nil, err
		}
	}
	if p, ok := l.common(key); ok {
		l.page.Prefixes = append(l.page.Prefixes, p)
		l.page.Next, l.page.NextVersion = p, object.VersionID{}
		return successor(append(l.base[:len(l.base):len(l.base)], p...)), nil
	}
	if l.o.Versions {
		rec, err := recordAt(it)
		if err != nil {
			return nil, err
		}
		e.Version, e.Latest = rec.v, key != l.last
		e.Version.Chunks = nil
		l.last = key
	} else {
		val, err := it.ValueAndErr()
		if err != nil {
			return nil, err
		}
		c, err := decodeCurrent(val)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		bucket := string(l.base[1 : len(l.base)-1])
		e = ListEntry{Latest: true, Version: object.Version{
			Bucket: bucket, Key: key, ID: c.id, Size: c.size, Modified: c.modified, ETag: c.etag, Checksums: c.checksums(),
		}}
	}
	l.page.Entries = append(l.page.Entries, e)
	l.page.Next, l.page.NextVersion = key, e.Version.ID
	return nil, nil
}

// shows says whether a page that is full has a next one that begins here.
func (l *lister) shows(it *pebble.Iterator) (bool, error) {
	if !l.o.Versions {
		return true, nil
	}
	_, key, _, err := parseVersionKey(it.Key(), 0)
	if err != nil {
		return false, err
	}
	hidden, err := l.hides(it, key)
	return !hidden, err
}

// hides says whether a version is none that clients see: a tombstone, a null version that was replaced, and in
// a bucket that keeps no versions all but the latest.
func (l *lister) hides(it *pebble.Iterator, key string) (bool, error) {
	rec, err := recordAt(it)
	if err != nil {
		return false, err
	}
	null := rec.v.Null || l.unversioned
	replaced := null && l.nulled == key
	if null {
		l.nulled = key
	}
	return replaced || rec.v.Tombstone || l.unversioned && rec.v.DeleteMarker, nil
}

// passedNull finds whether the null version of a key that is gone on with was on a page before.
func (l *lister) passedNull(r pebble.Reader) error {
	return scanVersions(r, string(l.base[1:len(l.base)-1]), l.o.After, func(rec *record) bool {
		if rec.v.ID.Less(l.o.AfterVersion) {
			return false
		}
		if rec.v.Null || l.unversioned {
			l.nulled = l.o.After
		}
		return l.nulled == ""
	})
}
