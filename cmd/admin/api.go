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
	"github.com/galleon-net/galleon/replication/object"
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

// BucketCreateRequest makes a bucket.
type BucketCreateRequest struct {
	Change
	Name       string     `json:"name"`
	Versioning bool       `json:"versioning,omitempty"`
	Ack        object.Ack `json:"ack"`
}

// BucketReply is a bucket.
type BucketReply struct {
	Bucket object.Bucket `json:"bucket"`
}

// BucketListRequest asks for the buckets.
type BucketListRequest struct{}

// BucketListReply lists buckets with what this region holds of them.
type BucketListReply struct {
	Buckets []BucketInfo `json:"buckets"`
}

// BucketInfo is a bucket and this router's copy of it.
type BucketInfo struct {
	object.Bucket
	Objects int64 `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

// BucketDeleteRequest removes an empty bucket.
type BucketDeleteRequest struct {
	Change
	Name string `json:"name"`
}

// PolicyApplyRequest creates or replaces policies, all or none. DryRun checks only.
type PolicyApplyRequest struct {
	Change
	Policies []object.Policy `json:"policies"`
	DryRun   bool            `json:"dry_run,omitempty"`
}

// PolicyApplyReply says for each policy what happened: created, changed or unchanged.
type PolicyApplyReply struct {
	Results []PolicyResult `json:"results"`
}

// PolicyResult is one policy's outcome and where it leads.
type PolicyResult struct {
	Name    string        `json:"name"`
	Outcome string        `json:"outcome"`
	Targets []topo.Region `json:"targets"`
}

// PolicyListRequest asks for the policies.
type PolicyListRequest struct{}

// PolicyListReply lists policies by name.
type PolicyListReply struct {
	Policies []object.Policy `json:"policies"`
}

// PolicyDeleteRequest removes a policy; copies stay.
type PolicyDeleteRequest struct {
	Change
	Name string `json:"name"`
}

// KeyCreateRequest makes an S3 access key.
type KeyCreateRequest struct {
	Change
	Description string `json:"description,omitempty"`
}

// KeyCreateReply has the secret. It is shown this once.
type KeyCreateReply struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

// KeyListRequest asks for the access keys.
type KeyListRequest struct{}

// KeyListReply lists keys without secrets.
type KeyListReply struct {
	Keys []KeyInfo `json:"keys"`
}

// KeyInfo is an access key.
type KeyInfo struct {
	ID          string    `json:"id"`
	Description string    `json:"description,omitempty"`
	Created     time.Time `json:"created"`
}

// KeyDeleteRequest removes a key.
type KeyDeleteRequest struct {
	Change
	ID string `json:"id"`
}

// ReplicationStatusRequest asks for the state of every rule and destination that the asked router
// sends to or receives from; Bucket narrows it.
type ReplicationStatusRequest struct {
	Bucket string `json:"bucket,omitempty"`
}

// ReplicationStatusReply lists flows in both directions.
type ReplicationStatusReply struct {
	Flows []FlowInfo `json:"flows"`
}

// FlowInfo is one rule from one router to another. Phase is backfill, live, or waiting with a reason.
type FlowInfo struct {
	Policy         string    `json:"policy"`
	Bucket         string    `json:"bucket"`
	From           string    `json:"from"`
	To             string    `json:"to"`
	Phase          string    `json:"phase"`
	PendingObjects int64     `json:"pending_objects"`
	PendingBytes   int64     `json:"pending_bytes"`
	OldestPending  time.Time `json:"oldest_pending,omitzero"`
	DoneObjects    int64     `json:"done_objects"`
	DoneBytes      int64     `json:"done_bytes"`
	WireBytes      int64     `json:"wire_bytes"`
	LastError      string    `json:"last_error,omitempty"`
}

// ObjectStatusRequest asks where an object is.
type ObjectStatusRequest struct {
	Bucket string `json:"bucket"`
	Key    string `json:"key"`
}

// ObjectStatusReply is the version here and each destination's state (PENDING, COMPLETED, REPLICA).
type ObjectStatusReply struct {
	Version      object.Version      `json:"version"`
	Status       string              `json:"status"`
	Destinations []DestinationStatus `json:"destinations"`
}

// DestinationStatus is one destination of an object.
type DestinationStatus struct {
	Policy string      `json:"policy"`
	Router string      `json:"router"`
	Region topo.Region `json:"region"`
	Status string      `json:"status"`
	Detail string      `json:"detail,omitempty"`
}

// ConflictListRequest asks for versions that lost against a later one from another region.
type ConflictListRequest struct {
	Bucket string `json:"bucket"`
}

// ConflictListReply lists the losers, newest first, at most 1000.
type ConflictListReply struct {
	Versions []object.Version `json:"versions"`
}
