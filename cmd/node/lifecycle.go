package node

import (
	"context"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication"
	"github.com/galleon-net/galleon/replication/object"
)

// keepLifecycles carries out the lifecycles of buckets, while this router owns its region's.
func (c *Control) keepLifecycles(ctx context.Context, m *member) error {
	x := replication.Expirer{
		Store: m.store, Region: m.id.Region,
		Buckets: func() map[string]object.Bucket { return m.consensus.View().Buckets },
		Owns:    func() bool { return m.consensus.View().Owners[m.id.Region].Router == m.id.Router },
		Exists:  func(r topo.Region) bool { return m.consensus.View().HasRegion(r) },
		Emit:    emit[replication.Event](c.log, "replication"),
	}
	x.Run(ctx, func(err error) { c.log.Error("carry out lifecycles", "err", err) })
	return nil
}
