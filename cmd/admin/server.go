package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Bounds in bytes. The largest reply is a backup: a whole catalog, in base 64.
const (
	maxBody  = 8 << 20
	maxReply = 24 << 20
)

// Caller is who asks: an account on this machine or another router.
type Caller struct {
	// Name goes into the audit trail.
	Name string
	// Router is the peer when the call came from another router, else zero.
	Router topo.RouterID
}

type callerKey struct{}

// WithCaller marks a connection's context with who is at its other end.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// CallerOf gives who asks; false when nobody was marked.
func CallerOf(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// Authorise decides on a call after it was parsed: the one place that does.
type Authorise func(ctx context.Context, caller Caller, method string, request any) error

// methods lists every call of an API.
func methods(a API) map[string]method {
	return map[string]method{
		"ClusterInit": call(a.ClusterInit), "ClusterJoin": call(a.ClusterJoin), "ClusterStatus": call(a.ClusterStatus),
		"ClusterAudit": call(a.ClusterAudit), "ClusterTransfer": call(a.ClusterTransfer), "ClusterBackup": call(a.ClusterBackup),
		"TokenCreate": call(a.TokenCreate), "TokenList": call(a.TokenList),
		"TokenDelete": call(a.TokenDelete), "RouterList": call(a.RouterList), "RouterDrain": call(a.RouterDrain),
		"RouterRevoke": call(a.RouterRevoke), "LinkList": call(a.LinkList), "PathShow": call(a.PathShow),
		"RouteList": call(a.RouteList), "PrefixList": call(a.PrefixList), "PrefixGrant": call(a.PrefixGrant),
		"PrefixWithdraw": call(a.PrefixWithdraw), "PoolCreate": call(a.PoolCreate), "BucketCreate": call(a.BucketCreate),
		"BucketList": call(a.BucketList), "BucketDelete": call(a.BucketDelete), "PolicyApply": call(a.PolicyApply),
		"PolicyList": call(a.PolicyList), "PolicyDelete": call(a.PolicyDelete), "KeyCreate": call(a.KeyCreate),
		"KeyList": call(a.KeyList), "KeyDelete": call(a.KeyDelete), "ReplicationStatus": call(a.ReplicationStatus),
		"ObjectStatus": call(a.ObjectStatus), "ConflictList": call(a.ConflictList),
	}
}

// method parses a request, asks permit, and carries it out.
type method func(ctx context.Context, body []byte, permit func(request any) error) (any, error)

func call[Request, Reply any](f func(context.Context, Request) (Reply, error)) method {
	return func(ctx context.Context, body []byte, permit func(any) error) (any, error) {
		var req Request
		d := json.NewDecoder(newBody(body))
		d.DisallowUnknownFields()
		if err := d.Decode(&req); err != nil {
			return nil, &Error{Code: CodeInvalid, Message: fmt.Sprintf("read the request: %v", err)}
		}
		if err := permit(req); err != nil {
			return nil, err
		}
		return f(ctx, req)
	}
}

// Handler serves an API. Every call passes authorise.
func Handler(a API, authorise Authorise) http.Handler {
	table := methods(a)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		reply, err := serve(w, r, table, authorise)
		if err != nil {
			WriteError(w, err)
			return
		}
		write(w, http.StatusOK, reply)
	})
}

// WriteError answers a call with a refusal.
func WriteError(w http.ResponseWriter, err error) {
	e := asError(err)
	status, ok := statusOf[e.Code]
	if !ok {
		status = http.StatusInternalServerError
	}
	write(w, status, refusal{e})
}

func serve(w http.ResponseWriter, r *http.Request, table map[string]method, authorise Authorise) (any, error) {
	name, ok := cutPath(r.URL.Path)
	m := table[name]
	if !ok || m == nil {
		names := make([]string, 0, len(table))
		for n := range table {
			names = append(names, n)
		}
		slices.Sort(names)
		return nil, &Error{Code: CodeNotFound, Message: fmt.Sprintf("no call %s", r.URL.Path), Hint: fmt.Sprintf("the calls are POST /v1/…: %v", names)}
	}
	if r.Method != http.MethodPost {
		return nil, &Error{Code: CodeInvalid, Message: "a call is a POST", Hint: "curl -d '{}' …/v1/" + name}
	}
	caller, ok := CallerOf(r.Context())
	if !ok {
		return nil, &Error{Code: CodeDenied, Message: "the caller is not known"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, &Error{Code: CodeInvalid, Message: fmt.Sprintf("read the request: %v", err)}
	}
	return m(r.Context(), body, func(req any) error { return authorise(r.Context(), caller, name, req) })
}

func write(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status, b = http.StatusInternalServerError, []byte(`{"error":{"code":"internal","message":"the reply does not encode"}}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}
