package admin

// The messages about links, ways, routes and prefixes.

import (
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// LinkListRequest asks for a router's own links.
type LinkListRequest struct{}

// LinkListReply lists links as this end measures them.
type LinkListReply struct {
	Links []LinkInfo `json:"links"`
}

// LinkInfo is one direction of a link.
type LinkInfo struct {
	From     string        `json:"from"`
	To       string        `json:"to"`
	State    string        `json:"state"`
	RTT      time.Duration `json:"rtt_ns"`
	LossPPM  uint32        `json:"loss_ppm"`
	RateMbps float64       `json:"rate_mbps"`
	MTU      int           `json:"mtu"` // largest datagram to the other end, octets
	Lanes    []LaneInfo    `json:"lanes,omitempty"`
}

// LaneInfo is one source port that a link is sent by, as the sending router measures it.
type LaneInfo struct {
	State   string        `json:"state"` // used, left (it was worse than the others), untried (the other end heard nothing of it)
	Why     string        `json:"why,omitempty"`
	RTT     time.Duration `json:"rtt_ns"`
	LossPPM uint32        `json:"loss_ppm"`
	Share   float64       `json:"share"` // of flows, 0 to 1
	Packets uint64        `json:"packets"`
}

// PathShowRequest asks which way packets go between two regions or routers. It is answered from
// the link-state database of the router asked.
type PathShowRequest struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// PathShowReply is the way in use, why it is, and what else there is.
type PathShowReply struct {
	From         string        `json:"from"`
	To           string        `json:"to"`
	Reachable    bool          `json:"reachable"`
	Hops         []string      `json:"hops"`
	RTT          time.Duration `json:"rtt_ns"`
	DirectRTT    time.Duration `json:"direct_rtt_ns,omitempty"`
	Why          string        `json:"why"`
	Links        []LinkInfo    `json:"links"`
	Backup       []string      `json:"backup,omitempty"`
	BackupRTT    time.Duration `json:"backup_rtt_ns,omitempty"`
	Alternatives []PathOption  `json:"alternatives,omitempty"`
	Session      string        `json:"session,omitempty"` // direct or relayed, with its key epoch, when this router is From
}

// PathOption is a way that was considered.
type PathOption struct {
	Hops []string      `json:"hops"`
	RTT  time.Duration `json:"rtt_ns"`
	Note string        `json:"note"`
}

// RouteListRequest asks for the routes that this router programs.
type RouteListRequest struct{}

// RouteListReply lists routes, and whether the kernel has them (State: installed, missing, guard).
type RouteListReply struct {
	Routes []RouteInfo `json:"routes"`
	Drift  string      `json:"drift,omitempty"`
}

// RouteInfo is one prefix.
type RouteInfo struct {
	Prefix topo.SegPrefix `json:"prefix"`
	Router string         `json:"router"`
	Region topo.Region    `json:"region"`
	Next   string         `json:"next,omitempty"`
	Backup string         `json:"backup,omitempty"`
	State  string         `json:"state"`
}

// PrefixListRequest asks for the grants.
type PrefixListRequest struct{}

// PrefixListReply lists who may announce what, and who does.
type PrefixListReply struct {
	Prefixes []PrefixInfo `json:"prefixes"`
}

// PrefixInfo is one grant.
type PrefixInfo struct {
	Prefix    topo.SegPrefix `json:"prefix"`
	Router    string         `json:"router"`
	Region    topo.Region    `json:"region"`
	Announced bool           `json:"announced"`
}

// PrefixGrantRequest grants or withdraws.
type PrefixGrantRequest struct {
	Change
	Router string         `json:"router"`
	Prefix topo.SegPrefix `json:"prefix"`
}

// PoolCreateRequest makes a range from which tokens give prefixes of Bits length.
type PoolCreateRequest struct {
	Change
	Name  string         `json:"name"`
	Range topo.SegPrefix `json:"range"`
	Bits  int            `json:"bits"`
}
