package state

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

// MaxCommand bounds an encoded command in bytes.
const MaxCommand = 1 << 20

// commandFormat is the first byte of an encoded command.
const commandFormat = 1

// Command is one change that somebody asks for. Exactly one of the pointers is set.
type Command struct {
	// Key makes the command idempotent: a second one with the same key changes nothing and gets the
	// first one's result. Callers make it at random, once per intention, and keep it over retries.
	Key    string `json:"key"`
	Author string `json:"author"`
	Reason string `json:"reason,omitempty"`
	// Time is set by the leader when it proposes.
	Time time.Time `json:"time"`

	Init           *Init           `json:"init,omitempty"`
	CreateToken    *CreateToken    `json:"create_token,omitempty"`
	DeleteToken    *DeleteToken    `json:"delete_token,omitempty"`
	Join           *Join           `json:"join,omitempty"`
	UpdateRouter   *UpdateRouter   `json:"update_router,omitempty"`
	RevokeRouter   *RevokeRouter   `json:"revoke_router,omitempty"`
	DrainRouter    *DrainRouter    `json:"drain_router,omitempty"`
	SetMembers     *SetMembers     `json:"set_members,omitempty"`
	SetFeature     *SetFeature     `json:"set_feature,omitempty"`
	CreatePool     *CreatePool     `json:"create_pool,omitempty"`
	GrantPrefix    *GrantPrefix    `json:"grant_prefix,omitempty"`
	WithdrawPrefix *WithdrawPrefix `json:"withdraw_prefix,omitempty"`
	CreateBucket   *CreateBucket   `json:"create_bucket,omitempty"`
	UpdateBucket   *UpdateBucket   `json:"update_bucket,omitempty"`
	DeleteBucket   *DeleteBucket   `json:"delete_bucket,omitempty"`
	ApplyPolicies  *ApplyPolicies  `json:"apply_policies,omitempty"`
	DeletePolicy   *DeletePolicy   `json:"delete_policy,omitempty"`
	CreateKey      *CreateKey      `json:"create_key,omitempty"`
	DeleteKey      *DeleteKey      `json:"delete_key,omitempty"`
	SetOwner       *SetOwner       `json:"set_owner,omitempty"`
}

// Init makes the cluster with its first router. It is the first command of every log.
type Init struct {
	Cluster  Cluster           `json:"cluster"`
	Router   NewRouter         `json:"router"`
	Region   topo.Region       `json:"region"`
	Zone     topo.Zone         `json:"zone"`
	Prefixes []topo.SegPrefix  `json:"prefixes,omitempty"`
	Sealed   map[string][]byte `json:"sealed,omitempty"`
}

// NewRouter is what a router says of itself when it joins.
type NewRouter struct {
	PublicKey []byte           `json:"public_key"`
	Forward   []netip.AddrPort `json:"forward,omitempty"`
	Control   []netip.AddrPort `json:"control,omitempty"`
	S3        string           `json:"s3,omitempty"`
	Feature   int              `json:"feature"`
}

// CreateToken makes a token known. Token.Created is set from the command.
type CreateToken struct {
	Token Token `json:"token"`
}

// DeleteToken takes back an unused token.
type DeleteToken struct {
	ID string `json:"id"`
}

// Join uses a token up and makes the router, in one step. The same key and token again give the same
// router, so that a joiner whose answer was lost can ask once more.
type Join struct {
	TokenID   string    `json:"token_id"`
	TokenHash [32]byte  `json:"token_hash"`
	Router    NewRouter `json:"router"`
}

// UpdateRouter replaces what a router says of itself; its identity and key stay.
type UpdateRouter struct {
	ID      topo.RouterID    `json:"id"`
	Forward []netip.AddrPort `json:"forward,omitempty"`
	Control []netip.AddrPort `json:"control,omitempty"`
	S3      string           `json:"s3,omitempty"`
	Feature int              `json:"feature"`
}

// RevokeRouter puts a router out for good. Its grants end with it.
type RevokeRouter struct {
	ID topo.RouterID `json:"id"`
}

// DrainRouter asks others to route round a router, or to stop doing so.
type DrainRouter struct {
	ID topo.RouterID `json:"id"`
	On bool          `json:"on"`
}

// SetMembers says who shall be a voter.
type SetMembers struct {
	Members []topo.RouterID `json:"members"`
}

// SetFeature raises the feature level.
type SetFeature struct {
	Level int `json:"level"`
}

// CreatePool makes a range from which tokens can give prefixes.
type CreatePool struct {
	Pool Pool `json:"pool"`
}

// GrantPrefix lets a router announce a prefix.
type GrantPrefix struct {
	Grant Grant `json:"grant"`
}

// WithdrawPrefix ends a grant.
type WithdrawPrefix struct {
	Grant Grant `json:"grant"`
}

// CreateBucket makes a bucket; Created is set from the command.
type CreateBucket struct {
	Bucket object.Bucket `json:"bucket"`
}

// UpdateBucket changes what may change on a bucket; nil leaves a field as it is. Versioning false on a bucket that
// kept versions suspends it from feature level 2 on.
type UpdateBucket struct {
	Name       string      `json:"name"`
	Versioning *bool       `json:"versioning,omitempty"`
	Ack        *object.Ack `json:"ack,omitempty"`
	// Suspend says with Versioning false that the versions stay and new writes make the null version.
	Suspend bool `json:"suspend,omitempty"`
	// Lock turns object lock on, and versioning with it.
	Lock bool `json:"lock,omitempty"`
	// Settings replaces documents by name; the empty document removes one.
	Settings map[object.Setting]string `json:"settings,omitempty"`
}

// DeleteBucket removes a bucket that no policy names. That it is empty is the proposer's to know.
type DeleteBucket struct {
	Name string `json:"name"`
}

// ApplyPolicies creates or replaces policies by name, all of them or none.
type ApplyPolicies struct {
	Policies []object.Policy `json:"policies"`
}

// DeletePolicy removes a policy; what it already copied stays.
type DeletePolicy struct {
	Name string `json:"name"`
}

// CreateKey makes an S3 access key with its sealed secret.
type CreateKey struct {
	Key    AccessKey `json:"key"`
	Secret []byte    `json:"secret"`
}

// DeleteKey removes an access key and its secret.
type DeleteKey struct {
	ID string `json:"id"`
}

// SetOwner moves a region's lease; Epoch is the epoch of the lease that it replaces, 0 for the first.
type SetOwner struct {
	Region topo.Region   `json:"region"`
	Router topo.RouterID `json:"router"`
	Epoch  uint64        `json:"epoch"`
}

// EncodeCommand gives the bytes for the log.
func EncodeCommand(c Command) ([]byte, error) {
	if _, err := c.op(); err != nil {
		return nil, err
	}
	b, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("encode command: %w", err)
	}
	if len(b)+1 > MaxCommand {
		return nil, fmt.Errorf("encode command: %d bytes, more than the %d that one command may have", len(b), MaxCommand)
	}
	return append([]byte{commandFormat}, b...), nil
}

// DecodeCommand reads what EncodeCommand gave.
func DecodeCommand(b []byte) (Command, error) {
	var c Command
	if len(b) < 1 || len(b) > MaxCommand {
		return c, fmt.Errorf("decode command: %d bytes, want 1 to %d", len(b), MaxCommand)
	}
	if b[0] != commandFormat {
		return c, fmt.Errorf("decode command: format %d, this version knows %d", b[0], commandFormat)
	}
	if err := json.Unmarshal(b[1:], &c); err != nil {
		return c, fmt.Errorf("decode command: %w", err)
	}
	_, err := c.op()
	return c, err
}
