// Package s3test has a Backend that lives in memory and behaves, keys for it, and the suite that every
// Backend must pass.
package s3test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/s3"
	"github.com/galleon-net/galleon/replication/s3/sigv4"
)

// Memory is an s3.Backend. The zero value is empty and ready.
type Memory struct {
	// Region and Router are stamped on versions.
	Region topo.Region
	Router topo.RouterID
	// Now dates versions (default time.Now).
	Now func() time.Time
	// Fault is asked before every call, by method name; what it returns is the call's error.
	Fault func(method string) error
	// Status answers ReplicationStatus; nil answers "".
	Status func(v object.Version) string

	mu      sync.Mutex
	buckets map[string]*bucket
	last    object.HLC
	uploads map[string]*upload
}

type bucket struct {
	object.Bucket
	// keys has the versions of each key, newest first, never empty.
	keys map[string][]object.Version
	// data has the bytes of each version that is no delete marker.
	data map[object.VersionID][]byte
}

var _ s3.Backend = (*Memory)(nil)

func (m *Memory) fault(method string) error {
	if m.Fault == nil {
		return nil
	}
	return m.Fault(method)
}

func (m *Memory) now() time.Time {
	if m.Now == nil {
		return time.Now().UTC()
	}
	return m.Now().UTC()
}

// mint gives a version id later than all before. Called with mu held.
func (m *Memory) mint() object.VersionID {
	h := object.HLC(m.now().UnixMilli()) << 16
	m.last = max(m.last+1, h)
	return object.VersionID{Time: m.last, Origin: m.Router}
}

func (m *Memory) bucket(name string) (*bucket, error) {
	b := m.buckets[name]
	if b == nil {
		return nil, s3.ErrNoSuchBucket
	}
	return b, nil
}

// ListBuckets implements s3.Buckets.
func (m *Memory) ListBuckets(context.Context) ([]object.Bucket, error) {
	if err := m.fault("ListBuckets"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []object.Bucket
	for _, b := range m.buckets {
		all = append(all, b.Bucket)
	}
	slices.SortFunc(all, func(a, b object.Bucket) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// GetBucket implements s3.Buckets.
func (m *Memory) GetBucket(_ context.Context, name string) (object.Bucket, error) {
	if err := m.fault("GetBucket"); err != nil {
		return object.Bucket{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(name)
	if err != nil {
		return object.Bucket{}, err
	}
	return b.Bucket, nil
}

// CreateBucket implements s3.Buckets.
func (m *Memory) CreateBucket(_ context.Context, b object.Bucket) error {
	if err := m.fault("CreateBucket"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.buckets[b.Name] != nil {
		return s3.ErrBucketExists
	}
	if m.buckets == nil {
		m.buckets = map[string]*bucket{}
	}
	m.buckets[b.Name] = &bucket{Bucket: b, keys: map[string][]object.Version{}, data: map[object.VersionID][]byte{}}
	return nil
}

// DeleteBucket implements s3.Buckets.
func (m *Memory) DeleteBucket(_ context.Context, name string) error {
	if err := m.fault("DeleteBucket"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(name)
	if err != nil {
		return err
	}
	if len(b.keys) > 0 {
		return s3.ErrBucketNotEmpty
	}
	delete(m.buckets, name)
	return nil
}

// UpdateBucket implements s3.Buckets.
func (m *Memory) UpdateBucket(_ context.Context, name string, c s3.BucketChange) error {
	if err := m.fault("UpdateBucket"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, err := m.bucket(name)
	if err != nil {
		return err
	}
	if c.Versioning != nil {
		if !*c.Versioning && b.Locked {
			return s3.ErrBucketState
		}
		b.Versioning, b.Suspended = *c.Versioning, !*c.Versioning
	}
	if c.Lock {
		b.Locked, b.Versioning, b.Suspended = true, true, false
	}
	settings := maps.Clone(b.Settings)
	if settings == nil {
		settings = map[object.Setting]string{}
	}
	for k, v := range c.Settings {
		if settings[k] = v; v == "" {
			delete(settings, k)
		}
	}
	b.Settings = settings
	return nil
}

// Keys are access keys with their secrets: what voters keep, for tests.
type Keys map[string]string

// SigningKey implements s3.SigningKeys.
func (k Keys) SigningKey(_ context.Context, accessKey, date, region string) ([]byte, error) {
	secret, ok := k[accessKey]
	if !ok {
		return nil, s3.ErrNoSuchAccessKey
	}
	return sigv4.Key(secret, date, region), nil
}
