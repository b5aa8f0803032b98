package fabric

import (
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"time"

	"github.com/galleon-net/galleon/fabric/seal"
	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/fabric/wire"
)

// Bounds on a Config.
const (
	MaxRouters     = 1024                 // of one cluster
	MaxEndpoints   = 16                   // of one router
	MaxLoopbacks   = 64                   // of one router
	MaxGrants      = 4096                 // of one router
	MaxAnnounce    = 2048                 // of this router; what a link-state record holds
	MaxMTU         = 9000 - wire.Overhead // octets of an IP packet; an underlay of 9,000 carries 28 or 48 fewer, one of 9,216 all
	minRekeyPacket = 1 << 10
)

// The defaults of a Config's zero fields.
const (
	DefaultMTU        = SafeMTU          // octets of an IP packet: fits a 1,500 octet underlay, also over IPv6
	DefaultRekeyAfter = 10 * time.Minute // WireGuard's users live well with 2; a handshake across an ocean is cheap at 10
)

// Config is what a Mesh works with: the catalog's routers, and what this router does. It travels as JSON
// from control to forward. A Mesh takes a new one at any time and changes only what differs.
type Config struct {
	Self        topo.RouterID `json:"self"`
	Cluster     string        `json:"cluster"`
	Incarnation uint32        `json:"incarnation"`           // of the cluster
	FabricMTU   int           `json:"fabric_mtu,omitempty"`  // largest IP packet, octets; 0 is DefaultMTU; a pair uses the lesser of both ends
	RekeyAfter  time.Duration `json:"rekey_after,omitempty"` // age of a pair's keys that asks for new ones; 0 is DefaultRekeyAfter

	// RekeyPackets is how many packets of 2 KiB, or more of smaller ones, under one key ask for a new one: at
	// most half of seal.MaxPackets, so that the handshake has the other half to finish in; 0 is that half.
	RekeyPackets uint64 `json:"rekey_packets,omitempty"`

	Routers  []Router         `json:"routers"`            // of the cluster, this one included, revoked ones too
	Announce []topo.SegPrefix `json:"announce,omitempty"` // prefixes that this router offers to carry packets to
	Drain    bool             `json:"drain,omitempty"`    // asks the others to go another way
}

// Router is one router as the catalog knows it.
type Router struct {
	ID        topo.RouterID    `json:"id"`
	Name      string           `json:"name,omitempty"`
	Region    topo.Region      `json:"region"`
	Zone      topo.Zone        `json:"zone"`
	PublicKey []byte           `json:"public_key"`          // Ed25519: its certificate's, and what signs its link-state
	Endpoints []netip.AddrPort `json:"endpoints,omitempty"` // of its forward process, in order of preference; none behind a NAT
	Loopbacks []topo.SegPrefix `json:"loopbacks,omitempty"` // single addresses: sources of its ICMP, targets of control
	Grants    []topo.SegPrefix `json:"grants,omitempty"`    // what it may announce and send from
	Revoked   bool             `json:"revoked,omitempty"`
}

// withDefaults fills the zero fields.
func (c Config) withDefaults() Config {
	if c.FabricMTU == 0 {
		c.FabricMTU = DefaultMTU
	}
	if c.RekeyAfter == 0 {
		c.RekeyAfter = DefaultRekeyAfter
	}
	if c.RekeyPackets == 0 {
		c.RekeyPackets = seal.MaxPackets / 2
	}
	return c
}

