package keys

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Verifier decides, with the catalog at hand, whether a router whose certificate is good may be believed. It is
// asked on every connection, and again about live sessions whenever the catalog changes.
type Verifier func(id Identity, pub ed25519.PublicKey) error

// Member is what the catalog knows of a router's identity.
type Member struct {
	PublicKey ed25519.PublicKey
	Revoked   bool
}

// VerifyMembers makes a Verifier of a look-up in the catalog. The look-up must be safe for concurrent use.
func VerifyMembers(lookup func(topo.RouterID) (Member, bool)) Verifier {
	return func(id Identity, pub ed25519.PublicKey) error {
		m, ok := lookup(id.Router)
		switch {
		case !ok:
			return fmt.Errorf("%w: %v: when it has just joined, this router's catalog may be behind, and a retry will do", ErrUnknownRouter, id)
		case m.Revoked:
			return fmt.Errorf("%w: %v: let it join again with a new token if it should come back", ErrRevoked, id)
		case !pub.Equal(m.PublicKey):
			return fmt.Errorf("%w: %v presents %s, the catalog has %s: revoke it and let it join again with a new token",
				ErrWrongKey, id, Fingerprint(pub), Fingerprint(m.PublicKey))
		}
		return nil
	}
}

// Fingerprint is the short form in which people compare public keys.
func Fingerprint(pub ed25519.PublicKey) string {
	if len(pub) == 0 {
		return "no key"
	}
	h := hash256("galleon public key", pub)
	return base64.RawURLEncoding.EncodeToString(h[:12])
}
