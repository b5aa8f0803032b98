package keys

import (
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
)

// maxCSR bounds a certificate request; ours have about 150 bytes.
const maxCSR = 4 << 10

// NewCSR makes a certificate request (PKCS #10) for key. It asks for no name: who the router will be is for
// the token to say, and a request that named itself would only invite somebody to believe it.
func NewCSR(key Private) ([]byte, error) {
	if key.IsZero() {
		return nil, errors.New("make certificate request: there is no key")
	}
	der, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{}, key.Signer())
	if err != nil {
		return nil, fmt.Errorf("make certificate request: %w", err)
	}
	return der, nil
}

// CheckCSR returns the public key that a request is for, when whoever made it holds the private key. Names and
// extensions that it asks for are refused rather than ignored.
func CheckCSR(der []byte) (ed25519.PublicKey, error) {
	if len(der) > maxCSR {
		return nil, fmt.Errorf("certificate request: %d bytes, at most %d are read", len(der), maxCSR)
	}
	r, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	pub, ok := r.PublicKey.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("certificate request: public key of type %T, want Ed25519", r.PublicKey)
	}
	if err := r.CheckSignature(); err != nil {
		return nil, fmt.Errorf("certificate request: it is not signed by the key that it is for: %w", err)
	}
	if len(r.Subject.Names) > 0 || len(r.Extensions) > 0 {
		return nil, errors.New("certificate request: it asks for a name or an extension: the token alone says who a router is")
	}
	return pub, nil
}
