package keys

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Every way in which a peer's certificate can be wrong is refused under its own name, with words that name the next step.
func TestCheckPeer(t *testing.T) {
	auth := testAuthority(t)
	foreign, err := testRoot(t, "pacific").Intermediate(testNow, source(102))
	if err != nil {
		t.Fatal(err)
	}
	otherRoot, err := NewRoot("pacific", testNow, source(103))
	if err != nil {
		t.Fatal(err)
	}
	impostor, err := otherRoot.Intermediate(testNow, source(104))
	if err != nil {
		t.Fatal(err)
	}
	atlantic, err := testRoot(t, "atlantic").Intermediate(testNow, source(105))
	if err != nil {
		t.Fatal(err)
	}
	us := testCredential(t, auth, testID(1), testNow)
	peer := testCredential(t, auth, testID(7), testNow)
	at := func(d time.Duration) func(*Credential) {
		return func(c *Credential) { c.Now = func() time.Time { return testNow.Add(d) } }
	}
	inc := func(n uint32) Identity { id := testID(7); id.Incarnation = n; return id }
	overseas := testID(7)
	overseas.Cluster = "atlantic"
	members := map[topo.RouterID]Member{7: {PublicKey: testKey(t, 7).Public()}}
	verify := VerifyMembers(func(r topo.RouterID) (Member, bool) { m, ok := members[r]; return m, ok })

	for _, c := range []struct {
		name   string
		chain  [][]byte
		us     func(*Credential)
		member *Member
		want   error
		says   string
	}{
		{name: "good", chain: peer.Chain},
		{name: "good, without the root", chain: peer.Chain[:2]},
		{name: "good, a second intermediate of the same root", chain: testCredential(t, foreign, testID(7), testNow).Chain},
		{name: "our clock 59 minutes slow", chain: peer.Chain, us: at(-59 * time.Minute)},
		{name: "our clock 61 minutes slow", chain: peer.Chain, us: at(-61 * time.Minute), want: ErrNotYetValid, says: "check the clocks"},
		{name: "expired", chain: peer.Chain, us: at(25 * time.Hour), want: ErrExpired, says: "let it renew"},
		{name: "expired within grace", chain: peer.Chain, us: func(c *Credential) { at(25 * time.Hour)(c); c.Grace = 2 * time.Hour }},
		{name: "expired after grace", chain: peer.Chain, us: func(c *Credential) { at(27 * time.Hour)(c); c.Grace = 2 * time.Hour }, want: ErrExpired},
		{name: "earlier incarnation", chain: testCredential(t, auth, inc(1), testNow).Chain, want: ErrWrongIncarnation, says: "join again"},
		{name: "later incarnation", chain: testCredential(t, auth, inc(3), testNow).Chain, want: ErrWrongIncarnation, says: "restored without this router"},
		{name: "another cluster", chain: testCredential(t, atlantic, overseas, testNow).Chain, want: ErrWrongCluster, says: "atlantic"},
		{name: "another root of the same name", chain: testCredential(t, impostor, testID(7), testNow).Chain, want: ErrStranger, says: "claims to be r7"},
		{name: "no intermediate", chain: peer.Chain[:1], want: ErrStranger},
		{name: "none", chain: nil, want: ErrStranger},
		{name: "an intermediate as leaf", chain: peer.Chain[1:], want: ErrStranger},
		{name: "too many", chain: append(append([][]byte{}, peer.Chain...), peer.Chain...), want: ErrStranger},
		{name: "rubbish", chain: [][]byte{[]byte("rubbish")}, want: ErrStranger},
		{name: "huge", chain: [][]byte{bytes.Repeat([]byte{0x30}, maxCert+1)}, want: ErrStranger},
		{name: "a leaf that signs", chain: leafThatSigns(t, peer), want: ErrStranger},
		{name: "revoked", chain: peer.Chain, member: &Member{PublicKey: testKey(t, 7).Public(), Revoked: true}, want: ErrRevoked, says: "new token"},
		{name: "another key than the catalog's", chain: peer.Chain, member: &Member{PublicKey: testKey(t, 8).Public()}, want: ErrWrongKey, says: Fingerprint(testKey(t, 8).Public())},
		{name: "not in the catalog", chain: testCredential(t, auth, testID(9), testNow).Chain, want: ErrUnknownRouter, says: "retry"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cred := *us
			if c.us != nil {
				c.us(&cred)
			}
			good := members[7]
			defer func() { members[7] = good }()
			if c.member != nil {
				members[7] = *c.member
			}
			id, err := cred.CheckPeer(c.chain, verify)
			if c.want == nil {
				if err != nil || id != testID(7) {
					t.Fatalf("%v, %v", id, err)
				}
				return
			}
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v\nwant %v, with %q in it", err, c.want, c.says)
			}
			if Known(err) == (errors.Is(err, ErrStranger) || errors.Is(err, ErrWrongCluster)) {
				t.Errorf("Known says %v of %v", Known(err), err)
			}
			t.Log(err)
		})
	}
}

