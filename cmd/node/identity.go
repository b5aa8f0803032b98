package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
)

// Files in the identity directory. All are mode 0600.
const (
	keyFile   = "router.key"    // the private key, PEM
	chainFile = "router.crt"    // leaf, intermediate and root, PEM
	selfFile  = "identity.json" // written last: its presence means that the router is a member
	vaultFile = "vault.key"     // voters only
	rootFile  = "root.key"      // on the first router, until the operator moves it away
)

// identityFormat is the format of identity.json.
const identityFormat = 1

// certGrace is how long certificates are taken past their end while no authority answers.
const certGrace = 72 * time.Hour

// identity is who this router is.
type identity struct {
	Format      int           `json:"format"`
	Cluster     string        `json:"cluster"`
	Incarnation uint32        `json:"incarnation"`
	Router      topo.RouterID `json:"router"`
	Name        string        `json:"name"`
	Region      topo.Region   `json:"region"`
	Zone        topo.Zone     `json:"zone"`
	// TenantKey keys chunk identities; every router that stores objects has it.
	TenantKey [32]byte `json:"tenant_key"`

	credential *keys.Credential
}

// loadIdentity reads the identity; a router that has not joined yet gets nil.
func loadIdentity(dir string) (*identity, error) {
	b, err := keys.ReadSecret(filepath.Join(dir, selfFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read identity: %w", err)
	}
	id := &identity{}
	if err := json.Unmarshal(b, id); err != nil {
		return nil, fmt.Errorf("read identity in %s: %w", dir, err)
	}
	if id.Format != identityFormat {
		return nil, fmt.Errorf("identity in %s has format %d, this version knows %d", dir, id.Format, identityFormat)
	}
	key, err := keys.LoadPrivate(filepath.Join(dir, keyFile))
	if err != nil {
		return nil, err
	}
	pem, err := keys.ReadSecret(filepath.Join(dir, chainFile))
	if err != nil {
		return nil, fmt.Errorf("read certificate: %w", err)
	}
	chain, err := keys.ParseChain(pem)
	if err != nil {
		return nil, fmt.Errorf("read certificate in %s: %w", dir, err)
	}
	id.credential = &keys.Credential{Key: key, Chain: chain, Grace: certGrace}
	return id, nil
}

// save writes the identity so that it is there whole or not at all: identity.json comes last.
func (id *identity) save(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("save identity: %w", err)
	}
	if err := id.credential.Key.Save(filepath.Join(dir, keyFile)); err != nil {
		return err
	}
	if err := keys.WriteSecret(filepath.Join(dir, chainFile), keys.EncodeChain(id.credential.Chain)); err != nil {
		return fmt.Errorf("save certificate: %w", err)
	}
	id.Format = identityFormat
	b, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("save identity: %w", err)
	}
	if err := keys.WriteSecret(filepath.Join(dir, selfFile), b); err != nil {
		return fmt.Errorf("save identity: %w", err)
	}
	return nil
}

// joinKey gives the key to join with: the one of an attempt whose answer was lost, or a new one. So a
// router that asks again with the same token is recognised.
func joinKey(dir string) (keys.Private, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return keys.Private{}, fmt.Errorf("make key: %w", err)
	}
	path := filepath.Join(dir, keyFile)
	if _, err := os.Stat(path); err == nil {
		return keys.LoadPrivate(path)
	}
	key, err := keys.Generate(randReader)
	if err != nil {
		return keys.Private{}, err
	}
	return key, key.Save(path)
}
