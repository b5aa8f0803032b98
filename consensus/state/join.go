package state

import (
	"bytes"
	"crypto/ed25519"
	"crypto/subtle"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Bounds on what a router may say of itself.
const (
	maxEndpoints = 16
	maxURL       = 256
	maxPrefixes  = 64
	// minFabricMTU is the least MTU of IPv6 (RFC 8200 section 5).
	minFabricMTU = 1280
	maxFabricMTU = 9000
)

func (*Init) level() int { return 1 }
func (o *Init) what() string {
	return fmt.Sprintf("create cluster %s with its first router in %s", o.Cluster.ID, o.Zone)
}

func (o *Init) apply(d *draft) (Result, error) {
	if o.Cluster.ID == "" {
		return Result{}, refuse(CodeInvalid, "a cluster has an id")
	}
	if o.Cluster.FabricMTU < minFabricMTU || o.Cluster.FabricMTU > maxFabricMTU {
		return Result{}, refuse(CodeInvalid, "fabric MTU %d: want %d to %d", o.Cluster.FabricMTU, minFabricMTU, maxFabricMTU)
	}
	if len(o.Cluster.Loopbacks) == 0 {
		return Result{}, refuse(CodeInvalid, "a cluster has a pool of loopback addresses")
	}
	d.Cluster = o.Cluster
	d.Cluster.Created = d.now
	d.Cluster.Incarnation = max(1, o.Cluster.Incarnation)
	d.Segments = map[topo.SegmentID]Segment{topo.DefaultSegment: {ID: topo.DefaultSegment, Name: "default"}}
	sealed := edit(&d.Sealed)
	for k, v := range o.Sealed {
		sealed[k] = v
	}
	d.NextRouter = 1
	id, err := d.addRouter(o.Router, o.Region, o.Zone, o.Prefixes)
	if err != nil {
		return Result{}, err
	}
	d.Members = []topo.RouterID{id}
	return Result{Router: id}, nil
}

func (*CreateToken) level() int { return 1 }
func (o *CreateToken) what() string {
	return fmt.Sprintf("create token %s for a router in %s, good until %s", o.Token.ID, o.Token.Zone, o.Token.Expires.UTC().Format(time.RFC3339))
}

func (o *CreateToken) apply(d *draft) (Result, error) {
	t := o.Token
	if err := checkPlace(t.Region, t.Zone); err != nil {
		return Result{}, err
	}
	if t.ID == "" {
		return Result{}, refuse(CodeInvalid, "a token has an id")
	}
	if _, ok := d.Tokens[t.ID]; ok {
		return Result{}, refuse(CodeConflict, "token %s exists already", t.ID)
	}
	if !t.Expires.After(d.now) {
		return Result{}, refuse(CodeInvalid, "token %s would have expired at %s already; is this router's clock right?", t.ID, t.Expires.UTC().Format(time.RFC3339))
	}
	if t.Pool != "" {
		if _, ok := d.Pools[t.Pool]; !ok {
			return Result{}, refuse(CodeNotFound, "pool %q does not exist; create it with: galleon pool create %s", t.Pool, t.Pool)
		}
	}
	for _, p := range t.Prefixes {
		if err := d.checkPrefix(p, t.Region); err != nil {
			return Result{}, err
		}
	}
	t.Created, t.UsedBy = d.now, 0
	edit(&d.Tokens)[t.ID] = t
	return Result{}, nil
}

func (*DeleteToken) level() int     { return 1 }
func (o *DeleteToken) what() string { return "delete token " + o.ID }

func (o *DeleteToken) apply(d *draft) (Result, error) {
	t, ok := d.Tokens[o.ID]
	if !ok {
		return Result{}, refuse(CodeNotFound, "token %q does not exist; galleon token list shows those that do", o.ID)
	}
	if t.UsedBy != 0 {
		return Result{}, refuse(CodeConflict, "token %s was used by %s already; to put that router out: galleon router revoke %s", t.ID, t.UsedBy, t.UsedBy)
	}
	delete(edit(&d.Tokens), o.ID)
	return Result{}, nil
}

func (*Join) level() int     { return 1 }
func (o *Join) what() string { return "join with token " + o.TokenID }

func (o *Join) apply(d *draft) (Result, error) {
	t, ok := d.Tokens[o.TokenID]
	if !ok {
		return Result{}, refuse(CodeDenied, "token %s is not known to this cluster: it was deleted, or made by another one", o.TokenID)
	}
	if subtle.ConstantTimeCompare(t.Hash[:], o.TokenHash[:]) != 1 {
		return Result{}, refuse(CodeDenied, "token %s is not as it was made: something in it was altered; ask for a new one", o.TokenID)
	}
	if t.UsedBy != 0 {
		if r := d.Routers[t.UsedBy]; r.Revoked == nil && bytes.Equal(r.PublicKey, o.Router.PublicKey) {
			d.note = fmt.Sprintf("router %s (%s) asked again with token %s", r.ID, r.Name, t.ID)
			return Result{Router: r.ID}, nil
		}
		return Result{}, refuse(CodeDenied, "token %s was used by another router already; a token is good for one router: ask for a new one", t.ID)
	}
	if d.now.After(t.Expires) {
		return Result{}, refuse(CodeDenied, "token %s expired at %s; ask for a new one", t.ID, t.Expires.UTC().Format(time.RFC3339))
	}
	prefixes := t.Prefixes
	if t.Pool != "" {
		p, err := d.allocate(d.Pools[t.Pool])
		if err != nil {
			return Result{}, err
		}
		prefixes = append(slices.Clone(prefixes), p)
	}
	id, err := d.addRouter(o.Router, t.Region, t.Zone, prefixes)
	if err != nil {
		return Result{}, err
	}
	t.UsedBy = id
	edit(&d.Tokens)[t.ID] = t
	d.note = fmt.Sprintf("router %s (%s) joined with token %s", id, d.Routers[id].Name, t.ID)
	return Result{Router: id}, nil
}

// addRouter gives a router its number, name, loopbacks and grants, and its region an owner.
func (d *draft) addRouter(n NewRouter, region topo.Region, zone topo.Zone, prefixes []topo.SegPrefix) (topo.RouterID, error) {
	if err := checkPlace(region, zone); err != nil {
		return 0, err
	}
	if err := checkNew(n); err != nil {
		return 0, err
	}
	if len(prefixes) > maxPrefixes {
		return 0, refuse(CodeInvalid, "%d prefixes for one router, at most %d", len(prefixes), maxPrefixes)
	}
	inZone := 1
	for _, r := range d.Routers {
		if bytes.Equal(r.PublicKey, n.PublicKey) {
			return 0, refuse(CodeConflict, "the key is that of router %s; a router that joins makes a new key", r.Name)
		}
		if r.Zone == zone {
			inZone++
		}
	}
	id := d.NextRouter
	r := Router{
		ID: id, Name: fmt.Sprintf("%s-%d", zone, inZone), Region: region, Zone: zone, PublicKey: n.PublicKey, Joined: d.now,
		Forward: n.Forward, Control: n.Control, S3: n.S3, Feature: n.Feature,
	}
	for _, pool := range d.Cluster.Loopbacks {
		a, ok := nthAddr(pool, uint64(id))
		if !ok {
			return 0, refuse(CodeConflict, "the loopback pool %s has no address for router %s", pool, id)
		}
		r.Loopbacks = append(r.Loopbacks, topo.SegPrefix{Segment: topo.DefaultSegment, Prefix: netip.PrefixFrom(a, a.BitLen())})
	}
	for _, p := range prefixes {
		if err := d.grant(Grant{Prefix: p, Router: id}, region); err != nil {
			return 0, err
		}
	}
	d.NextRouter++
	edit(&d.Routers)[id] = r
	if o := d.Owners[region]; o.Router == 0 {
		edit(&d.Owners)[region] = Owner{Router: id, Epoch: o.Epoch + 1}
	}
	return id, nil
}

func checkPlace(region topo.Region, zone topo.Zone) error {
	if err := topo.CheckRegion(region); err != nil {
		return refuse(CodeInvalid, "%v", err)
	}
	if err := topo.CheckZone(region, zone); err != nil {
		return refuse(CodeInvalid, "%v", err)
	}
	return nil
}

func checkNew(n NewRouter) error {
	if len(n.PublicKey) != ed25519.PublicKeySize {
		return refuse(CodeInvalid, "public key of %d bytes, want %d (Ed25519)", len(n.PublicKey), ed25519.PublicKeySize)
	}
	return checkEndpoints(n.Forward, n.Control, n.S3)
}

func checkEndpoints(forward, control []netip.AddrPort, s3 string) error {
	for _, list := range [][]netip.AddrPort{forward, control} {
		if len(list) > maxEndpoints {
			return refuse(CodeInvalid, "%d endpoints, at most %d", len(list), maxEndpoints)
		}
		for _, a := range list {
			if !a.IsValid() || a.Addr().IsUnspecified() || a.Addr().IsMulticast() || a.Port() == 0 {
				return refuse(CodeInvalid, "endpoint %s cannot be dialled: want an address and a port", a)
			}
		}
	}
	if len(s3) > maxURL {
		return refuse(CodeInvalid, "object endpoint of %d characters, at most %d", len(s3), maxURL)
	}
	return nil
}
