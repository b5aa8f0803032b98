package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// Client calls an API over connections that it is handed the dialling of. It is itself an API, so that
// whoever is given one need not know how far away the daemon is.
type Client struct {
	http   *http.Client
	router string
}

var _ API = (*Client)(nil)

// NewClient makes a client. dial gives a stream to the daemon.
func NewClient(dial func(context.Context) (net.Conn, error)) *Client {
	return &Client{http: &http.Client{Transport: &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		MaxIdleConns:    1,
		IdleConnTimeout: 10 * time.Second,
	}}}
}

// NewUnixClient makes a client of the daemon on this machine.
func NewUnixClient(path string) *Client {
	return NewClient(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	})
}

// At gives a client whose calls the daemon passes on to another router, by name or number, over mutual TLS.
func (c *Client) At(router string) *Client { return &Client{http: c.http, router: router} }

// Close gives idle connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Raw makes a call by name, with a request and reply already or still encoded.
func (c *Client) Raw(ctx context.Context, name string, request []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://galleon"+pathPrefix+name, bytes.NewReader(request))
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", name, err)
	}
	req.Header.Set("Content-Type", "application/json")
	if c.router != "" {
		req.Header.Set(RouterHeader, c.router)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("call %s: %w", name, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	if err != nil {
		return nil, fmt.Errorf("call %s: read the reply: %w", name, err)
	}
	if len(b) > maxReply {
		return nil, fmt.Errorf("call %s: the reply is larger than %d bytes", name, maxReply)
	}
	if resp.StatusCode != http.StatusOK {
		err := ReadError(resp.Status, b)
		if _, ok := err.(*Error); !ok {
			err = fmt.Errorf("call %s: %w", name, err)
		}
		return nil, err
	}
	return b, nil
}

func ask[Request, Reply any](ctx context.Context, c *Client, name string, request Request) (Reply, error) {
	var reply Reply
	b, err := json.Marshal(request)
	if err != nil {
		return reply, fmt.Errorf("call %s: %w", name, err)
	}
	b, err = c.Raw(ctx, name, b)
	if err != nil {
		return reply, err
	}
	if err := json.Unmarshal(b, &reply); err != nil {
		return reply, fmt.Errorf("call %s: read the reply: %w", name, err)
	}
	return reply, nil
}

// ClusterInit calls the daemon.
func (c *Client) ClusterInit(ctx context.Context, r ClusterInitRequest) (ClusterInitReply, error) {
	return ask[ClusterInitRequest, ClusterInitReply](ctx, c, "ClusterInit", r)
}

// ClusterJoin calls the daemon.
func (c *Client) ClusterJoin(ctx context.Context, r ClusterJoinRequest) (ClusterJoinReply, error) {
	return ask[ClusterJoinRequest, ClusterJoinReply](ctx, c, "ClusterJoin", r)
}

// ClusterStatus calls the daemon.
func (c *Client) ClusterStatus(ctx context.Context, r ClusterStatusRequest) (ClusterStatusReply, error) {
	return ask[ClusterStatusRequest, ClusterStatusReply](ctx, c, "ClusterStatus", r)
}

// ClusterAudit calls the daemon.
func (c *Client) ClusterAudit(ctx context.Context, r ClusterAuditRequest) (ClusterAuditReply, error) {
	return ask[ClusterAuditRequest, ClusterAuditReply](ctx, c, "ClusterAudit", r)
}

// ClusterTransfer calls the daemon.
func (c *Client) ClusterTransfer(ctx context.Context, r ClusterTransferRequest) (ClusterTransferReply, error) {
	return ask[ClusterTransferRequest, ClusterTransferReply](ctx, c, "ClusterTransfer", r)
}

// ClusterBackup calls the daemon.
func (c *Client) ClusterBackup(ctx context.Context, r ClusterBackupRequest) (ClusterBackupReply, error) {
	return ask[ClusterBackupRequest, ClusterBackupReply](ctx, c, "ClusterBackup", r)
}

// TokenCreate calls the daemon.
func (c *Client) TokenCreate(ctx context.Context, r TokenCreateRequest) (TokenCreateReply, error) {
	return ask[TokenCreateRequest, TokenCreateReply](ctx, c, "TokenCreate", r)
}

// TokenList calls the daemon.
func (c *Client) TokenList(ctx context.Context, r TokenListRequest) (TokenListReply, error) {
	return ask[TokenListRequest, TokenListReply](ctx, c, "TokenList", r)
}

// TokenDelete calls the daemon.
func (c *Client) TokenDelete(ctx context.Context, r TokenDeleteRequest) (Empty, error) {
	return ask[TokenDeleteRequest, Empty](ctx, c, "TokenDelete", r)
}

// RouterList calls the daemon.
func (c *Client) RouterList(ctx context.Context, r RouterListRequest) (RouterListReply, error) {
	return ask[RouterListRequest, RouterListReply](ctx, c, "RouterList", r)
}

// RouterDrain calls the daemon.
func (c *Client) RouterDrain(ctx context.Context, r RouterDrainRequest) (Empty, error) {
	return ask[RouterDrainRequest, Empty](ctx, c, "RouterDrain", r)
}

// RouterRevoke calls the daemon.
func (c *Client) RouterRevoke(ctx context.Context, r RouterRevokeRequest) (RouterRevokeReply, error) {
	return ask[RouterRevokeRequest, RouterRevokeReply](ctx, c, "RouterRevoke", r)
}

// LinkList calls the daemon.
func (c *Client) LinkList(ctx context.Context, r LinkListRequest) (LinkListReply, error) {
	return ask[LinkListRequest, LinkListReply](ctx, c, "LinkList", r)
}

// PathShow calls the daemon.
func (c *Client) PathShow(ctx context.Context, r PathShowRequest) (PathShowReply, error) {
	return ask[PathShowRequest, PathShowReply](ctx, c, "PathShow", r)
}

// RouteList calls the daemon.
func (c *Client) RouteList(ctx context.Context, r RouteListRequest) (RouteListReply, error) {
	return ask[RouteListRequest, RouteListReply](ctx, c, "RouteList", r)
}

// PrefixList calls the daemon.
func (c *Client) PrefixList(ctx context.Context, r PrefixListRequest) (PrefixListReply, error) {
	return ask[PrefixListRequest, PrefixListReply](ctx, c, "PrefixList", r)
}

// PrefixGrant calls the daemon.
func (c *Client) PrefixGrant(ctx context.Context, r PrefixGrantRequest) (Empty, error) {
	return ask[PrefixGrantRequest, Empty](ctx, c, "PrefixGrant", r)
}

// PrefixWithdraw calls the daemon.
func (c *Client) PrefixWithdraw(ctx context.Context, r PrefixGrantRequest) (Empty, error) {
	return ask[PrefixGrantRequest, Empty](ctx, c, "PrefixWithdraw", r)
}

// PoolCreate calls the daemon.
func (c *Client) PoolCreate(ctx context.Context, r PoolCreateRequest) (Empty, error) {
	return ask[PoolCreateRequest, Empty](ctx, c, "PoolCreate", r)
}

// BucketCreate calls the daemon.
func (c *Client) BucketCreate(ctx context.Context, r BucketCreateRequest) (BucketReply, error) {
	return ask[BucketCreateRequest, BucketReply](ctx, c, "BucketCreate", r)
}

// BucketList calls the daemon.
func (c *Client) BucketList(ctx context.Context, r BucketListRequest) (BucketListReply, error) {
	return ask[BucketListRequest, BucketListReply](ctx, c, "BucketList", r)
}

// BucketDelete calls the daemon.
func (c *Client) BucketDelete(ctx context.Context, r BucketDeleteRequest) (Empty, error) {
	return ask[BucketDeleteRequest, Empty](ctx, c, "BucketDelete", r)
}

// PolicyApply calls the daemon.
func (c *Client) PolicyApply(ctx context.Context, r PolicyApplyRequest) (PolicyApplyReply, error) {
	return ask[PolicyApplyRequest, PolicyApplyReply](ctx, c, "PolicyApply", r)
}

// PolicyList calls the daemon.
func (c *Client) PolicyList(ctx context.Context, r PolicyListRequest) (PolicyListReply, error) {
	return ask[PolicyListRequest, PolicyListReply](ctx, c, "PolicyList", r)
}

// PolicyDelete calls the daemon.
func (c *Client) PolicyDelete(ctx context.Context, r PolicyDeleteRequest) (Empty, error) {
	return ask[PolicyDeleteRequest, Empty](ctx, c, "PolicyDelete", r)
}

// KeyCreate calls the daemon.
func (c *Client) KeyCreate(ctx context.Context, r KeyCreateRequest) (KeyCreateReply, error) {
	return ask[KeyCreateRequest, KeyCreateReply](ctx, c, "KeyCreate", r)
}

// KeyList calls the daemon.
func (c *Client) KeyList(ctx context.Context, r KeyListRequest) (KeyListReply, error) {
	return ask[KeyListRequest, KeyListReply](ctx, c, "KeyList", r)
}

// KeyDelete calls the daemon.
func (c *Client) KeyDelete(ctx context.Context, r KeyDeleteRequest) (Empty, error) {
	return ask[KeyDeleteRequest, Empty](ctx, c, "KeyDelete", r)
}

// ReplicationStatus calls the daemon.
func (c *Client) ReplicationStatus(ctx context.Context, r ReplicationStatusRequest) (ReplicationStatusReply, error) {
	return ask[ReplicationStatusRequest, ReplicationStatusReply](ctx, c, "ReplicationStatus", r)
}

// ObjectStatus calls the daemon.
func (c *Client) ObjectStatus(ctx context.Context, r ObjectStatusRequest) (ObjectStatusReply, error) {
	return ask[ObjectStatusRequest, ObjectStatusReply](ctx, c, "ObjectStatus", r)
}

// ConflictList calls the daemon.
func (c *Client) ConflictList(ctx context.Context, r ConflictListRequest) (ConflictListReply, error) {
	return ask[ConflictListRequest, ConflictListReply](ctx, c, "ConflictList", r)
}
