package replication

import (
	"context"
	"log/slog"
	"net"
	"slices"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/store"
)

// Config is what an Engine is given.
type Config struct {
	Store  *store.Store
	Self   topo.RouterID
	Region topo.Region
	// Dial opens a stream to another router's engine. Read, Write and Close of the stream may be called at
	// the same time, and its deadlines end a Read or Write under way.
	Dial func(context.Context, topo.RouterID) (net.Conn, error)
	// Emit receives events; nil drops them. It must not block nor call the Engine.
	Emit func(Event)
}

// Topology is what the cluster agreed on, as far as replication goes.
type Topology struct {
	Buckets  map[string]object.Bucket
	Policies []object.Policy
	// Regions lists each region's live routers, and Owners the one that takes its writes.
	Regions map[topo.Region][]topo.RouterID
	Owners  map[topo.Region]topo.RouterID
	// Index is the catalog index that this is from.
	Index uint64
}

// regionOf finds a router's region.
func (t *Topology) regionOf(id topo.RouterID) topo.Region {
	for r, ids := range t.Regions {
		if slices.Contains(ids, id) {
			return r
		}
	}
	return ""
}

// Event is something that happened in replication.
type Event interface {
	Name() string
	slog.LogValuer
}
