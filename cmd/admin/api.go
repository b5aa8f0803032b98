// Package admin is the admin API: one contract, a server that is handed an implementation, and a
// client that is one. The CLI and the console call nothing else.
//
// A call is POST /v1/Name with a JSON body and a JSON reply, over HTTP/1.1 on the daemon's Unix socket
// or on an authenticated stream from another router, so that curl can do what the CLI does:
//
//	curl --unix-socket /run/galleon/galleon.sock -d '{}' http://galleon/v1/ClusterStatus
//
// A refusal has a 4xx status and {"error":{"code":…,"message":…,"hint":…}}; the hint names the next step.
package admin

import (
	"context"
	"net/netip"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// API is every call there is. Each takes one request and gives one reply.
type API interface {
	ClusterInit(context.Context, ClusterInitRequest) (ClusterInitReply, error)
	ClusterJoin(context.Context, ClusterJoinRequest) (ClusterJoinReply, error)
	ClusterStatus(context.Context, ClusterStatusRequest) (ClusterStatusReply, error)
	ClusterAudit(context.Context, ClusterAuditRequest) (ClusterAuditReply, error)
	ClusterTransfer(context.Context, ClusterTransferRequest) (ClusterTransferReply, error)
	ClusterBackup(context.Context, ClusterBackupRequest) (ClusterBackupReply, error)

	TokenCreate(context.Context, TokenCreateRequest) (TokenCreateReply, error)
	TokenList(context.Context, TokenListRequest) (TokenListReply, error)
	TokenDelete(context.Context, TokenDeleteRequest) (Empty, error)

	RouterList(context.Context, RouterListRequest) (RouterListReply, error)
	RouterDrain(context.Context, RouterDrainRequest) (Empty, error)
	RouterRevoke(context.Context, RouterRevokeRequest) (RouterRevokeReply, error)

	LinkList(context.Context, LinkListRequest) (LinkListReply, error)
	PathShow(context.Context, PathShowRequest) (PathShowReply, error)
	RouteList(context.Context, RouteListRequest) (RouteListReply, error)

	PrefixList(context.Context, PrefixListRequest) (PrefixListReply, error)
	PrefixGrant(context.Context, PrefixGrantRequest) (Empty, error)
	PrefixWithdraw(context.Context, PrefixGrantRequest) (Empty, error)
	PoolCreate(context.Context, PoolCreateRequest) (Empty, error)

	BucketCreate(context.Context, BucketCreateRequest) (BucketReply, error)
	BucketList(context.Context, BucketListRequest) (BucketListReply, error)
	BucketDelete(context.Context, BucketDeleteRequest) (Empty, error)

	PolicyApply(context.Context, PolicyApplyRequest) (PolicyApplyReply, error)
	PolicyList(context.Context, PolicyListRequest) (PolicyListReply, error)
	PolicyDelete(context.Context, PolicyDeleteRequest) (Empty, error)

	KeyCreate(context.Context, KeyCreateRequest) (KeyCreateReply, error)
	KeyList(context.Context, KeyListRequest) (KeyListReply, error)
	KeyDelete(context.Context, KeyDeleteRequest) (Empty, error)

	ReplicationStatus(context.Context, ReplicationStatusRequest) (ReplicationStatusReply, error)
	ObjectStatus(context.Context, ObjectStatusRequest) (ObjectStatusReply, error)
	ConflictList(context.Context, ConflictListRequest) (ConflictListReply, error)
}

// Empty is a reply that only says that it was done.
type Empty struct{}

// ClusterInitRequest makes a cluster whose first router is the one that is asked.
type ClusterInitRequest struct {
	Region   topo.Region      `json:"region"`
	Zone     topo.Zone        `json:"zone"`
	Prefixes []topo.SegPrefix `json:"prefixes,omitempty"`
	// FabricMTU is the largest packet in bytes that anybody may send into the fabric, 0 for the default of 8,952.
	// What each way carries is measured.
	FabricMTU int `json:"fabric_mtu,omitempty"`
	// Loopbacks are the pools of router addresses, empty for the defaults.
	Loopbacks []netip.Prefix `json:"loopbacks,omitempty"`
}

// ClusterInitReply says what was made. RootKeyFile must be moved offline.
type ClusterInitReply struct {
	Cluster     string        `json:"cluster"`
	Router      topo.RouterID `json:"router"`
	Name        string        `json:"name"`
	RootKeyFile string        `json:"root_key_file"`
}

// ClusterJoinRequest makes the router that is asked join with a token.
type ClusterJoinRequest struct {
	Token string `json:"token"`
}

// ClusterJoinReply says who the router is now.
type ClusterJoinReply struct {
	Cluster  string           `json:"cluster"`
	Router   topo.RouterID    `json:"router"`
	Name     string           `json:"name"`
	Region   topo.Region      `json:"region"`
	Zone     topo.Zone        `json:"zone"`
	Prefixes []topo.SegPrefix `json:"prefixes,omitempty"`
}

// ClusterStatusRequest asks the router for its view.
type ClusterStatusRequest struct{}

// ClusterStatusReply is a router's view of consensus. State is uninitialised, joining or member.
type ClusterStatusReply struct {
	State        string         `json:"state"`
	Cluster      string         `json:"cluster,omitempty"`
	Incarnation  uint32         `json:"incarnation,omitempty"`
	Router       topo.RouterID  `json:"router,omitempty"`
	Name         string         `json:"name,omitempty"`
	Version      string         `json:"version"`
	Role         string         `json:"role,omitempty"` // leader, voter, watcher
	Leader       topo.RouterID  `json:"leader,omitempty"`
	Term         uint64         `json:"term,omitempty"`
	Commit       uint64         `json:"commit,omitempty"`
	Applied      uint64         `json:"applied,omitempty"`
	StateHash    string         `json:"state_hash,omitempty"`
	FeatureLevel int            `json:"feature_level,omitempty"`
	Timeouts     string         `json:"timeouts,omitempty"`
	Disk         string         `json:"disk,omitempty"`
	AuditSeq     uint64         `json:"audit_seq,omitempty"`
	AuditHash    string         `json:"audit_hash,omitempty"`
	CertExpires  time.Time      `json:"cert_expires,omitzero"`
	Forward      string         `json:"forward,omitempty"` // up, or what is wrong with the forward process
	Problem      string         `json:"problem,omitempty"` // what keeps the router from its part in the cluster
	Members      []MemberStatus `json:"members,omitempty"`
	Regions      int            `json:"regions,omitempty"`
	Routers      int            `json:"routers,omitempty"`
}

// MemberStatus is one router's part in consensus.
type MemberStatus struct {
	Router      topo.RouterID `json:"router"`
	Name        string        `json:"name"`
	Region      topo.Region   `json:"region"`
	Role        string        `json:"role"` // leader, voter, joining-voter, watcher
	RTT         time.Duration `json:"rtt_ns,omitempty"`
	LastContact time.Time     `json:"last_contact,omitzero"`
	Applied     uint64        `json:"applied,omitempty"`
}

// ClusterAuditRequest asks for the newest Last entries of the audit trail, 0 for 50.
type ClusterAuditRequest struct {
	Last int `json:"last,omitempty"`
}

// ClusterAuditReply has the entries, oldest first. Verified says that the chain up to the state's head holds.
type ClusterAuditReply struct {
	Entries  []AuditEntry `json:"entries"`
	Verified bool         `json:"verified"`
	Problem  string       `json:"problem,omitempty"`
}

// AuditEntry is one change of the catalog.
type AuditEntry struct {
	Seq    uint64    `json:"seq"`
	Index  uint64    `json:"index"`
	Time   time.Time `json:"time"`
	Author string    `json:"author"`
	Reason string    `json:"reason,omitempty"`
	What   string    `json:"what"`
	Hash   string    `json:"hash"`
}

// ClusterTransferRequest hands the leadership to another voter, by name or number; empty: to the one that suits best.
type ClusterTransferRequest struct {
	To string `json:"to,omitempty"`
}

// ClusterTransferReply says who leads now.
type ClusterTransferReply struct {
	Leader string `json:"leader"`
}

// ClusterBackupRequest asks for the catalog.
type ClusterBackupRequest struct{}

// ClusterBackupReply has the catalog as it was agreed on at Index. Secrets in it are sealed under the voters' key.
type ClusterBackupReply struct {
	Cluster     string `json:"cluster"`
	Incarnation uint32 `json:"incarnation"`
	Index       uint64 `json:"index"`
	Data        []byte `json:"data,omitempty"`
}

// Change is who asks and why; it is part of every request that changes the catalog.
type Change struct {
	// Author is filled in by the daemon from who is connected; Reason is the caller's.
	Reason string `json:"reason,omitempty"`
	// Key makes a retry safe: the same key is carried out once. Empty: the daemon makes one.
	Key string `json:"key,omitempty"`
}

// TokenCreateRequest asks for a one-time join token. TTL 0 is one hour, at most 30 days.
type TokenCreateRequest struct {
	Change
	Region   topo.Region      `json:"region"`
	Zone     topo.Zone        `json:"zone"`
	Prefixes []topo.SegPrefix `json:"prefixes,omitempty"`
	Pool     string           `json:"pool,omitempty"`
	TTL      time.Duration    `json:"ttl_ns,omitempty"`
}

// TokenCreateReply has the token. It is shown this once.
type TokenCreateReply struct {
	ID      string    `json:"id"`
	Token   string    `json:"token"`
	Expires time.Time `json:"expires"`
}

// TokenListRequest asks for the tokens.
type TokenListRequest struct{}

// TokenListReply lists tokens without their secrets.
type TokenListReply struct {
	Tokens []TokenInfo `json:"tokens"`
}

// TokenInfo is a token's state: unused, used or expired.
type TokenInfo struct {
	ID       string           `json:"id"`
	Region   topo.Region      `json:"region"`
	Zone     topo.Zone        `json:"zone"`
	Prefixes []topo.SegPrefix `json:"prefixes,omitempty"`
	Pool     string           `json:"pool,omitempty"`
	Expires  time.Time        `json:"expires"`
	State    string           `json:"state"`
	UsedBy   string           `json:"used_by,omitempty"`
}

// TokenDeleteRequest takes an unused token back.
type TokenDeleteRequest struct {
	Change
	ID string `json:"id"`
}

// RouterListRequest asks for the routers; All includes revoked ones.
type RouterListRequest struct {
	All bool `json:"all,omitempty"`
}

// RouterListReply lists routers by number.
type RouterListReply struct {
	Routers []RouterInfo `json:"routers"`
}

// RouterInfo is a router as the catalog knows it and as this router sees it (Reach: self, direct,
// relayed, unreachable, revoked).
type RouterInfo struct {
	ID        topo.RouterID    `json:"id"`
	Name      string           `json:"name"`
	Region    topo.Region      `json:"region"`
	Zone      topo.Zone        `json:"zone"`
	Reach     string           `json:"reach"`
	Role      string           `json:"role"`
	Prefixes  []topo.SegPrefix `json:"prefixes,omitempty"`
	Loopbacks []topo.SegPrefix `json:"loopbacks,omitempty"`
	Forward   []netip.AddrPort `json:"forward,omitempty"`
	Control   []netip.AddrPort `json:"control,omitempty"`
	S3        string           `json:"s3,omitempty"`
	Draining  bool             `json:"draining,omitempty"`
	Joined    time.Time        `json:"joined"`
	Owner     bool             `json:"owner,omitempty"` // owns its region's buckets
}

// RouterDrainRequest asks others to route round a router, or to stop doing so.
type RouterDrainRequest struct {
	Change
	Router string `json:"router"` // name or number
	On     bool   `json:"on"`
}

// RouterRevokeRequest puts a router out for good. The call returns when every reachable router enforces it or
// after Wait, at most ten minutes; with 0 it asks nobody.
type RouterRevokeRequest struct {
	Change
	Router string        `json:"router"`
	Wait   time.Duration `json:"wait_ns,omitempty"`
}

// RouterRevokeReply names who enforces it, who could not be reached, and who was not asked. CertExpires is the
// latest moment at which one that never hears of it takes the router's certificate.
type RouterRevokeReply struct {
	Enforced    []string  `json:"enforced,omitempty"`
	Unreached   []string  `json:"unreached,omitempty"`
	NotAsked    []string  `json:"not_asked,omitempty"`
	CertExpires time.Time `json:"cert_expires,omitzero"`
}
