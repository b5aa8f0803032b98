package keys

import (
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// Trust is what a peer's certificate is measured against.
type Trust struct {
	Roots       [][]byte      // DER; a chain must end in one of them
	Cluster     string        // empty: any (a joining router knows only the root's hash)
	Incarnation uint32        // 0: any
	Grace       time.Duration // how long past its end a certificate is still taken, 0 for not at all
}

// Check verifies a chain as a TLS peer sent it (DER, leaf first) and returns whom it names. It says nothing
// about the catalog, which is for the Verifier to ask.
//
// The order of the checks decides which of several faults is named: the one that a person can act on first.
func (t Trust) Check(chain [][]byte, now time.Time) (Identity, ed25519.PublicKey, error) {
	none := func(err error) (Identity, ed25519.PublicKey, error) { return Identity{}, nil, err }
	certs, err := parseChain(chain)
	if err != nil {
		return none(fmt.Errorf("%w: %w", ErrStranger, err))
	}
	leaf := certs[0]
	id, err := leafIdentity(leaf)
	if err != nil {
		return none(fmt.Errorf("%w: %w", ErrStranger, err))
	}
	pub, ok := leaf.PublicKey.(ed25519.PublicKey)
	if !ok {
		return none(fmt.Errorf("%w: its public key is of type %T, want Ed25519", ErrStranger, leaf.PublicKey))
	}
	if t.Cluster != "" && id.Cluster != t.Cluster {
		return none(fmt.Errorf("%w: it names cluster %s, this is %s: check whose address this is", ErrWrongCluster, id.Cluster, t.Cluster))
	}
	if err := t.checkSignatures(certs); err != nil {
		return none(fmt.Errorf("%w (it claims to be %v): %w", ErrStranger, id, err))
	}
	if t.Incarnation != 0 && id.Incarnation != t.Incarnation {
		return none(wrongIncarnation(id, t.Incarnation))
	}
	for _, c := range certs {
		if err := checkTime(id, c, now, t.Grace); err != nil {
			return none(err)
		}
	}
	return id, pub, nil
}

func parseChain(chain [][]byte) ([]*x509.Certificate, error) {
	if len(chain) == 0 {
		return nil, errors.New("there is none")
	}
	if len(chain) > maxChain {
		return nil, fmt.Errorf("a chain of %d certificates, at most %d are read", len(chain), maxChain)
	}
	var certs []*x509.Certificate
	for _, der := range chain {
		if len(der) > maxCert {
			return nil, fmt.Errorf("a certificate of %d bytes, at most %d are read", len(der), maxCert)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		certs = append(certs, c)
	}
	return certs, nil
}

func leafIdentity(leaf *x509.Certificate) (Identity, error) {
	if len(leaf.URIs) != 1 {
		return Identity{}, fmt.Errorf("it carries %d URIs, want one that says who it is", len(leaf.URIs))
	}
	return ParseIdentity(leaf.URIs[0].String())
}

// checkSignatures asks crypto/x509 whether the chain leads to a root. It does so as of the leaf's first moment, at
// which every certificate above is valid by construction; times are then judged one by one, with errors
// that say whose time and what to do.
func (t Trust) checkSignatures(certs []*x509.Certificate) error {
	o := x509.VerifyOptions{
		Roots:         x509.NewCertPool(),
		Intermediates: x509.NewCertPool(),
		CurrentTime:   certs[0].NotBefore,
		KeyUsages:     []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}
	for _, der := range t.Roots {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("our own root certificate: %w", err)
		}
		o.Roots.AddCert(c)
	}
	for _, c := range certs[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := certs[0].Verify(o)
	return err
}

func wrongIncarnation(id Identity, ours uint32) error {
	if id.Incarnation < ours {
		return fmt.Errorf("%w: %v's is of incarnation %d, the cluster is in %d since it was restored: let it join again with a new token",
			ErrWrongIncarnation, id, id.Incarnation, ours)
	}
	return fmt.Errorf("%w: %v's is of incarnation %d, our own of %d: the cluster was restored without this router, let it join again with a new token",
		ErrWrongIncarnation, id, id.Incarnation, ours)
}

func checkTime(id Identity, c *x509.Certificate, now time.Time, grace time.Duration) error {
	whose := id.String()
	if c.IsCA {
		whose = "certificate " + c.Subject.CommonName + " above " + whose
	}
	if now.Before(c.NotBefore) {
		return fmt.Errorf("%w: %s begins at %s, %v from now by this machine's clock (%s): check the clocks of both machines",
			ErrNotYetValid, whose, stamp(c.NotBefore), c.NotBefore.Sub(now).Round(time.Second), stamp(now))
	}
	if now.After(c.NotAfter.Add(grace)) {
		return fmt.Errorf("%w: %s ended at %s, %v ago by this machine's clock (%s): let it renew, or join again with a new token; or check the clock",
			ErrExpired, whose, stamp(c.NotAfter), now.Sub(c.NotAfter).Round(time.Second), stamp(now))
	}
	return nil
}
