package keys

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
)

// PEM block types.
const (
	pemPrivate     = "PRIVATE KEY"
	pemCertificate = "CERTIFICATE"
)

// Bounds on what is parsed. A chain of ours has three certificates of about 500 bytes.
const (
	maxChain = 4
	maxCert  = 4 << 10
)

// HashCA is what pins a root: the SHA-256 of its public key with its algorithm. Not of the whole
// certificate, so that a root renewed with the same key stays the same root.
func HashCA(rootDER []byte) ([32]byte, error) {
	c, err := x509.ParseCertificate(rootDER)
	if err != nil {
		return [32]byte{}, fmt.Errorf("hash of root certificate: %w", err)
	}
	return sha256.Sum256(c.RawSubjectPublicKeyInfo), nil
}

// EncodeChain writes certificates as PEM, in their order.
func EncodeChain(chain [][]byte) []byte {
	var b []byte
	for _, der := range chain {
		b = append(b, pem.EncodeToMemory(&pem.Block{Type: pemCertificate, Bytes: der})...)
	}
	return b
}

// ParseChain reads what EncodeChain wrote.
func ParseChain(b []byte) ([][]byte, error) {
	chain, key, err := decodePEM(b)
	if err != nil {
		return nil, err
	}
	if key != nil {
		return nil, errors.New("certificate chain: there is a private key in it, which must not travel with it")
	}
	return chain, nil
}

// Marshal writes certificate, chain and private key as PEM. Keep it as a secret, see WriteSecret.
func (c *ca) Marshal() ([]byte, error) {
	key, err := c.key.PEM()
	if err != nil {
		return nil, err
	}
	return append(key, EncodeChain(c.chain)...), nil
}

// ParseRoot reads what Root.Marshal wrote.
func ParseRoot(b []byte) (*Root, error) {
	c, err := parseCA(b, 1)
	if err != nil {
		return nil, fmt.Errorf("parse root: %w", err)
	}
	return &Root{*c}, nil
}

// ParseAuthority reads what Authority.Marshal wrote.
func ParseAuthority(b []byte) (*Authority, error) {
	c, err := parseCA(b, 2)
	if err != nil {
		return nil, fmt.Errorf("parse authority: %w", err)
	}
	return &Authority{*c}, nil
}

func parseCA(b []byte, certs int) (*ca, error) {
	chain, keyDER, err := decodePEM(b)
	if err != nil {
		return nil, err
	}
	if keyDER == nil || len(chain) != certs {
		return nil, fmt.Errorf("want a private key and %d certificates, found %d", certs, len(chain))
	}
	key, err := parsePKCS8(keyDER)
	if err != nil {
		return nil, err
	}
	var above *x509.Certificate
	for i := len(chain) - 1; i >= 0; i-- {
		cert, err := x509.ParseCertificate(chain[i])
		if err != nil {
			return nil, err
		}
		if above == nil {
			above = cert // the root signs itself
		}
		if err := cert.CheckSignatureFrom(above); err != nil {
			return nil, fmt.Errorf("certificate %q: %w", cert.Subject.CommonName, err)
		}
		if len(cert.Subject.Organization) != 1 || CheckCluster(cert.Subject.Organization[0]) != nil {
			return nil, fmt.Errorf("certificate %q names no cluster", cert.Subject.CommonName)
		}
		above = cert
	}
	if !key.Public().Equal(above.PublicKey) {
		return nil, fmt.Errorf("the private key does not belong to certificate %q", above.Subject.CommonName)
	}
	return &ca{key: key, cert: above, chain: chain}, nil
}

// decodePEM reads at most maxChain certificates and one private key, and nothing else.
func decodePEM(b []byte) (chain [][]byte, keyDER []byte, err error) {
	for rest := trimSpace(b); len(rest) > 0; rest = trimSpace(rest) {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil:
			return nil, nil, errors.New("PEM: there is something that is no PEM block")
		case block.Type == pemPrivate && keyDER == nil:
			keyDER = block.Bytes
		case block.Type == pemCertificate && len(chain) < maxChain && len(block.Bytes) <= maxCert:
			chain = append(chain, block.Bytes)
		default:
			return nil, nil, fmt.Errorf("PEM: block %q is one too many, too long, or of an unknown kind", block.Type)
		}
	}
	if len(chain) == 0 {
		return nil, nil, errors.New("PEM: no certificate found")
	}
	return chain, keyDER, nil
}

// hash256 hashes parts with their lengths, so that no two lists of parts hash alike by sliding a border.
func hash256(domain string, parts ...[]byte) [32]byte {
	h := sha256.New()
	for _, p := range append([][]byte{[]byte(domain)}, parts...) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write(p)
	}
	return [32]byte(h.Sum(nil))
}
