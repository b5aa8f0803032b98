package transport

import (
	"fmt"
	"strings"

	"github.com/hashicorp/raft"

	"github.com/galleon-net/galleon/fabric/topo"
)

// maxDisk bounds the name of a disk.
const maxDisk = 32

// ServerID names one router's log on one disk, like r7-3f9a12. A router whose disk was lost comes back
// with another one: under its old name it would have forgotten votes that it gave.
func ServerID(r topo.RouterID, disk string) raft.ServerID {
	return raft.ServerID(r.String() + "-" + disk)
}

// Address is what Raft calls a router's address. Streams are dialled by router, so it is just that.
func Address(r topo.RouterID) raft.ServerAddress { return raft.ServerAddress(r.String()) }

// ParseServerID takes a ServerID apart.
func ParseServerID(id raft.ServerID) (topo.RouterID, string, error) {
	router, disk, ok := strings.Cut(string(id), "-")
	if !ok || disk == "" || len(disk) > maxDisk || strings.Trim(disk, "0123456789abcdef") != "" {
		return 0, "", fmt.Errorf("server %.60q: want a router and its disk in hex, like r7-3f9a12", id)
	}
	r, err := topo.ParseRouterID(router)
	if err != nil || r.String() != router {
		return 0, "", fmt.Errorf("server %.60q: want a router and its disk in hex, like r7-3f9a12", id)
	}
	return r, disk, nil
}

// RouterOf gives the router of an address, 0 for none.
func RouterOf(a raft.ServerAddress) topo.RouterID {
	r, err := topo.ParseRouterID(string(a))
	if err != nil {
		return 0
	}
	return r
}
