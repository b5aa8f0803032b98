package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/fabric/keys"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/tunnel"
	"github.com/galleon-net/galleon/replication/s3"
)

// A router that was put out finds out in one of two ways: its catalog says so, when the change reached it
// before its sessions ended, or the voters that it dials do. From then on it takes no objects, since what it
// acknowledged nobody would fetch, and proposes nothing; it still says what it knows to its operator.

// revokedRetry is how often a revoked router asks again: it may have been told so by mistake of a catalog
// that was restored since.
const revokedRetry = 30 * time.Second

// errRevoked is what callers of a revoked router hear.
var errRevoked = &admin.Error{
	Code: admin.CodeDenied, Message: "this router was revoked: the others no longer speak with it",
	Hint: "to bring it back, give it an empty data_dir and join it with a new token",
}

// isRevoked says whether this router was put out.
func (c *Control) isRevoked(m *member) bool {
	return m.refused.Load() || m.consensus.View().Routers[m.id.Router].Revoked != nil
}

// hear follows what the sessions of the control half tell. It must not block.
func (c *Control) hear(e tunnel.Event) {
	c.tell(e)
	m := c.current()
	if m == nil {
		return
	}
	switch e := e.(type) {
	case tunnel.DialFailed:
		s := m.consensus.View()
		if errors.Is(e.Err, keys.ErrRevoked) && slices.Contains(s.Members, e.Peer) && s.Routers[e.Peer].Revoked == nil && !m.refused.Swap(true) {
			c.log.Error("this router was revoked", "says", nameOf(s, e.Peer), "next", errRevoked.Hint)
		}
	case tunnel.SessionUp:
		if slices.Contains(m.consensus.View().Members, e.Peer.Router) {
			m.refused.Store(false)
		}
	}
}

// paced keeps a revoked router from knocking at everybody's door all the time.
func (c *Control) paced(ctx context.Context, to topo.RouterID) error {
	m := c.current()
	if m == nil || !c.isRevoked(m) {
		return nil
	}
	t := time.NewTimer(revokedRetry)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("reach %s: %w", to, keys.ErrRevoked)
	}
}

// servingKeys refuses every object request of a router that was put out: what it acknowledged nobody would fetch.
type servingKeys struct {
	s3.SigningKeys
	c *Control
	m *member
}

func (k servingKeys) SigningKey(ctx context.Context, accessKey, date, region string) ([]byte, error) {
	if k.c.isRevoked(k.m) {
		return nil, fmt.Errorf("%w: %s", s3.ErrUnavailable, errRevoked.Message)
	}
	return k.SigningKeys.SigningKey(ctx, accessKey, date, region)
}
