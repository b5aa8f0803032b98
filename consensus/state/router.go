package state

import (
	"fmt"
	"slices"

	"github.com/galleon-net/galleon/fabric/topo"
)

// MaxVoters is the most Raft voters that a cluster has.
const MaxVoters = 5

// live finds a router that is not revoked.
func (d *draft) live(id topo.RouterID) (Router, error) {
	r, ok := d.Routers[id]
	if !ok {
		return r, refuse(CodeNotFound, "router %s does not exist; galleon router list shows those that do", id)
	}
	if r.Revoked != nil {
		return r, refuse(CodeConflict, "router %s (%s) was revoked at %s", id, r.Name, r.Revoked.Time.UTC().Format("2006-01-02 15:04:05"))
	}
	return r, nil
}

func (*UpdateRouter) level() int     { return 1 }
func (o *UpdateRouter) what() string { return fmt.Sprintf("update the endpoints of router %s", o.ID) }

func (o *UpdateRouter) apply(d *draft) (Result, error) {
	r, err := d.live(o.ID)
	if err != nil {
		return Result{}, err
	}
	if err := checkEndpoints(o.Forward, o.Control, o.S3); err != nil {
		return Result{}, err
	}
	r.Forward, r.Control, r.S3, r.Feature = o.Forward, o.Control, o.S3, o.Feature
	edit(&d.Routers)[o.ID] = r
	return Result{}, nil
}

func (*RevokeRouter) level() int     { return 1 }
func (o *RevokeRouter) what() string { return fmt.Sprintf("revoke router %s", o.ID) }

func (o *RevokeRouter) apply(d *draft) (Result, error) {
	r, err := d.live(o.ID)
	if err != nil {
		return Result{}, err
	}
	if slices.Equal(d.Members, []topo.RouterID{o.ID}) {
		return Result{}, refuse(CodeConflict, "router %s (%s) is the only voter; the cluster would end with it", r.ID, r.Name)
	}
	r.Revoked = &Revocation{Time: d.now, Reason: d.reason}
	edit(&d.Routers)[o.ID] = r
	d.Grants = slices.DeleteFunc(slices.Clone(d.Grants), func(g Grant) bool { return g.Router == o.ID })
	d.Members = slices.DeleteFunc(slices.Clone(d.Members), func(m topo.RouterID) bool { return m == o.ID })
	if own := d.Owners[r.Region]; own.Router == o.ID {
		// The epoch is kept when nobody is left, so that the region's next router is fenced off from
		// what the old owner may still believe.
		next := Owner{Epoch: own.Epoch + 1}
		if rest := d.InRegion(r.Region); len(rest) > 0 {
			next.Router = rest[0].ID
		}
		edit(&d.Owners)[r.Region] = next
	}
	return Result{}, nil
}

func (*DrainRouter) level() int { return 1 }
func (o *DrainRouter) what() string {
	if o.On {
		return fmt.Sprintf("drain router %s", o.ID)
	}
	return fmt.Sprintf("end the drain of router %s", o.ID)
}

func (o *DrainRouter) apply(d *draft) (Result, error) {
	r, err := d.live(o.ID)
	if err != nil {
		return Result{}, err
	}
	r.Draining = o.On
	edit(&d.Routers)[o.ID] = r
	return Result{}, nil
}

func (*SetMembers) level() int     { return 1 }
func (o *SetMembers) what() string { return fmt.Sprintf("set the voters to %v", o.Members) }

func (o *SetMembers) apply(d *draft) (Result, error) {
	m := slices.Clone(o.Members)
	slices.Sort(m)
	m = slices.Compact(m)
	if len(m) == 0 || len(m) > MaxVoters {
		return Result{}, refuse(CodeInvalid, "%d voters: want 1 to %d", len(m), MaxVoters)
	}
	for _, id := range m {
		if _, err := d.live(id); err != nil {
			return Result{}, err
		}
	}
	d.Members = m
	return Result{}, nil
}

func (*SetFeature) level() int     { return 1 }
func (o *SetFeature) what() string { return fmt.Sprintf("raise the feature level to %d", o.Level) }

func (o *SetFeature) apply(d *draft) (Result, error) {
	if o.Level <= d.Cluster.FeatureLevel {
		return Result{}, refuse(CodeConflict, "the feature level is %d and can only rise", d.Cluster.FeatureLevel)
	}
	for _, id := range d.Members {
		if r := d.Routers[id]; r.Feature < o.Level {
			return Result{}, refuse(CodeConflict, "voter %s knows feature level %d only; upgrade it first", r.Name, r.Feature)
		}
	}
	d.Cluster.FeatureLevel = o.Level
	return Result{}, nil
}

func (*SetOwner) level() int { return 1 }
func (o *SetOwner) what() string {
	return fmt.Sprintf("make router %s the owner of the buckets in %s", o.Router, o.Region)
}

func (o *SetOwner) apply(d *draft) (Result, error) {
	r, err := d.live(o.Router)
	if err != nil {
		return Result{}, err
	}
	if r.Region != o.Region {
		return Result{}, refuse(CodeInvalid, "router %s is in %s, not in %s", r.Name, r.Region, o.Region)
	}
	if cur := d.Owners[o.Region]; cur.Epoch != o.Epoch {
		return Result{}, refuse(CodeConflict, "the lease of %s is at epoch %d by now, not %d", o.Region, cur.Epoch, o.Epoch)
	}
	edit(&d.Owners)[o.Region] = Owner{Router: o.Router, Epoch: o.Epoch + 1}
	return Result{Epoch: o.Epoch + 1}, nil
}
