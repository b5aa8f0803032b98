package s3test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"io"
	"slices"
	"strings"
	"time"

	"lukechampine.com/blake3"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/s3"
)

// PutObject implements s3.Objects.
func (m *Memory) PutObject(_ context.Context, in s3.PutInput) (object.Version, error) {
	if err := m.fault("PutObject"); err != nil {
		return object.Version{}, err
	}
	data, err := io.ReadAll(in.Body)
	if err != nil {
		return object.Version{}, err
	}
	v := in.Object
	sum := md5.Sum(data)
	v.ETag, v.Checksums = hex.EncodeToString(sum[:]), in.Body.Checksums()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.put(v, data, in.Conditions)
}

// put makes a version visible. Called with mu held.
func (m *Memory) put(v object.Version, data []byte, cond s3.Conditions) (object.Version, error) {
	b, err := m.bucket(v.Bucket)
	if err != nil {
		return v, err
	}
	if err := b.judge(v.Key, cond); err != nil {
		return v, err
	}
	v.ID, v.Region, v.Modified = m.mint(), m.Region, m.now()
	if !v.DeleteMarker {
		v.Size, v.Sum = int64(len(data)), blake3.Sum256(data)
		b.data[v.ID] = data
	}
	if v.Null = !b.Versioning; v.Null {
		if i := b.null(v.Key); i >= 0 {
			if b.keys[v.Key][i].Attributes.Protected(m.now(), false) {
				return v, s3.ErrProtected
			}
			b.remove(v.Key, i)
		}
	}
	b.keys[v.Key] = slices.Insert(b.keys[v.Key], 0, v)
	return v, nil
}

// null gives the place of a key's null version, -1 where it has none.
func (b *bucket) null(key string) int {
	return slices.IndexFunc(b.keys[key], func(v object.Version) bool { return v.Null })
}

// remove takes one version away.
func (b *bucket) remove(key string, i int) {
	delete(b.data, b.keys[key][i].ID)
	if b.keys[key] = slices.Delete(b.keys[key], i, i+1); len(b.keys[key]) == 0 {
		delete(b.keys, key)
	}
}

// find gives the place of a version: the latest's when id is zero. -1 where there is none.
func (b *bucket) find(key string, id object.VersionID) int {
	switch {
	case id == object.NullVersion:
		return b.null(key)
	case id.IsZero():
		return min(len(b.keys[key]), 1) - 1
	}
	return slices.IndexFunc(b.keys[key], func(v object.Version) bool { return v.ID == id })
}

// judge checks conditions against the latest version.
func (b *bucket) judge(key string, c s3.Conditions) error {
	var latest *object.Version
	if vs := b.keys[key]; len(vs) > 0 && !vs[0].DeleteMarker {
		latest = &vs[0]
	}
	switch {
	case c.Conditional() && latest == nil:
		return s3.ErrNoSuchKey
	case c.IfMatchSize != nil && *c.IfMatchSize != latest.Size,
		!c.IfMatchModified.IsZero() && !c.IfMatchModified.Truncate(time.Second).Equal(latest.Modified.Truncate(time.Second)):
		return s3.ErrPrecondition
	case c.IfMatch != "" && c.IfMatch != "*" && c.IfMatch != latest.ETag,
		c.IfNoneMatch != "" && latest != nil && (c.IfNoneMatch == "*" || c.IfNoneMatch == latest.ETag):
		return s3.ErrPrecondition
	}
	return nil
}

