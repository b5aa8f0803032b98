package keys

import (
	"crypto/ed25519"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/url"
	"time"
)

// Lifetimes and the allowance for slow clocks.
const (
	// Backdate is how long before its issue a certificate is already valid.
	Backdate = time.Hour
	// RootLife and IntermediateLife are from the moment of issue. A root outlives the machines; an
	// intermediate is renewed with the root's key, which the operator keeps.
	RootLife         = 20 * 365 * 24 * time.Hour
	IntermediateLife = 3 * 365 * 24 * time.Hour
)

// Root is the cluster's root certificate with its key. Only cluster init and the renewal of an intermediate
// need it; in between it lies offline.
type Root struct{ ca }

// Authority is an intermediate with its key: what a voter needs to issue leaves.
type Authority struct{ ca }

// ca is a certificate that signs others. The incarnation is not in it: after a restore the voters must be able
// to issue for the new one without the operator's root key.
type ca struct {
	key   Private
	cert  *x509.Certificate
	chain [][]byte // cert, then those above it up to the root
}

// NewRoot makes the root of a new cluster, valid from now on for RootLife.
func NewRoot(cluster string, now time.Time, rand io.Reader) (*Root, error) {
	if err := CheckCluster(cluster); err != nil {
		return nil, err
	}
	key, err := Generate(rand)
	if err != nil {
		return nil, err
	}
	t, err := caTemplate(cluster, "root", now, now.Add(RootLife), rand)
	if err != nil {
		return nil, err
	}
	t.MaxPathLen = 1
	c, err := newCA(t, t, key, key, nil, rand)
	if err != nil {
		return nil, fmt.Errorf("make root of cluster %s: %w", cluster, err)
	}
	return &Root{*c}, nil
}

// Intermediate makes an issuing authority with a key of its own.
func (r *Root) Intermediate(now time.Time, rand io.Reader) (*Authority, error) {
	key, err := Generate(rand)
	if err != nil {
		return nil, err
	}
	t, err := caTemplate(r.Cluster(), "intermediate", now, earlier(now.Add(IntermediateLife), r.cert.NotAfter), rand)
	if err != nil {
		return nil, err
	}
	t.MaxPathLenZero = true
	c, err := newCA(t, r.cert, key, r.key, r.chain, rand)
	if err != nil {
		return nil, fmt.Errorf("make intermediate of cluster %s: %w", r.Cluster(), err)
	}
	return &Authority{*c}, nil
}

// Issue signs a leaf for pub that says id, valid from Backdate before now until ttl after it, and never
// outside the authority's own time. The caller has decided that pub may be id.
func (a *Authority) Issue(pub ed25519.PublicKey, id Identity, now time.Time, ttl time.Duration) ([]byte, error) {
	doing := func(err error) error { return fmt.Errorf("issue certificate to %v: %w", id.Router, err) }
	if err := id.Check(); err != nil {
		return nil, doing(err)
	}
	if id.Cluster != a.Cluster() {
		return nil, doing(fmt.Errorf("this authority is of cluster %s, not %s", a.Cluster(), id.Cluster))
	}
	if len(pub) != ed25519.PublicKeySize {
		return nil, doing(fmt.Errorf("public key of %d bytes, want %d", len(pub), ed25519.PublicKeySize))
	}
	if ttl <= 0 {
		return nil, doing(fmt.Errorf("lifetime %v is not positive", ttl))
	}
	if !now.Before(a.cert.NotAfter) {
		return nil, doing(fmt.Errorf("the intermediate ended at %s: make a new one with the root key, or check this machine's clock (now %s)",
			stamp(a.cert.NotAfter), stamp(now)))
	}
	uri, err := url.Parse(id.URI())
	if err != nil {
		return nil, doing(err)
	}
	serial, err := leafSerial(pub, id, now)
	if err != nil {
		return nil, doing(err)
	}
	t := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{Organization: []string{id.Cluster}, CommonName: id.Router.String()},
		NotBefore:             later(now.Add(-Backdate), a.cert.NotBefore),
		NotAfter:              earlier(now.Add(ttl), a.cert.NotAfter),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
		URIs:                  []*url.URL{uri},
	}
	der, err := x509.CreateCertificate(nil, t, a.cert, pub, a.key.Signer())
	if err != nil {
		return nil, doing(err)
	}
	return der, nil
}

// Cluster is the cluster whose authority this is.
func (c *ca) Cluster() string { return c.cert.Subject.Organization[0] }

// Chain returns the certificates to put behind a leaf: intermediate, root.
func (c *ca) Chain() [][]byte { return append([][]byte(nil), c.chain...) }

// NotAfter is when the authority ends.
func (c *ca) NotAfter() time.Time { return c.cert.NotAfter }

// String names the certificate, never the key.
func (c *ca) String() string { return c.cert.Subject.CommonName }

// Certificate returns the root certificate (DER).
func (r *Root) Certificate() []byte { return r.chain[0] }

// Hash is what a Token carries of the root, see HashCA.
func (c *ca) Hash() [32]byte {
	h, err := HashCA(c.chain[len(c.chain)-1])
	if err != nil {
		panic("keys: root of an authority does not parse: " + err.Error()) // it did when the authority was made
	}
	return h
}

func caTemplate(cluster, kind string, now, end time.Time, rand io.Reader) (*x509.Certificate, error) {
	if !now.Add(-Backdate).Before(end) {
		return nil, fmt.Errorf("make %s of cluster %s: it would end at %s, before it begins: check this machine's clock", kind, cluster, stamp(end))
	}
	serial := make([]byte, 16)
	if _, err := io.ReadFull(rand, serial); err != nil {
		return nil, fmt.Errorf("make %s of cluster %s: %w", kind, cluster, err)
	}
	serial[0] = serial[0]&0x7f | 0x40 // positive and of full length (RFC 5280 §4.1.2.2)
	return &x509.Certificate{
		SerialNumber:                new(big.Int).SetBytes(serial),
		Subject:                     pkix.Name{Organization: []string{cluster}, CommonName: "galleon " + cluster + " " + kind},
		NotBefore:                   now.Add(-Backdate),
		NotAfter:                    end,
		KeyUsage:                    x509.KeyUsageCertSign,
		BasicConstraintsValid:       true,
		IsCA:                        true,
		PermittedDNSDomainsCritical: true, // the flag is for all name constraints
		PermittedURIDomains:         []string{cluster},
	}, nil
}

func newCA(t, parent *x509.Certificate, key, signer Private, above [][]byte, rand io.Reader) (*ca, error) {
	der, err := x509.CreateCertificate(rand, t, parent, key.Public(), signer.Signer())
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &ca{key: key, cert: cert, chain: append([][]byte{der}, above...)}, nil
}

// leafSerial derives a serial number from what is signed, so that Issue needs no source of randomness and two
// voters that issue the same leaf issue the same bytes.
func leafSerial(pub ed25519.PublicKey, id Identity, now time.Time) (*big.Int, error) {
	if now.IsZero() {
		return nil, errors.New("the time now is not set")
	}
	h := hash256("galleon leaf serial", pub, []byte(id.URI()), []byte(now.UTC().Format(time.RFC3339Nano)))
	h[0] = h[0]&0x7f | 0x40
	return new(big.Int).SetBytes(h[:16]), nil
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
