package keys

import (
	"io"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

var testNow = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// source is a stream of bytes that is the same in every run.
func source(seed byte) io.Reader { return rand.NewChaCha8([32]byte{seed}) }

func testKey(t testing.TB, seed byte) Private {
	t.Helper()
	k, err := Generate(source(seed))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func testRoot(t testing.TB, cluster string) *Root {
	t.Helper()
	r, err := NewRoot(cluster, testNow, source(100))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func testAuthority(t testing.TB) *Authority {
	t.Helper()
	a, err := testRoot(t, "pacific").Intermediate(testNow, source(101))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func testID(r topo.RouterID) Identity {
	return Identity{Cluster: "pacific", Incarnation: 2, Region: "mx-queretaro", Zone: "mx-queretaro-a", Router: r}
}

// testCredential issues a credential for a router, good for a day from now.
func testCredential(t testing.TB, a *Authority, id Identity, now time.Time) *Credential {
	t.Helper()
	key := testKey(t, byte(id.Router))
	leaf, err := a.Issue(key.Public(), id, now, 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return &Credential{Key: key, Chain: append([][]byte{leaf}, a.Chain()...), Now: func() time.Time { return now }}
}

func testToken() Token {
	t := Token{
		ID: "4f3a90c1d2", Cluster: "pacific", Incarnation: 2,
		Seeds:  []netip.AddrPort{netip.MustParseAddrPort("192.0.2.7:7001"), netip.MustParseAddrPort("[2001:db8::7]:7001")},
		Region: "mx-queretaro", Zone: "mx-queretaro-a", Pool: "hosts",
		Prefixes: []topo.SegPrefix{{Prefix: netip.MustParsePrefix("10.52.0.0/16")}, {Segment: 9, Prefix: netip.MustParsePrefix("fd00:52::/48")}},
		Expires:  testNow.Add(time.Hour),
	}
	for i := range t.Secret {
		t.Secret[i], t.CAHash[i] = byte(0xa0+i), byte(i)
	}
	return t
}
