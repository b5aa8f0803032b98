package admin

// The messages about buckets, policies, keys and copies.

import (
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

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
