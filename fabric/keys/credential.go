package keys

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

// Credential is all that a router needs to prove who it is and to believe others. It is a value: a renewal makes
// a new one.
type Credential struct {
	Key   Private
	Chain [][]byte // DER: leaf, intermediate, root
	Roots [][]byte // DER: the roots that peers' chains may end in; nil for the last of Chain
	// Grace is how long past their end certificates are still taken (from peers, that is; it keeps traffic
	// flowing while no authority answers).
	Grace time.Duration
	// Now is the clock of handshakes, nil for time.Now.
	Now func() time.Time
}

// ErrNoCredential says that this router has no certificate yet.
var ErrNoCredential = errors.New("this router has no certificate yet: join it to a cluster with a token")

// Identity returns whom the leaf names.
func (c *Credential) Identity() (Identity, error) {
	if c == nil || len(c.Chain) == 0 {
		return Identity{}, ErrNoCredential
	}
	certs, err := parseChain(c.Chain[:1])
	if err != nil {
		return Identity{}, fmt.Errorf("our own certificate: %w", err)
	}
	return leafIdentity(certs[0])
}

// NotAfter returns when the leaf ends.
func (c *Credential) NotAfter() (time.Time, error) {
	if c == nil || len(c.Chain) == 0 {
		return time.Time{}, ErrNoCredential
	}
	certs, err := parseChain(c.Chain[:1])
	if err != nil {
		return time.Time{}, fmt.Errorf("our own certificate: %w", err)
	}
	return certs[0].NotAfter, nil
}

// Trust returns what peers are measured against: our roots, our cluster, our incarnation.
func (c *Credential) Trust() (Trust, error) {
	id, err := c.Identity()
	if err != nil {
		return Trust{}, err
	}
	roots := c.Roots
	if roots == nil {
		roots = c.Chain[len(c.Chain)-1:]
	}
	return Trust{Roots: roots, Cluster: id.Cluster, Incarnation: id.Incarnation, Grace: c.Grace}, nil
}

// Check says whether the credential is whole and good at a moment: the key belongs to the leaf, the chain leads to
// a root, the time is right. Call it when one is loaded or received, rather than at the first handshake.
func (c *Credential) Check(now time.Time) error {
	t, err := c.Trust()
	if err != nil {
		return err
	}
	_, pub, err := t.Check(c.Chain, now)
	if err != nil {
		return fmt.Errorf("our own credential: %w", err)
	}
	if !pub.Equal(c.Key.Public()) {
		return fmt.Errorf("our own credential: the certificate is for key %s, the private key is %s: the two files do not belong together",
			Fingerprint(pub), Fingerprint(c.Key.Public()))
	}
	return nil
}

// CheckPeer verifies the chain that a TLS peer sent: against Trust, then by verify (which may be nil).
func (c *Credential) CheckPeer(chain [][]byte, verify Verifier) (Identity, error) {
	t, err := c.Trust()
	if err != nil {
		return Identity{}, err
	}
	id, pub, err := t.Check(chain, c.now())
	if err != nil {
		return Identity{}, err
	}
	if verify != nil {
		if err := verify(id, pub); err != nil {
			return Identity{}, err
		}
	}
	return id, nil
}

// TLS returns a configuration for one side of a mutually authenticated connection: TLS 1.3 only, one of alpns and
// nothing else, no session tickets and so neither resumption nor 0-RTT, which would pass by the check. The
// library's own verification is switched off because it knows only host names; CheckPeer stands in its place,
// in VerifyConnection, which runs on every handshake.
func (c *Credential) TLS(alpns []string, verify Verifier, server bool) *tls.Config {
	conf := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		NextProtos:             alpns,
		Certificates:           []tls.Certificate{c.certificate()},
		SessionTicketsDisabled: true,
		VerifyConnection: func(cs tls.ConnectionState) error {
			if cs.DidResume {
				return errors.New("a resumed TLS session is not accepted")
			}
			_, err := c.CheckPeer(RawChain(cs), verify)
			return err
		},
	}
	if server {
		conf.ClientAuth = tls.RequireAnyClientCert
	} else {
		conf.InsecureSkipVerify = true // see above: VerifyConnection does it
		cert := c.certificate()
		// Sent whatever the server says that it would accept.
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
	}
	return conf
}

func (c *Credential) certificate() tls.Certificate {
	return tls.Certificate{Certificate: c.Chain, PrivateKey: c.Key.Signer()}
}

func (c *Credential) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// RawChain returns the certificates that the peer sent, as DER.
func RawChain(cs tls.ConnectionState) [][]byte {
	var chain [][]byte
	for _, cert := range cs.PeerCertificates {
		chain = append(chain, cert.Raw)
	}
	return chain
}
