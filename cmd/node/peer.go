package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/galleon-net/galleon/cmd/admin"
	"github.com/galleon-net/galleon/consensus/state"
	"github.com/galleon-net/galleon/fabric/topo"
)

// What routers ask of each other's control halves, beside Raft and replication: HTTP with JSON bodies on
// authenticated streams. A caller is the router that its certificate says; each call decides what that
// router may have.
const (
	pathWelcome = "/internal/welcome" // its certificate, and the tenant key
	pathVault   = "/internal/vault"   // voters to voters: the key of the catalog's secrets
	pathSigning = "/internal/signing" // derived S3 signing keys for days ahead
)

const maxPeerBody = 1 << 20

type welcomeRequest struct {
	Router topo.RouterID `json:"router"`
	// Index is a catalog index at which the router is known.
	Index uint64 `json:"index"`
}

type vaultReply struct {
	Key []byte `json:"key"`
}

// peerHandler serves other routers: internal calls, the admin API, and object requests that a router of
// the same region passes on to the owner.
func (c *Control) peerHandler() http.Handler {
	api := c.adminHandler()
	mux := http.NewServeMux()
	mux.Handle("POST "+pathWelcome, internal(c, func(ctx context.Context, m *member, from topo.RouterID, r welcomeRequest) (welcome, error) {
		return c.issue(ctx, m, r.Router, r.Index)
	}))
	mux.Handle("POST "+pathVault, internal(c, func(ctx context.Context, m *member, from topo.RouterID, _ struct{}) (vaultReply, error) {
		v := m.getVault()
		if !slices.Contains(m.consensus.View().Members, from) {
			return vaultReply{}, &admin.Error{Code: admin.CodeDenied, Message: fmt.Sprintf("router %s shall not be a voter", from)}
		}
		if v == nil {
			return vaultReply{}, errNoVault
		}
		return vaultReply{Key: v.key}, nil
	}))
	mux.Handle("POST "+pathSigning, internal(c, func(ctx context.Context, m *member, from topo.RouterID, r signingRequest) (signingReply, error) {
		return m.deriveFor(from, r)
	}))
	mux.Handle("POST "+pathSeal, internal(c, func(ctx context.Context, m *member, from topo.RouterID, r sealRequest) (sealReply, error) {
		return m.sealFor(r)
	}))
	mux.Handle("/v1/", api)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if peerOf(r.Context()) == 0 { // a stream always has a router at its other end; nobody is not the machine's own operator
			admin.WriteError(w, &admin.Error{Code: admin.CodeDenied, Message: "the caller is not known"})
			return
		}
		if r.Header.Get(s3Header) != "" {
			c.serveOwned(w, r)
			return
		}
		mux.ServeHTTP(w, r.WithContext(c.remoteCaller(r)))
	})
}

// remoteCaller says who asks over a stream: an account on the router that the certificate names.
func (c *Control) remoteCaller(r *http.Request) context.Context {
	from := peerOf(r.Context())
	name := from.String()
	if m := c.current(); m != nil {
		if rec, ok := m.consensus.View().Routers[from]; ok {
			name = rec.Name
		}
	}
	if author := r.Header.Get(authorHeader); author != "" {
		name = printable(author) + "@" + name
	}
	return admin.WithCaller(r.Context(), admin.Caller{Name: name, Router: from})
}

// internal serves one call between routers.
func internal[Request, Reply any](c *Control, f func(context.Context, *member, topo.RouterID, Request) (Reply, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reply, err := func() (any, error) {
			m, err := c.need()
			if err != nil {
				return nil, err
			}
			from := peerOf(r.Context())
			if _, err := liveRouter(m.consensus.View(), from); err != nil {
				return nil, err
			}
			var req Request
			if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxPeerBody)).Decode(&req); err != nil {
				return nil, &admin.Error{Code: admin.CodeInvalid, Message: err.Error()}
			}
			return f(r.Context(), m, from, req)
		}()
		if err != nil {
			admin.WriteError(w, apiError(err))
			return
		}
		writeJSON(w, reply)
	})
}

// askPeer makes one call to another router.
func (c *Control) askPeer(ctx context.Context, id topo.RouterID, path string, request, reply any) error {
	b, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("ask router %s %s: %w", id, path, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+id.String()+path, bytes.NewReader(b))
	if err != nil {
		return fmt.Errorf("ask router %s %s: %w", id, path, err)
	}
	resp, err := c.peerClient(id).Do(req)
	if err != nil {
		var u *url.Error // its words are about HTTP, which nobody asked for
		if errors.As(err, &u) {
			err = u.Err
		}
		return err
	}
	defer resp.Body.Close()
	b, err = io.ReadAll(io.LimitReader(resp.Body, maxPeerBody))
	if err != nil {
		return fmt.Errorf("ask router %s: %w", id, err)
	}
	if resp.StatusCode != http.StatusOK {
		err := admin.ReadError(resp.Status, b)
		var refused *admin.Error
		if !errors.As(err, &refused) {
			err = fmt.Errorf("ask router %s %s: %w", id, path, err)
		}
		return err
	}
	if err := json.Unmarshal(b, reply); err != nil {
		return fmt.Errorf("ask router %s %s: %w", id, path, err)
	}
	return nil
}

// propose asks the cluster to carry a command out and turns a refusal into an error.
func (c *Control) propose(ctx context.Context, m *member, cmd state.Command) (state.Result, error) {
	if cmd.Key == "" {
		cmd.Key = newKey()
	}
	if c.isRevoked(m) {
		return state.Result{}, errRevoked
	}
	res, err := m.consensus.Propose(ctx, cmd)
	if err != nil {
		return res, apiError(err)
	}
	if res.Err != nil {
		return res, refused(res.Err)
	}
	return res, nil
}

// newKey makes an idempotency key.
func newKey() string { return bootID() + bootID() }
