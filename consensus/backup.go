package consensus

import (
	"context"
	"fmt"
	"io"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/topo"
)

// Backup writes the state as it is agreed on now. The audit trail is not part of it: it is read with
// Audit. What Backup writes has secrets in it only as the state has them, sealed.
func (n *Node) Backup(ctx context.Context, w io.Writer) error {
	s, err := n.Read(ctx, Linearizable)
	if err != nil {
		return fmt.Errorf("back up the catalog: %w", err)
	}
	b, err := image{Cluster: n.cfg.Cluster, State: s}.encode()
	if err == nil {
		_, err = w.Write(b)
	}
	if err != nil {
		return fmt.Errorf("back up the catalog: %w", err)
	}
	return nil
}

// ReadBackup reads what Backup wrote.
func ReadBackup(r io.Reader, cluster string) (*state.State, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxImage+1))
	if err != nil {
		return nil, fmt.Errorf("read backup: %w", err)
	}
	i, err := decodeImage(b, cluster)
	if err != nil {
		return nil, fmt.Errorf("read backup: %w", err)
	}
	return i.State, nil
}

// Restored gives the state with which a cluster goes on after its voters were lost: one voter, and an
// incarnation that no certificate or cursor of the time before carries. It is given to Bootstrap on
// the router that is left. Anything that the lost voters agreed on after the backup is gone, which is
// why the incarnation changes.
func Restored(s *state.State, voter topo.RouterID) (*state.State, error) {
	r, ok := s.Routers[voter]
	if !ok || r.Revoked != nil {
		return nil, fmt.Errorf("restore: router %s is not a live router of the backup", voter)
	}
	next := *s
	next.Cluster.Incarnation++
	next.Members = []topo.RouterID{voter}
	next.Done = nil
	return &next, nil
}
