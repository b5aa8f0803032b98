package node

import (
	"maps"
	"slices"

	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication"
)

// replicationTopology is the catalog as the replication sees it.
func replicationTopology(s *state.State) replication.Topology {
	t := replication.Topology{
		Buckets: s.Buckets, Regions: map[topo.Region][]topo.RouterID{}, Owners: map[topo.Region]topo.RouterID{}, Index: s.Index,
	}
	for _, name := range slices.Sorted(maps.Keys(s.Policies)) {
		t.Policies = append(t.Policies, s.Policies[name])
	}
	for _, r := range s.Live() {
		t.Regions[r.Region] = append(t.Regions[r.Region], r.ID)
	}
	for region, o := range s.Owners {
		if o.Router != 0 {
			t.Owners[region] = o.Router
		}
	}
	return t
}
