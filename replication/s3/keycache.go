package s3

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// maxCachedKeys bounds the cache; when it is full an arbitrary entry goes.
	maxCachedKeys = 4096
	// unknownFor is how long "no such access key" is remembered, so that a stranger's requests do not
	// each cost a question to the voters.
	unknownFor = 5 * time.Second
)

// CacheKeys remembers signing keys for ttl, which is therefore also how long a revoked access key may
// go on working here. Other errors than ErrNoSuchAccessKey are not remembered.
func CacheKeys(keys SigningKeys, ttl time.Duration, now func() time.Time) SigningKeys {
	return &keyCache{keys: keys, ttl: ttl, now: now, m: map[keyName]cachedKey{}}
}

type keyName struct{ accessKey, date, region string }

type cachedKey struct {
	key   []byte // nil: no such access key
	until time.Time
}

type keyCache struct {
	keys SigningKeys
	ttl  time.Duration
	now  func() time.Time

	mu sync.Mutex
	m  map[keyName]cachedKey
}

// SigningKey implements SigningKeys.
func (c *keyCache) SigningKey(ctx context.Context, accessKey, date, region string) ([]byte, error) {
	name := keyName{accessKey, date, region}
	now := c.now()
	c.mu.Lock()
	hit, ok := c.m[name]
	c.mu.Unlock()
	if ok && now.Before(hit.until) {
		if hit.key == nil {
			return nil, ErrNoSuchAccessKey
		}
		return hit.key, nil
	}
	key, err := c.keys.SigningKey(ctx, accessKey, date, region)
	switch {
	case err == nil:
		c.put(name, cachedKey{key, now.Add(c.ttl)})
	case errors.Is(err, ErrNoSuchAccessKey):
		c.put(name, cachedKey{nil, now.Add(min(unknownFor, c.ttl))})
	}
	return key, err
}

func (c *keyCache) put(name keyName, k cachedKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.m[name]; !ok && len(c.m) >= maxCachedKeys {
		for old := range c.m {
			delete(c.m, old)
			break
		}
	}
	c.m[name] = k
}
