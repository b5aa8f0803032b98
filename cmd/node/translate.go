package node

import (
	"net/netip"
	"slices"

	"github.com/galleon-net/galleon/cmd/config"
	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/netcfg/plan"
)

// meshConfig is the catalog as the mesh sees it, with what this router's own configuration says of it.
func meshConfig(s *state.State, self topo.RouterID, own config.Config) fabric.Config {
	c := fabric.Config{
		Self: self, Cluster: s.Cluster.ID, Incarnation: s.Cluster.Incarnation, FabricMTU: s.Cluster.FabricMTU,
		Announce: own.Announced(s.GrantsOf(self)), Drain: s.Routers[self].Draining,
	}
	if own.Fabric.MTU != 0 {
		c.FabricMTU = own.Fabric.MTU
	}
	c.FabricMTU = min(c.FabricMTU, fabric.MaxMTU) // the catalog takes a little more, up to 9,000
	for id := topo.RouterID(1); id < s.NextRouter; id++ {
		r, ok := s.Routers[id]
		if !ok {
			continue
		}
		c.Routers = append(c.Routers, fabric.Router{
			ID: id, Name: r.Name, Region: r.Region, Zone: r.Zone, PublicKey: r.PublicKey, Endpoints: r.Forward,
			Loopbacks: r.Loopbacks, Grants: s.GrantsOf(id), Revoked: r.Revoked != nil,
		})
	}
	return c
}

// kernelConfig is what the kernel shall look like for a mesh that reaches these prefixes. Only the
// default segment is in the kernel's main view. The pools of loopbacks are guarded whole: control may dial
// a router that joined a moment ago before there is a route to it.
func kernelConfig(base plan.Config, mesh fabric.Config, routes fabric.RouteSet, pools []netip.Prefix) plan.Config {
	c := base
	c.Guards = append(c.Guards, pools...)
	c.MTU, c.Clamp = mesh.FabricMTU, true
	var source4, source6 netip.Addr
	for _, r := range mesh.Routers {
		if r.ID != mesh.Self {
			continue
		}
		for _, l := range r.Loopbacks {
			if l.Segment != topo.DefaultSegment {
				continue
			}
			c.Addresses = append(c.Addresses, l.Prefix)
			if l.Prefix.Addr().Is4() {
				source4 = l.Prefix.Addr()
			} else {
				source6 = l.Prefix.Addr()
			}
		}
	}
	for _, p := range mesh.Announce {
		if p.Segment == topo.DefaultSegment {
			c.Local = append(c.Local, p.Prefix)
		}
	}
	for _, p := range routes.Prefixes {
		if p.Segment != topo.DefaultSegment || slices.Contains(c.Local, p.Prefix) {
			continue // another segment's, or what this router serves together with a second one
		}
		source := source4
		if p.Prefix.Addr().Is6() {
			source = source6
		}
		// A route's MTU counts more than its device's: it must not be more, too.
		c.Routes = append(c.Routes, plan.Route{Prefix: p.Prefix, MTU: min(p.MTU, mesh.FabricMTU), Source: source})
	}
	for _, p := range routes.Known {
		if p.Segment == topo.DefaultSegment && !slices.Contains(c.Addresses, p.Prefix) {
			c.Guards = append(c.Guards, p.Prefix)
		}
	}
	return c
}
