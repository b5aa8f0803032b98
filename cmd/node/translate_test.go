package node

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/galleon-net/galleon/cmd/config"
	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/netcfg/plan"
	"github.com/galleon-net/galleon/replication/object"
)

// RouterID is what tests write most.
type RouterID = topo.RouterID

func seg(list ...string) (out []topo.SegPrefix) {
	for _, s := range list {
		out = append(out, topo.SegPrefix{Prefix: netip.MustParsePrefix(s)})
	}
	return out
}

func nets(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// threeRouters is a catalog with two live routers and a revoked one between them.
func threeRouters() *state.State {
	s := state.New()
	s.Index, s.NextRouter = 40, 4
	s.Cluster = state.Cluster{ID: "g5a1c", Incarnation: 2, FabricMTU: 1380, Loopbacks: nets("100.127.0.0/16")}
	s.Routers = map[RouterID]state.Router{
		1: {ID: 1, Name: "cn-hangzhou-a-1", Region: "cn-hangzhou", Zone: "cn-hangzhou-a", Loopbacks: seg("100.127.0.1/32", "fd67::1/128"), Forward: []netip.AddrPort{netip.MustParseAddrPort("198.18.0.1:4700")}},
		2: {ID: 2, Name: "ap-tokyo-a-1", Region: "ap-tokyo", Zone: "ap-tokyo-a", Loopbacks: seg("100.127.0.2/32"), Revoked: &state.Revocation{}},
		3: {ID: 3, Name: "ap-tokyo-a-2", Region: "ap-tokyo", Zone: "ap-tokyo-a", Loopbacks: seg("100.127.0.3/32"), Draining: true},
	}
	s.Grants = []state.Grant{{Prefix: seg("10.1.0.0/24")[0], Router: 1}, {Prefix: seg("10.3.0.0/24")[0], Router: 3}}
	s.Members = []RouterID{1}
	s.Owners = map[topo.Region]state.Owner{"cn-hangzhou": {Router: 1, Epoch: 1}, "ap-tokyo": {Router: 3, Epoch: 2}, "eu-frankfurt": {Epoch: 4}}
	return s
}

func TestMeshConfig(t *testing.T) {
	c := meshConfig(threeRouters(), 3, config.Config{})
	if c.Self != 3 || c.Cluster != "g5a1c" || c.Incarnation != 2 || c.FabricMTU != 1380 || !c.Drain {
		t.Errorf("got %+v", c)
	}
	if !slices.Equal(c.Announce, seg("10.3.0.0/24")) {
		t.Errorf("announces %v", c.Announce)
	}
	var ids []RouterID
	for _, r := range c.Routers {
		ids = append(ids, r.ID)
	}
	if !slices.Equal(ids, []RouterID{1, 2, 3}) || !c.Routers[1].Revoked || c.Routers[0].Revoked {
		t.Errorf("routers %v, %+v", ids, c.Routers)
	}
	if !slices.Equal(c.Routers[0].Grants, seg("10.1.0.0/24")) || len(c.Routers[0].Endpoints) != 1 {
		t.Errorf("router 1 is %+v", c.Routers[0])
	}
	var own config.Config
	own.Fabric.Announce = []config.Prefix{{Prefix: nets("10.9.0.0/24")[0]}}
	own.Fabric.MTU = 8000
	if got := meshConfig(threeRouters(), 3, own); len(got.Announce) != 0 || got.FabricMTU != 8000 {
		t.Errorf("announces %v with MTU %d, want nothing with 8000", got.Announce, got.FabricMTU)
	}
	wide := threeRouters()
	wide.Cluster.FabricMTU = 9000
	if got := meshConfig(wide, 3, config.Config{}).FabricMTU; got != fabric.MaxMTU {
		t.Errorf("MTU %d, want the %d that a mesh takes", got, fabric.MaxMTU)
	}
}

func TestKernelConfig(t *testing.T) {
	mesh := meshConfig(threeRouters(), 1, config.Config{})
	other := topo.SegPrefix{Segment: 9, Prefix: netip.MustParsePrefix("10.3.0.0/24")}
	c := kernelConfig(plan.Config{Device: "galleon0"}, mesh, fabric.RouteSet{
		Prefixes: []fabric.Reach{
			{SegPrefix: seg("10.1.0.0/24")[0], MTU: 1380}, {SegPrefix: seg("10.3.0.0/24")[0], MTU: 1300},
			{SegPrefix: seg("fd00:3::/64")[0], MTU: 8952}, {SegPrefix: other, MTU: 1380},
		},
		Known: append(seg("10.1.0.0/24", "10.3.0.0/24", "100.127.0.1/32"), other),
	}, nets("100.127.0.0/16"))
	if c.Device != "galleon0" || c.MTU != 1380 || !c.Clamp || !slices.Equal(c.Addresses, nets("100.127.0.1/32", "fd67::1/128")) || !slices.Equal(c.Local, nets("10.1.0.0/24")) {
		t.Errorf("got %+v", c)
	}
	want := []plan.Route{
		{Prefix: nets("10.3.0.0/24")[0], MTU: 1300, Source: netip.MustParseAddr("100.127.0.1")},
		{Prefix: nets("fd00:3::/64")[0], MTU: 1380, Source: netip.MustParseAddr("fd67::1")},
	}
	if !slices.Equal(c.Routes, want) {
		t.Errorf("routes %v, want %v", c.Routes, want)
	}
	if !slices.Equal(c.Guards, nets("100.127.0.0/16", "10.1.0.0/24", "10.3.0.0/24")) {
		t.Errorf("guards %v", c.Guards)
	}
}

func TestReplicationTopology(t *testing.T) {
	s := threeRouters()
	s.Buckets = map[string]object.Bucket{"models": {Name: "models"}}
	s.Policies = map[string]object.Policy{"b": {Name: "b"}, "a": {Name: "a"}}
	top := replicationTopology(s)
	if top.Index != 40 || len(top.Buckets) != 1 || len(top.Policies) != 2 || top.Policies[0].Name != "a" {
		t.Errorf("got %+v", top)
	}
	if !slices.Equal(top.Regions["ap-tokyo"], []RouterID{3}) || top.Owners["ap-tokyo"] != 3 {
		t.Errorf("regions %v, owners %v", top.Regions, top.Owners)
	}
	if _, ok := top.Owners["eu-frankfurt"]; ok {
		t.Error("a region without a router has an owner")
	}
}
