package node

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/topo"
)

// There are two gates. An admin call passes authorise on the router that it reaches; a command passes
// mayPropose on the leader when another router has passed it on. The first trusts the machine's accounts,
// the second nobody but the certificate.

// localOnly are calls that change this router itself: they come from its own machine or not at all.
var localOnly = []string{"ClusterInit", "ClusterJoin"}

// authorise is the one place that decides on admin calls. Whoever may connect to the socket (its mode says
// who) operates the cluster; a router of the cluster acts for the operator who connected to it.
func (c *Control) authorise(_ context.Context, caller admin.Caller, method string, _ any) error {
	if caller.Router == 0 {
		return nil
	}
	if slices.Contains(localOnly, method) {
		return &admin.Error{Code: admin.CodeDenied, Message: method + " is for the router's own machine"}
	}
	m, err := c.need()
	if err != nil {
		return err
	}
	_, err = liveRouter(m.consensus.View(), caller.Router)
	return err
}

// liveRouter finds a router that has a say.
func liveRouter(s *state.State, id topo.RouterID) (state.Router, error) {
	r, ok := s.Routers[id]
	if !ok || r.Revoked != nil {
		return r, &admin.Error{Code: admin.CodeDenied, Message: fmt.Sprintf("router %s is not in the catalog, or revoked", id)}
	}
	return r, nil
}

// mayPropose decides, on the leader, what a router may have carried out for others and for itself. Any
// router's operators operate the cluster, so most commands pass; what a router says of itself only it may
// say, and the cluster's own housekeeping is the voters'. Nobody signs with another router's name.
func mayPropose(s *state.State, from topo.RouterID, cmd state.Command) error {
	r, err := liveRouter(s, from)
	if err != nil {
		return err
	}
	if !saidBy(cmd.Author, r.Name) {
		return fmt.Errorf("router %s (%s) may not propose in the name of %q", from, r.Name, printable(cmd.Author))
	}
	voter := slices.Contains(s.Members, from)
	switch {
	case cmd.Init != nil:
		return fmt.Errorf("the cluster %s exists already", s.Cluster.ID)
	case cmd.UpdateRouter != nil && cmd.UpdateRouter.ID != from:
		return fmt.Errorf("router %s (%s) may not speak for router %s", from, r.Name, cmd.UpdateRouter.ID)
	case !voter && (cmd.SetMembers != nil || cmd.SetOwner != nil || cmd.SetFeature != nil):
		return fmt.Errorf("router %s (%s) is not a voter: voters, owners and the feature level are the voters' to set", from, r.Name)
	}
	return nil
}

// An author's last word is the router that vouches for the rest: "root@cn-hangzhou-a-1",
// "token k3x at cn-hangzhou-a-1", "root@ap-tokyo-a-1 through cn-hangzhou-a-1".

// saidBy says whether a router vouches for an author.
func saidBy(author, router string) bool {
	rest, ok := strings.CutSuffix(author, router)
	return ok && (rest == "" || strings.HasSuffix(rest, "@") || strings.HasSuffix(rest, " "))
}

// author is who asks, for the audit trail, on the word of the router with this name.
func author(ctx context.Context, router string) string {
	caller, _ := admin.CallerOf(ctx)
	if caller.Router != 0 {
		return caller.Name + " through " + router
	}
	return caller.Name + "@" + router
}
