package node

import (
	"context"
	"fmt"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/topo"
)

// pathSeal is where a router that is not a voter has an access key's secret sealed. The router that was asked
// for the key makes it and proposes it itself, so that asking a second voter after a lost answer cannot
// leave a key behind whose secret nobody was shown.
const pathSeal = "/internal/seal"

// maxSecret bounds a secret of an access key in bytes.
const maxSecret = 128

type sealRequest struct {
	ID     string `json:"id"`
	Secret []byte `json:"secret"`
}

type sealReply struct {
	Sealed []byte `json:"sealed"`
}

// seal seals an access key's secret here, or has a voter do it.
func (c *Control) seal(ctx context.Context, m *member, id string, secret []byte) ([]byte, error) {
	if v := m.getVault(); v != nil {
		return v.seal(state.SealedKey(id), secret)
	}
	var r sealReply
	err := c.anyVoter(ctx, m, func(voter topo.RouterID) error {
		return c.askPeer(ctx, voter, pathSeal, sealRequest{id, secret}, &r)
	})
	return r.Sealed, err
}

// sealFor answers another router.
func (m *member) sealFor(r sealRequest) (sealReply, error) {
	if r.ID == "" || len(r.ID) > maxSecret || len(r.Secret) == 0 || len(r.Secret) > maxSecret {
		return sealReply{}, &admin.Error{Code: admin.CodeInvalid, Message: fmt.Sprintf("an access key of %d characters with a secret of %d", len(r.ID), len(r.Secret))}
	}
	v := m.getVault()
	if v == nil {
		return sealReply{}, &admin.Error{Code: admin.CodeUnavailable, Message: errNoVault.Error()}
	}
	sealed, err := v.seal(state.SealedKey(r.ID), r.Secret)
	return sealReply{sealed}, err
}
