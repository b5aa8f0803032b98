package node

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"os"

	"github.com/galleon-net/galleon/fabric/keys"
)

// vaultKeySize is AES-256's.
const vaultKeySize = 32

// vault seals the catalog's secrets under a key that only voters have: AES-256-GCM with a random nonce
// in front and the secret's name as additional data, so that one secret cannot be put in another's place.
type vault struct {
	key  []byte
	aead cipher.AEAD
}

// errNoVault is for routers that are not voters.
var errNoVault = errors.New("this router is not a voter and cannot open the cluster's secrets")

func newVault(key []byte) (*vault, error) {
	if len(key) != vaultKeySize {
		return nil, fmt.Errorf("vault key of %d bytes, want %d", len(key), vaultKeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("open vault: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("open vault: %w", err)
	}
	return &vault{key, aead}, nil
}

func makeVaultKey() []byte {
	key := make([]byte, vaultKeySize)
	rand.Read(key)
	return key
}

// loadVault reads the key from a file; a router that has none gets nil.
func loadVault(path string) (*vault, error) {
	key, err := keys.ReadSecret(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read vault key: %w", err)
	}
	return newVault(key)
}

func (v *vault) seal(name string, secret []byte) ([]byte, error) {
	if v == nil {
		return nil, errNoVault
	}
	return v.aead.Seal(nil, nil, secret, []byte(name)), nil
}

func (v *vault) open(name string, sealed []byte) ([]byte, error) {
	if v == nil {
		return nil, errNoVault
	}
	secret, err := v.aead.Open(nil, nil, sealed, []byte(name))
	if err != nil {
		return nil, fmt.Errorf("open secret %q: it was not sealed under this cluster's vault key, or was altered: %w", name, err)
	}
	return secret, nil
}