// leafThatSigns is a chain in which a router issues a certificate with its own leaf.
func leafThatSigns(t *testing.T, peer *Credential) [][]byte {
	t.Helper()
	parent, err := x509.ParseCertificate(peer.Chain[0])
	if err != nil {
		t.Fatal(err)
	}
	uri, _ := url.Parse(testID(1).URI())
	key := testKey(t, 50)
	der, err := x509.CreateCertificate(nil, &x509.Certificate{
		SerialNumber: parent.SerialNumber, URIs: []*url.URL{uri}, NotBefore: parent.NotBefore, NotAfter: parent.NotAfter,
	}, parent, key.Public(), peer.Key.Signer())
	if err != nil {
		t.Fatal(err)
	}
	return append([][]byte{der}, peer.Chain...)
}

// A signature can be encoded in ways that its signer never saw. Revocation does not look at bytes, so it makes no difference.
func TestRevocationIsNotByBytes(t *testing.T) {
	auth := testAuthority(t)
	us := testCredential(t, auth, testID(1), testNow)
	key := testKey(t, 7)
	verify := VerifyMembers(func(topo.RouterID) (Member, bool) { return Member{PublicKey: key.Public(), Revoked: true}, true })
	for i := range 3 {
		leaf, err := auth.Issue(key.Public(), testID(7), testNow.Add(time.Duration(i)*time.Second), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := us.CheckPeer(append([][]byte{leaf}, auth.Chain()...), verify); !errors.Is(err, ErrRevoked) {
			t.Errorf("certificate %d of a revoked router: %v", i, err)
		}
	}
}

func TestCredentialCheck(t *testing.T) {
	auth := testAuthority(t)
	c := testCredential(t, auth, testID(7), testNow)
	if err := c.Check(testNow); err != nil {
		t.Error(err)
	}
	if err := c.Check(testNow.Add(48 * time.Hour)); !errors.Is(err, ErrExpired) {
		t.Errorf("two days later: %v", err)
	}
	c.Key = testKey(t, 8)
	if err := c.Check(testNow); err == nil || !strings.Contains(err.Error(), "do not belong together") {
		t.Errorf("with another key: %v", err)
	}
	var none *Credential
	if err := none.Check(testNow); !errors.Is(err, ErrNoCredential) {
		t.Errorf("none: %v", err)
	}
	if end, err := c.NotAfter(); err != nil || !end.Equal(testNow.Add(24*time.Hour)) {
		t.Errorf("ends %v, %v", end, err)
	}
}

func TestIssueStaysWithinItsAuthority(t *testing.T) {
	auth := testAuthority(t)
	pub := testKey(t, 7).Public()
	leaf, err := auth.Issue(pub, testID(7), auth.NotAfter().Add(-time.Hour), 24*time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(leaf)
	if err != nil || !cert.NotAfter.Equal(auth.NotAfter()) {
		t.Errorf("ends %v (%v), its authority %v", cert.NotAfter, err, auth.NotAfter())
	}
	bad := testID(7)
	bad.Zone = "ap-tokyo-a"
	foreign := testID(7)
	foreign.Cluster = "atlantic"
	for name, f := range map[string]func() ([]byte, error){
		"ended":           func() ([]byte, error) { return auth.Issue(pub, testID(7), auth.NotAfter(), time.Hour) },
		"no lifetime":     func() ([]byte, error) { return auth.Issue(pub, testID(7), testNow, 0) },
		"bad identity":    func() ([]byte, error) { return auth.Issue(pub, bad, testNow, time.Hour) },
		"another cluster": func() ([]byte, error) { return auth.Issue(pub, foreign, testNow, time.Hour) },
		"short key":       func() ([]byte, error) { return auth.Issue(pub[:31], testID(7), testNow, time.Hour) },
		"no time":         func() ([]byte, error) { return auth.Issue(pub, testID(7), time.Time{}, time.Hour) },
	} {
		if _, err := f(); err == nil {
			t.Errorf("%s: issued", name)
		} else {
			t.Log(name+":", err)
		}
	}
	if _, err := NewRoot("No Such Name", testNow, source(1)); err == nil {
		t.Error("a root for a bad name")
	}
}

func TestAuthorityMarshal(t *testing.T) {
	root := testRoot(t, "pacific")
	auth := testAuthority(t)
	b, err := auth.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseAuthority(b)
	if err != nil {
		t.Fatal(err)
	}
	if again.Hash() != root.Hash() || again.Cluster() != "pacific" {
		t.Error("another authority came back")
	}
	us := testCredential(t, auth, testID(1), testNow)
	if _, err := us.CheckPeer(testCredential(t, again, testID(7), testNow).Chain, nil); err != nil {
		t.Errorf("what the parsed authority issues: %v", err)
	}
	r, err := root.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseRoot(r); err != nil {
		t.Error(err)
	}
	if _, err := ParseAuthority(r); err == nil {
		t.Error("a root is taken for an intermediate")
	}
	mixed, _ := testKey(t, 3).PEM()
	if _, err := ParseAuthority(append(mixed, EncodeChain(auth.Chain())...)); err == nil {
		t.Error("a key that does not belong is accepted")
	}
	if _, err := ParseChain(b); err == nil {
		t.Error("a chain with a private key in it is accepted")
	}
	chain, err := ParseChain(EncodeChain(auth.Chain()))
	if err != nil || len(chain) != 2 || !bytes.Equal(chain[1], root.Certificate()) {
		t.Errorf("chain does not come back: %v", err)
	}
}

func TestCSR(t *testing.T) {
	key := testKey(t, 7)
	der, err := NewCSR(key)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := CheckCSR(der)
	if err != nil || !pub.Equal(key.Public()) {
		t.Fatalf("%v", err)
	}
	altered := bytes.Clone(der)
	altered[len(altered)-1] ^= 1
	p256, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	other, _ := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, p256)
	named, _ := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "r1"}}, key.Signer())
	uri, _ := url.Parse(testID(1).URI())
	san, _ := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{URIs: []*url.URL{uri}}, key.Signer())
	for name, b := range map[string][]byte{
		"altered": altered, "P-256": other, "with a name": named, "with a URI": san, "huge": make([]byte, maxCSR+1), "empty": nil,
	} {
		if _, err := CheckCSR(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := NewCSR(Private{}); err == nil {
		t.Error("a request without a key")
	}
}

func FuzzCheckCSR(f *testing.F) {
	der, err := NewCSR(testKey(f, 7))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(der)
	f.Fuzz(func(t *testing.T, b []byte) {
		if pub, err := CheckCSR(b); err == nil && len(pub) != ed25519.PublicKeySize {
			t.Errorf("accepted with a key of %d bytes", len(pub))
		}
	})
}

// What ParseIdentity accepts it prints the same, and every identity that may stand in a certificate comes back.
func TestIdentityRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		region := rapid.StringMatching(`[a-z][a-z0-9]{0,8}`).Draw(t, "region")
		id := Identity{
			Cluster:     rapid.StringMatching(`[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?`).Draw(t, "cluster"),
			Incarnation: rapid.Uint32Min(1).Draw(t, "inc"),
			Region:      topo.Region(region), Zone: topo.Zone(region + "-" + rapid.StringMatching(`[a-z0-9]{1,3}`).Draw(t, "zone")),
			Router: topo.RouterID(rapid.Uint32Min(1).Draw(t, "router")),
		}
		got, err := ParseIdentity(id.URI())
		if err != nil || got != id {
			t.Fatalf("%s: %v, %v", id.URI(), got, err)
		}
	})
}

func FuzzParseIdentity(f *testing.F) {
	f.Add(testID(7).URI())
	f.Add("spiffe://pacific/inc/01/region/a/zone/a-a/router/1")
	f.Add("spiffe://u@pacific:1/inc/1/region/a/zone/a-a/router/1?q#f")
	f.Fuzz(func(t *testing.T, s string) {
		if id, err := ParseIdentity(s); err == nil && id.URI() != s {
			t.Errorf("%q is taken for %q", s, id.URI())
		}
	})
}

func FuzzTrustCheck(f *testing.F) {
	auth := testAuthority(f)
	c := testCredential(f, auth, testID(7), testNow)
	trust, err := c.Trust()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.Chain[0], c.Chain[1])
	f.Fuzz(func(t *testing.T, leaf, above []byte) {
		id, _, err := trust.Check([][]byte{leaf, above}, testNow)
		if err == nil && id != testID(7) {
			t.Errorf("believed to be %v", id)
		}
	})
}
