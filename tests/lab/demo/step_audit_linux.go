package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/galleon-net/galleon/cmd/admin"
)

// audit reads every object whose PUT was answered with 200 back from the router that answered, and asks the cluster
// whether its own record of changes holds.
func (d *demo) audit(ctx context.Context) error {
	var lost []string
	for _, x := range []struct {
		place  place
		bucket string
		items  []item
	}{
		{hangzhou, models, slices.Concat(d.welcome, d.moving.items, d.later)},
		{singapore, ledger, d.ledger},
	} {
		bad, err := d.differences(ctx, x.place, x.bucket, x.items)
		if err != nil {
			return err
		}
		d.screen.say("%s objects acknowledged in %s: %d lost", thousands(int64(len(x.items))), x.place.name, len(bad))
		lost = append(lost, bad...)
	}
	d.report.AcknowledgedLost = int64(len(lost))
	if len(lost) > 0 {
		return expected("nothing acknowledged to be lost", "%d lost: %s", len(lost), some(lost))
	}
	if err := d.auditTrail(ctx); err != nil {
		return err
	}
	var s admin.ClusterStatusReply
	if err := d.router(hangzhou).galleon(ctx, &s, "cluster", "status"); err != nil {
		return err
	}
	d.report.Regions, d.report.Routers = s.Regions, s.Routers
	if s.Routers != len(d.routers) {
		return expected(fmt.Sprintf("a cluster of %d routers", len(d.routers)), "%d", s.Routers)
	}
	return nil
}

func (d *demo) auditTrail(ctx context.Context) error {
	var trail admin.ClusterAuditReply
	if err := d.command(ctx, d.router(hangzhou), &trail, "cluster", "audit", "--last", "5"); err != nil {
		return err
	}
	if !trail.Verified {
		return expected("an audit trail whose chain of hashes holds", "%s", trail.Problem)
	}
	for _, e := range trail.Entries {
		d.screen.say("%4d  %s  by %s", e.Seq, e.What, e.Author)
	}
	d.screen.say("its chain of hashes holds up to the head of the state")
	return nil
}
