package node

import (
	"bytes"
	"context"
	"fmt"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/consensus"
	"github.com/galleon-net/galleon/fabric/topo"
)

// ClusterBackup gives the catalog as it is agreed on now, and reads it back before it is given.
func (a api) ClusterBackup(ctx context.Context, _ admin.ClusterBackupRequest) (admin.ClusterBackupReply, error) {
	var reply admin.ClusterBackupReply
	m, err := a.c.need()
	if err != nil {
		return reply, err
	}
	var b bytes.Buffer
	if err := m.consensus.Backup(ctx, &b); err != nil {
		return reply, apiError(err)
	}
	s, err := consensus.ReadBackup(bytes.NewReader(b.Bytes()), m.id.Cluster)
	if err != nil {
		return reply, apiError(err)
	}
	return admin.ClusterBackupReply{Cluster: s.Cluster.ID, Incarnation: s.Cluster.Incarnation, Index: s.Index, Data: b.Bytes()}, nil
}

// ClusterTransfer hands the leadership on, for maintenance of the router that has it.
func (a api) ClusterTransfer(ctx context.Context, r admin.ClusterTransferRequest) (admin.ClusterTransferReply, error) {
	var reply admin.ClusterTransferReply
	m, err := a.c.need()
	if err != nil {
		return reply, err
	}
	var to topo.RouterID
	if r.To != "" {
		x, _, err := a.router(r.To)
		if err != nil {
			return reply, err
		}
		to = x.ID
	}
	if s := m.consensus.View(); len(s.Members) < 2 {
		return reply, &admin.Error{Code: admin.CodeConflict, Message: "there is one voter only, so nobody to hand the leadership to",
			Hint: "routers in other regions become voters by themselves, a minute after they have joined"}
	}
	if err := m.consensus.TransferLeadership(ctx, to); err != nil {
		return reply, apiError(fmt.Errorf("hand the leadership on: %w", err))
	}
	reply.Leader = nameOf(m.consensus.View(), m.consensus.Status().Leader)
	return reply, nil
}
