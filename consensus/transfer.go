package consensus

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/fabric/topo"
)

// transferLimit is how long a transfer may take before the process is ended: one that is stuck keeps
// the leader from everything (raft#696).
const transferLimit = 30 * time.Second

// TransferLeadership hands leadership to a voter, or to the one that is farthest with 0. It may be
// called on any router.
func (n *Node) TransferLeadership(ctx context.Context, to topo.RouterID) error {
	ctx, cancel := context.WithTimeout(ctx, transferLimit)
	defer cancel()
	for tried := 0; ; tried++ {
		err := n.transferOnce(ctx, to, tried)
		var f *failure
		if !errors.As(err, &f) || f.Code != failNotLeader {
			return err
		}
		select {
		case <-time.After(retryFirst):
		case <-ctx.Done():
			return fmt.Errorf("transfer leadership: %w: %w", ErrNoLeader, err)
		}
	}
}

func (n *Node) transferOnce(ctx context.Context, to topo.RouterID, tried int) error {
	if v := n.voter.Load(); v != nil && v.isLeader() {
		return n.transferLocal(ctx, v, to)
	}
	l := n.whoLeads(tried)
	if l == 0 {
		return notLeader(0)
	}
	err := n.ask(ctx, l, msgTransfer, transferRequest{to}, &struct{}{})
	var f *failure
	if errors.As(err, &f) && f.Code == failNotLeader {
		n.learnLeader(l, f.Leader)
	}
	return err
}

func (n *Node) transferLocal(ctx context.Context, v *voter, to topo.RouterID) error {
	if !v.transfer.CompareAndSwap(false, true) {
		return errors.New("transfer leadership: one is under way already")
	}
	var target *raft.Server
	for _, s := range v.servers() {
		if s.Suffrage == raft.Voter && s.Address == raft.ServerAddress(to.String()) {
			target = &s
		}
	}
	if to != 0 && target == nil {
		v.transfer.Store(false)
		return fmt.Errorf("transfer leadership: router %s is not a voter", to)
	}
	done := make(chan error, 1)
	err := n.start(func(ctx context.Context) {
		defer v.transfer.Store(false)
		stuck := time.AfterFunc(transferLimit, func() {
			if ctx.Err() == nil && v.isLeader() {
				n.cfg.Fatal(fmt.Errorf("a transfer of leadership has taken %v", transferLimit))
			}
		})
		defer stuck.Stop()
		if target != nil {
			done <- v.raft.LeadershipTransferToServer(target.ID, target.Address).Error()
			return
		}
		done <- v.raft.LeadershipTransfer().Error()
	})
	if err != nil {
		v.transfer.Store(false)
		return err
	}
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("transfer leadership: %w", err)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("transfer leadership: %w", ctx.Err())
	}
}
