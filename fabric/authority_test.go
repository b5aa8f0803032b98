package fabric

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
)

// authority makes the certificate authority of a cluster for tests.
func authority(t testing.TB) *keys.Authority {
	t.Helper()
	root, err := keys.NewRoot(cluster, time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := root.Intermediate(time.Now(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// generate makes a router's key.
func generate(t testing.TB) keys.Private {
	t.Helper()
	key, err := keys.Generate(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// credential is the certificate of a router for a key, good for a day.
func credential(t testing.TB, ca *keys.Authority, id topo.RouterID, key keys.Private) *keys.Credential {
	t.Helper()
	leaf, err := ca.Issue(key.Public(), keys.Identity{
		Cluster: cluster, Incarnation: 1, Region: "mx-queretaro", Zone: "mx-queretaro-a", Router: id,
	}, time.Now(), 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return &keys.Credential{Key: key, Chain: append([][]byte{leaf}, ca.Chain()...)}
}