// Check refuses a Config that could not be carried out, with a sentence on what to change.
func (c Config) Check() error {
	c = c.withDefaults()
	switch {
	case c.Self == 0:
		return fmt.Errorf("fabric config: no router of its own: set self")
	case c.FabricMTU < wire.MinMTU || c.FabricMTU > MaxMTU:
		return fmt.Errorf("fabric config: MTU %d: want %d to %d", c.FabricMTU, wire.MinMTU, MaxMTU)
	case c.RekeyAfter < time.Second || c.RekeyAfter > seal.MaxAge/2:
		return fmt.Errorf("fabric config: rekey after %v: want a second to %v", c.RekeyAfter, seal.MaxAge/2)
	case c.RekeyPackets < minRekeyPacket || c.RekeyPackets > seal.MaxPackets/2:
		return fmt.Errorf("fabric config: rekey after %d packets: want %d to %d", c.RekeyPackets, minRekeyPacket, seal.MaxPackets/2)
	case len(c.Routers) > MaxRouters:
		return fmt.Errorf("fabric config: %d routers: at most %d fit a cluster", len(c.Routers), MaxRouters)
	case len(c.Announce) > MaxAnnounce:
		return fmt.Errorf("fabric config: %d announcements: a router offers at most %d; announce larger prefixes", len(c.Announce), MaxAnnounce)
	}
	seen := make(map[topo.RouterID]bool, len(c.Routers))
	for _, r := range c.Routers {
		if seen[r.ID] {
			return fmt.Errorf("fabric config: router %s is there twice", r.ID)
		}
		seen[r.ID] = true
		if err := r.check(); err != nil {
			return fmt.Errorf("fabric config: router %s: %w", r.ID, err)
		}
	}
	if !seen[c.Self] {
		return fmt.Errorf("fabric config: router %s is not among the cluster's %d", c.Self, len(c.Routers))
	}
	for _, p := range c.Announce {
		if err := checkPrefix(p); err != nil {
			return fmt.Errorf("fabric config: announce: %w", err)
		}
	}
	return nil
}

func (r Router) check() error {
	switch {
	case r.ID == 0:
		return fmt.Errorf("has no number")
	case len(r.PublicKey) != ed25519.PublicKeySize:
		return fmt.Errorf("public key has %d octets, want %d", len(r.PublicKey), ed25519.PublicKeySize)
	case len(r.Endpoints) > MaxEndpoints:
		return fmt.Errorf("%d endpoints, want at most %d", len(r.Endpoints), MaxEndpoints)
	case len(r.Loopbacks) > MaxLoopbacks:
		return fmt.Errorf("%d loopbacks, want at most %d", len(r.Loopbacks), MaxLoopbacks)
	case len(r.Grants) > MaxGrants:
		return fmt.Errorf("%d grants, want at most %d", len(r.Grants), MaxGrants)
	}
	for _, e := range r.Endpoints {
		if !e.IsValid() || e.Port() == 0 {
			return fmt.Errorf("endpoint %s: want an address and a port", e)
		}
	}
	for _, p := range r.Loopbacks {
		if err := checkPrefix(p); err != nil {
			return fmt.Errorf("loopback: %w", err)
		}
		if !p.Prefix.IsSingleIP() {
			return fmt.Errorf("loopback %s: want a single address", p)
		}
	}
	for _, p := range r.Grants {
		if err := checkPrefix(p); err != nil {
			return fmt.Errorf("grant: %w", err)
		}
	}
	return nil
}

func checkPrefix(p topo.SegPrefix) error {
	if !p.Prefix.IsValid() || p.Prefix != p.Prefix.Masked() || p.Prefix.Addr().Is4In6() {
		return fmt.Errorf("prefix %s: want an address range with no bits after its length", p)
	}
	return nil
}

// router finds one router of the config; nil when the config is nil or the router is not in it.
func (c *Config) router(id topo.RouterID) *Router {
	if c == nil {
		return nil
	}
	for i := range c.Routers {
		if c.Routers[i].ID == id {
			return &c.Routers[i]
		}
	}
	return nil
}

// granted says whether the router may announce p.
func (r *Router) granted(p topo.SegPrefix) bool {
	for _, g := range r.Grants {
		if g.Contains(p) {
			return true
		}
	}
	for _, l := range r.Loopbacks {
		if l == p {
			return true
		}
	}
	return false
}
