// Package state is the document that a cluster agrees on, and the one function that changes it.
//
// A State is an immutable value: Apply gives a new one that shares what did not change. The same
// commands in the same order give the same bytes on every router, whatever its version, as long as
// each command is only used under the feature level that knows it. There is no clock here: a command
// carries the time at which the leader proposed it.
//
// What belongs here is intent: who is in the cluster, who may announce what, which buckets and
// policies there are. What is so at the moment (links, announcements) and what happened to an object
// does not. The whole state stays under MaxSize.
//
//	Init ─▶ CreateToken ─▶ Join ─▶ (SetMembers) ─▶ GrantPrefix, CreateBucket, ApplyPolicies, … ─▶ RevokeRouter
//
// The encoded form is one byte of format version and JSON with sorted keys. Secrets in it are sealed
// under the voters' key (see Sealed), so that any router may hold the state.
package state

import (
	"net/netip"
	"slices"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

// MaxSize bounds the encoded state in bytes.
const MaxSize = 16 << 20

// State is everything that the cluster agreed on up to Index.
type State struct {
	// Index is the index of the last command applied, in Raft's log.
	Index uint64 `json:"index"`
	// Time is the latest time that a command carried. It never goes back.
	Time    time.Time `json:"time"`
	Cluster Cluster   `json:"cluster"`

	Routers    map[topo.RouterID]Router   `json:"routers,omitempty"`
	NextRouter topo.RouterID              `json:"next_router"`
	Tokens     map[string]Token           `json:"tokens,omitempty"`
	Segments   map[topo.SegmentID]Segment `json:"segments,omitempty"`
	Pools      map[string]Pool            `json:"pools,omitempty"`
	// Grants are sorted by segment, prefix and router.
	Grants []Grant `json:"grants,omitempty"`

	Buckets  map[string]object.Bucket `json:"buckets,omitempty"`
	Policies map[string]object.Policy `json:"policies,omitempty"`
	// Owners says which router of a region takes the writes of its buckets.
	Owners map[topo.Region]Owner `json:"owners,omitempty"`
	Keys   map[string]AccessKey  `json:"keys,omitempty"`

	// Members are the routers that shall be Raft voters, sorted. The leader brings Raft's own
	// configuration in line with it, one change at a time.
	Members []topo.RouterID `json:"members,omitempty"`
	// Sealed holds secrets by name, encrypted under the voters' key.
	Sealed map[string][]byte `json:"sealed,omitempty"`

	Audit AuditHead `json:"audit"`
	// Done remembers the outcome of recent commands by their idempotency keys, oldest first.
	Done []Outcome `json:"done,omitempty"`
}

// Cluster is what holds for all of it.
type Cluster struct {
	ID string `json:"id"`
	// Incarnation counts restores after a lost quorum. Every certificate and cursor carries it.
	Incarnation uint32    `json:"incarnation"`
	Created     time.Time `json:"created"`
	// FeatureLevel gates commands: it is raised when every voter can.
	FeatureLevel int `json:"feature_level"`
	// FabricMTU is the largest inner packet, in bytes, at least 1280.
	FabricMTU int `json:"fabric_mtu"`
	// Loopbacks are the pools that router loopbacks come from: router n has the n-th address.
	Loopbacks []netip.Prefix `json:"loopbacks"`
	// Roots are the root certificates in DER, and Chain the intermediate and its root.
	Roots [][]byte `json:"roots"`
	Chain [][]byte `json:"chain"`
	// TenantKey keys chunk identities; it lies sealed under SealedTenantKey.
}

// Router is a router that joined. A revoked one stays listed, so that its number is never reused.
type Router struct {
	ID        topo.RouterID `json:"id"`
	Name      string        `json:"name"`
	Region    topo.Region   `json:"region"`
	Zone      topo.Zone     `json:"zone"`
	PublicKey []byte        `json:"public_key"`
	Joined    time.Time     `json:"joined"`
	// Forward and Control are underlay endpoints of the two processes; S3 is where clients reach its
	// object endpoint, as a URL, empty when it serves none.
	Forward []netip.AddrPort `json:"forward,omitempty"`
	Control []netip.AddrPort `json:"control,omitempty"`
	S3      string           `json:"s3,omitempty"`
	// Loopbacks are its own addresses in every segment.
	Loopbacks []topo.SegPrefix `json:"loopbacks"`
	Feature   int              `json:"feature"`
	Draining  bool             `json:"draining,omitempty"`
	Revoked   *Revocation      `json:"revoked,omitempty"`
}

// Revocation says when and why a router was put out of the cluster.
type Revocation struct {
	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`
}

// Token is what the catalog keeps of a join token: enough to recognise it, not enough to make it.
type Token struct {
	ID       string           `json:"id"`
	Hash     [32]byte         `json:"hash"`
	Region   topo.Region      `json:"region"`
	Zone     topo.Zone        `json:"zone"`
	Prefixes []topo.SegPrefix `json:"prefixes,omitempty"`
	Pool     string           `json:"pool,omitempty"`
	Created  time.Time        `json:"created"`
	Expires  time.Time        `json:"expires"`
	// UsedBy is the router that joined with it, zero while it is unused.
	UsedBy topo.RouterID `json:"used_by,omitempty"`
}

// Segment is a tenant network.
type Segment struct {
	ID   topo.SegmentID `json:"id"`
	Name string         `json:"name"`
}

// Pool is a range from which joining routers are given prefixes of Bits length.
type Pool struct {
	Name  string         `json:"name"`
	Range topo.SegPrefix `json:"range"`
	Bits  int            `json:"bits"`
}

// Grant says that a router may announce a prefix and send from it.
type Grant struct {
	Prefix topo.SegPrefix `json:"prefix"`
	Router topo.RouterID  `json:"router"`
}

// Owner is the lease on a region's buckets. Epoch fences: it grows with every change of owner.
type Owner struct {
	Router topo.RouterID `json:"router"`
	Epoch  uint64        `json:"epoch"`
}

// AccessKey is an S3 credential. Its secret lies in Sealed under SealedKey(ID).
type AccessKey struct {
	ID          string    `json:"id"`
	Description string    `json:"description,omitempty"`
	Created     time.Time `json:"created"`
}

// Names of entries in Sealed.
const (
	SealedAuthority = "authority"
	SealedTenantKey = "tenant-key"
)

// SealedKey names the entry of an access key's secret.
func SealedKey(id string) string { return "key/" + id }

// Live gives the routers that are not revoked, by number.
func (s *State) Live() []Router {
	out := make([]Router, 0, len(s.Routers))
	for _, r := range s.Routers {
		if r.Revoked == nil {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b Router) int { return int(int64(a.ID) - int64(b.ID)) })
	return out
}

// Regions gives the regions that have a live router, sorted.
func (s *State) Regions() []topo.Region {
	var out []topo.Region
	for _, r := range s.Live() {
		out = append(out, r.Region)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// HasRegion says whether a live router stands in the region.
func (s *State) HasRegion(r topo.Region) bool { return slices.Contains(s.Regions(), r) }

// InRegion gives the live routers of a region, by number.
func (s *State) InRegion(region topo.Region) []Router {
	return slices.DeleteFunc(s.Live(), func(r Router) bool { return r.Region != region })
}

// GrantsOf gives the prefixes that a router may announce.
func (s *State) GrantsOf(id topo.RouterID) []topo.SegPrefix {
	var out []topo.SegPrefix
	for _, g := range s.Grants {
		if g.Router == id {
			out = append(out, g.Prefix)
		}
	}
	return out
}

// RouterByName finds a live router by name or number.
func (s *State) RouterByName(name string) (Router, bool) {
	id, _ := topo.ParseRouterID(name)
	for _, r := range s.Live() {
		if r.Name == name || r.ID == id {
			return r, true
		}
	}
	return Router{}, false
}
