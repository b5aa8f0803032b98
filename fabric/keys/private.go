package keys

import (
	"crypto"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Private is an Ed25519 private key that does not slip out by accident: it prints as a placeholder under
// every verb, does not marshal, and cannot be compared with ==. The zero value holds no key.
//
// The key lives in a closure, not in a field. Package fmt reads unexported fields by reflection and
// passes by their String methods, so a key in a field would be printed by a %+v of any struct that
// holds a Private; a closure shows only an address.
type Private struct {
	reveal func() ed25519.PrivateKey
}

const redacted = "keys.Private(not shown)"

// errSecret is what marshalling a secret gives.
var errSecret = errors.New("a private key is not marshalled: write it with Save, or call PEM where it must travel")

// Generate makes a new key from rand, which must be a cryptographic source such as crypto/rand.Reader.
func Generate(rand io.Reader) (Private, error) {
	// ed25519.GenerateKey may ignore a given source; a seed read here obeys it, which tests rely on.
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(rand, seed); err != nil {
		return Private{}, fmt.Errorf("generate private key: %w", err)
	}
	return hold(ed25519.NewKeyFromSeed(seed)), nil
}

func hold(k ed25519.PrivateKey) Private {
	return Private{reveal: func() ed25519.PrivateKey { return k }}
}

// IsZero says whether p holds no key.
func (p Private) IsZero() bool { return p.reveal == nil }

// Public returns the public half, nil when p holds no key.
func (p Private) Public() ed25519.PublicKey {
	if p.IsZero() {
		return nil
	}
	return p.reveal().Public().(ed25519.PublicKey)
}

// Sign signs message with plain Ed25519 (RFC 8032). It panics when p holds no key.
func (p Private) Sign(message []byte) []byte { return ed25519.Sign(p.must(), message) }

// Signer gives the key to crypto/tls and crypto/x509. It panics when p holds no key.
func (p Private) Signer() crypto.Signer { return p.must() }

// Derive returns 32 bytes that only the holder of p can compute, another for every label (HKDF with
// SHA-256, RFC 5869). They stay the same for the life of the key.
func (p Private) Derive(label string) [32]byte {
	b, err := hkdf.Key(sha256.New, p.must().Seed(), []byte("galleon keys v1"), label, 32)
	if err != nil {
		panic("keys: HKDF of 32 bytes failed: " + err.Error()) // only lengths above 255 hashes fail
	}
	return [32]byte(b)
}

func (p Private) must() ed25519.PrivateKey {
	if p.IsZero() {
		panic("keys: use of a Private that holds no key")
	}
	return p.reveal()
}

// PEM returns the key as PKCS #8 in PEM. It is the one way out for the key's bytes; the caller keeps
// them off the log, the environment and the command line.
func (p Private) PEM() ([]byte, error) {
	if p.IsZero() {
		return nil, errors.New("encode private key: there is none")
	}
	der, err := x509.MarshalPKCS8PrivateKey(p.reveal())
	if err != nil {
		return nil, fmt.Errorf("encode private key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPrivate, Bytes: der}), nil
}

// ParsePrivate reads what PEM returned.
func ParsePrivate(b []byte) (Private, error) {
	block, rest := pem.Decode(b)
	if block == nil || block.Type != pemPrivate || len(trimSpace(rest)) > 0 {
		return Private{}, fmt.Errorf("private key: want one PEM block %q and nothing else", pemPrivate)
	}
	return parsePKCS8(block.Bytes)
}

func parsePKCS8(der []byte) (Private, error) {
	k, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		// The parser's own error is dropped: some of them quote what they could not read.
		return Private{}, errors.New("private key: the PEM block does not hold a PKCS #8 key")
	}
	ed, ok := k.(ed25519.PrivateKey)
	if !ok {
		return Private{}, fmt.Errorf("private key: is of type %T, want Ed25519", k)
	}
	return hold(ed), nil
}

// Format prints the placeholder, whatever the verb.
func (p Private) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// String, GoString and LogValue give the placeholder.
func (p Private) String() string { return redacted }

// GoString gives the placeholder.
func (p Private) GoString() string { return redacted }

// LogValue gives the placeholder.
func (p Private) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON, MarshalText and MarshalBinary always fail; the last also stops encoding/gob.
func (p Private) MarshalJSON() ([]byte, error) { return nil, errSecret }

// MarshalText always fails.
func (p Private) MarshalText() ([]byte, error) { return nil, errSecret }

// MarshalBinary always fails.
func (p Private) MarshalBinary() ([]byte, error) { return nil, errSecret }