// CopyObject implements s3.Objects.
func (m *Memory) CopyObject(_ context.Context, src, dst object.Version, cond s3.Conditions) (object.Version, error) {
	if err := m.fault("CopyObject"); err != nil {
		return object.Version{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	from, err := m.bucket(src.Bucket)
	if err != nil {
		return dst, err
	}
	data, ok := from.data[src.ID]
	if !ok {
		return dst, s3.ErrNoSuchKey
	}
	dst.ETag, dst.PartSizes = src.ETag, src.PartSizes
	return m.put(dst, data, cond)
}

// GetVersion implements s3.Objects.
func (m *Memory) GetVersion(_ context.Context, bucketName, key string, id object.VersionID) (object.Version, error) {
	if err := m.fault("GetVersion"); err != nil {
		return object.Version{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(bucketName)
	if err != nil {
		return object.Version{}, err
	}
	if i := b.find(key, id); i >= 0 {
		return b.keys[key][i], nil
	}
	return object.Version{}, missing(id)
}

func missing(id object.VersionID) error {
	if id.IsZero() {
		return s3.ErrNoSuchKey
	}
	return s3.ErrNoSuchVersion
}

// AmendVersion implements s3.Objects.
func (m *Memory) AmendVersion(_ context.Context, bucketName, key string, id object.VersionID, change func(*object.Version) error) (object.Version, error) {
	if err := m.fault("AmendVersion"); err != nil {
		return object.Version{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(bucketName)
	if err != nil {
		return object.Version{}, err
	}
	i := b.find(key, id)
	if i < 0 {
		return object.Version{}, missing(id)
	}
	v := b.keys[key][i]
	was := v.Attributes
	if err := change(&v); err != nil {
		return object.Version{}, err
	}
	now := object.Change{VersionID: m.mint(), Region: m.Region}
	if !slices.Equal(was.Tags, v.Attributes.Tags) {
		v.Attributes.TagsAt = now
	}
	if was.Retention != v.Attributes.Retention {
		v.Attributes.RetentionAt = now
	}
	if was.Hold != v.Attributes.Hold {
		v.Attributes.HoldAt = now
	}
	b.keys[key] = slices.Clone(b.keys[key]) // whoever listed it keeps what it saw
	b.keys[key][i] = v
	return v, nil
}

type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }

// OpenObject implements s3.Objects.
func (m *Memory) OpenObject(_ context.Context, v object.Version) (s3.ObjectReader, error) {
	if err := m.fault("OpenObject"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(v.Bucket)
	if err != nil {
		return nil, err
	}
	data, ok := b.data[v.ID]
	if !ok {
		return nil, s3.ErrNoSuchVersion
	}
	return reader{bytes.NewReader(data)}, nil
}

// DeleteObject implements s3.Objects.
func (m *Memory) DeleteObject(_ context.Context, bucketName, key string, id object.VersionID, o s3.DeleteOptions) (s3.Deleted, error) {
	if err := m.fault("DeleteObject"); err != nil {
		return s3.Deleted{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(bucketName)
	if err != nil {
		return s3.Deleted{}, err
	}
	if err := b.judge(key, o.Conditions); err != nil {
		return s3.Deleted{}, err
	}
	if id == (object.VersionID{}) {
		if b.Versioning || b.Suspended {
			v, err := m.put(object.Version{Bucket: bucketName, Key: key, DeleteMarker: true}, nil, s3.Conditions{})
			return s3.Deleted{ID: v.ID, DeleteMarker: true, Null: v.Null}, err
		}
		for _, v := range b.keys[key] {
			delete(b.data, v.ID)
		}
		delete(b.keys, key)
		return s3.Deleted{}, nil
	}
	i := b.find(key, id)
	if i < 0 {
		return s3.Deleted{ID: id, Null: id == object.NullVersion}, nil
	}
	v := b.keys[key][i]
	if v.Attributes.Protected(m.now(), o.BypassGovernance) {
		return s3.Deleted{}, s3.ErrProtected
	}
	b.remove(key, i)
	return s3.Deleted{ID: v.ID, DeleteMarker: v.DeleteMarker, Null: v.Null}, nil
}

// ListObjects implements s3.Objects.
func (m *Memory) ListObjects(_ context.Context, bucketName string, o s3.ListOptions) (s3.ListPage, error) {
	if err := m.fault("ListObjects"); err != nil {
		return s3.ListPage{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(bucketName)
	if err != nil {
		return s3.ListPage{}, err
	}
	keys := make([]string, 0, len(b.keys))
	for k := range b.keys {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	var p s3.ListPage
	group := ""
	for _, k := range keys {
		if !strings.HasPrefix(k, o.Prefix) || k < o.After || group != "" && strings.HasPrefix(k, group) {
			continue
		}
		vs := b.keys[k]
		if k == o.After {
			if vs = olderThan(vs, o.AfterVersion); len(vs) == 0 || !o.Versions {
				continue
			}
		}
		if !o.Versions {
			if vs[0].DeleteMarker {
				continue
			}
			vs = vs[:1]
		}
		if i := strings.Index(k[len(o.Prefix):], o.Delimiter); o.Delimiter != "" && i >= 0 {
			if len(p.Versions)+len(p.Prefixes) == o.Limit {
				p.More = true
				return p, nil
			}
			group = k[:len(o.Prefix)+i+len(o.Delimiter)]
			p.Prefixes = append(p.Prefixes, group)
			continue
		}
		for _, v := range vs {
			if len(p.Versions)+len(p.Prefixes) == o.Limit {
				p.More = true
				return p, nil
			}
			p.Versions = append(p.Versions, v)
		}
	}
	return p, nil
}

// olderThan gives the versions below id; none when id is zero.
func olderThan(vs []object.Version, id object.VersionID) []object.Version {
	if id == (object.VersionID{}) {
		return nil
	}
	i := slices.IndexFunc(vs, func(v object.Version) bool { return v.ID.Less(id) })
	if i < 0 {
		return nil
	}
	return vs[i:]
}

// ReplicationStatus implements s3.Objects.
func (m *Memory) ReplicationStatus(_ context.Context, v object.Version) string {
	if m.Status == nil {
		return ""
	}
	return m.Status(v)
}
