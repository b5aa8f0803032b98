// Package keystest makes clusters of certificates for tests: a root, an intermediate, and a catalog of routers that
// can be added, revoked and given other keys while a test runs.
package keystest

import (
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
)

// Cluster is an authority and a catalog. Its methods are safe for concurrent use.
type Cluster struct {
	Name      string
	Root      *keys.Root
	Authority *keys.Authority

	mu          sync.Mutex
	rand        io.Reader
	incarnation uint32
	members     map[topo.RouterID]keys.Member
}

// New makes a cluster whose root begins at now. Keys are the same for the same name and moment, so in
// fake time they are in every run. It panics on error,
// which only a bad name causes.
func New(name string, now time.Time) *Cluster {
	seed := sha256.Sum256([]byte(name + now.UTC().String()))
	c := &Cluster{Name: name, rand: rand.NewChaCha8(seed), incarnation: 1, members: make(map[topo.RouterID]keys.Member)}
	var err error
	if c.Root, err = keys.NewRoot(name, now, c.rand); err != nil {
		panic(err)
	}
	if c.Authority, err = c.Root.Intermediate(now, c.rand); err != nil {
		panic(err)
	}
	return c
}

// Identity is what router r is called: each is alone in a zone of the region "test".
func (c *Cluster) Identity(r topo.RouterID) keys.Identity {
	c.mu.Lock()
	defer c.mu.Unlock()
	return keys.Identity{Cluster: c.Name, Incarnation: c.incarnation, Region: "test", Zone: topo.Zone(fmt.Sprintf("test-%d", uint32(r))), Router: r}
}

// Join gives a router a key and a certificate, and enters it in the catalog.
func (c *Cluster) Join(r topo.RouterID, now time.Time, ttl time.Duration) *keys.Credential {
	key, err := keys.Generate(c)
	if err != nil {
		panic(err)
	}
	c.mu.Lock()
	c.members[r] = keys.Member{PublicKey: key.Public()}
	c.mu.Unlock()
	return c.Issue(key, c.Identity(r), now, ttl)
}

// Issue gives out a certificate without a look at the catalog.
func (c *Cluster) Issue(key keys.Private, id keys.Identity, now time.Time, ttl time.Duration) *keys.Credential {
	leaf, err := c.Authority.Issue(key.Public(), id, now, ttl)
	if err != nil {
		panic(err)
	}
	return &keys.Credential{Key: key, Chain: append([][]byte{leaf}, c.Authority.Chain()...)}
}

// Read makes the cluster a source of keys.
func (c *Cluster) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rand.Read(p)
}

// Set changes what the catalog knows of a router.
func (c *Cluster) Set(r topo.RouterID, f func(*keys.Member)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := c.members[r]
	f(&m)
	c.members[r] = m
}

// Revoke revokes a router.
func (c *Cluster) Revoke(r topo.RouterID) { c.Set(r, func(m *keys.Member) { m.Revoked = true }) }

// Remove takes a router out of the catalog.
func (c *Cluster) Remove(r topo.RouterID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.members, r)
}

// Restore begins another incarnation; certificates issued from now on are of it.
func (c *Cluster) Restore() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.incarnation++
}

// Verify is the catalog as a keys.Verifier.
func (c *Cluster) Verify(id keys.Identity, pub ed25519.PublicKey) error { return c.verifier()(id, pub) }

func (c *Cluster) verifier() keys.Verifier {
	return keys.VerifyMembers(func(r topo.RouterID) (keys.Member, bool) {
		c.mu.Lock()
		defer c.mu.Unlock()
		m, ok := c.members[r]
		return m, ok
	})
}
