package s3

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/galleon-net/galleon/replication/lifecycle"
	"github.com/galleon-net/galleon/replication/s3/policy"
	"github.com/galleon-net/galleon/replication/s3/sigv4"
)

// HealthPath answers 200 to anyone and says nothing else. No bucket can have this name.
const HealthPath = "/-/health"

// requestIDHeader is in lower case, as all x-amz- names are on the wire: clients show them as they come.
const requestIDHeader = "x-amz-request-id"

// Handler is the front door.
type Handler struct {
	policies   understood[*policy.Document]
	cors       understood[[]corsRule]
	lifecycles understood[*lifecycle.Config]

	cfg   Config
	slots chan struct{}
}

// New makes the front door. It panics when Backend, Keys or Region are missing, since nothing could be served.
func New(cfg Config) *Handler {
	if cfg.Backend == nil || cfg.Keys == nil || cfg.Region == "" {
		panic("s3.New: Backend, Keys and Region are needed")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Emit == nil {
		cfg.Emit = func(Event) {}
	}
	cfg.Limits = cfg.Limits.withDefaults()
	return &Handler{cfg: cfg, slots: make(chan struct{}, cfg.Limits.Requests)}
}

// ServeHTTP serves clients.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.serve(w, r, true) }

// Peer serves requests that another router of the region forwarded because this one owns the bucket.
// They are verified like any other; they are not forwarded again.
func (h *Handler) Peer() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, false) })
}

// call is one request on its way through.
type call struct {
	h   *Handler
	ctx context.Context
	w   *response
	r   *http.Request
	id  string
	// bucket and key are decoded, once; key is empty for requests of a bucket.
	bucket, key string
	// raw is the path as it came.
	raw   string
	query sigv4.Query
	// header is the request's header, and for presigned requests the x-amz- parameters of its query too.
	header http.Header
	auth   *sigv4.Auth
	// signingKey is the derived key that the body's chunk signatures are checked with.
	signingKey []byte
	// form is set for a browser's upload: its fields were read to know what is signed, its file was not.
	form      *form
	paced     *pacedReader
	op        *operation
	forwarded bool
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, mayForward bool) {
	began := time.Now()
	if r.Method != http.MethodPut && r.Method != http.MethodPost && r.URL.Path == HealthPath && r.URL.RawQuery == "" {
		io.WriteString(w, "1")
		return
	}
	c := &call{h: h, ctx: r.Context(), r: r, id: requestID()}
	c.w = newResponse(w, h.cfg.Limits)
	c.w.Header()[requestIDHeader] = []string{c.id}
	c.w.Header().Set("Server", "Galleon")
	c.paced = newPacedReader(r.Body, w, h.cfg.Limits)
	defer func() {
		c.paced.release()
		c.w.release()
	}()
	err := guarded(func() error { return c.run(mayForward) })
	var refused *apiError
	if err != nil {
		refused = asAPIError(err)
		if c.w.status == 0 {
			c.writeError(refused)
		}
	}
	c.report(refused, err, time.Since(began))
	if err != nil && c.w.torn() {
		// The status line promised a body that did not come: only a broken connection says so.
		panic(http.ErrAbortHandler)
	}
}

// guarded makes a panic this request's error: net/http would drop the connection and tell nobody, and
// in a goroutine of ours it would end the process.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}

func (c *call) run(mayForward bool) error {
	select {
	case c.h.slots <- struct{}{}:
		defer func() { <-c.h.slots }()
	default:
		return apiErr("SlowDown", "%d requests are being served: try again", c.h.cfg.Limits.Requests)
	}
	if err := c.name(); err != nil {
		return err
	}
	if err := c.verify(); err != nil {
		return err
	}
	if err := c.route(); err != nil {
		if c.anonymous() && asAPIError(err).Code == "NotImplemented" {
			if c.query.Has("select") {
				return apiErr("AccessDenied", "Anonymous users cannot invoke this API.%s", pleaseSign)
			}
			return refuse("AccessDenied").because(err) // strangers are not told what is served
		}
		return err
	}
	if err := c.checkNames(); err != nil {
		return err
	}
	c.allowOrigin()
	if err := c.authorize(c.op.action, c.bucket, c.key); err != nil {
		return err
	}
	if mayForward && c.bucket != "" && c.h.cfg.Owner != nil {
		if done, err := c.forward(); done || err != nil {
			return err
		}
	}
	if !c.isOwner(c.header.Get("X-Amz-Expected-Bucket-Owner")) {
		return refuse("AccessDenied")
	}
	return c.op.do(c)
}

// isOwner says whether a name that a client expects of the owner is right: there is one account, and each of its
// access keys stands for it.
func (c *call) isOwner(expected string) bool {
	return expected == "" || expected == ownerID || expected == c.auth.Credential.AccessKey
}

// anonymous says whether nobody signed.
func (c *call) anonymous() bool { return c.auth.Credential.AccessKey == "" }

// verify is the only place where a signature is judged; nothing is routed before. A request that claims nothing goes
// on as a stranger's, which authorize lets through where a bucket's policy says so and nowhere else.
func (c *call) verify() error {
	now := c.h.cfg.Now()
	policy := sigv4.Policy{Region: c.h.cfg.Region, Also: c.h.cfg.AlsoRegions}
	r := sigv4.Request{
		Method: c.r.Method, Path: c.raw, Query: c.query, Host: c.r.Host, Header: c.r.Header, ContentLength: c.r.ContentLength,
	}
	auth, err := sigv4.Parse(r, policy, now)
	c.header = c.r.Header
	if errors.Is(err, sigv4.ErrUnsigned) {
		if auth, err = c.verifyForm(policy, now); auth == nil && err == nil {
			c.auth, err = sigv4.Anonymous(r)
			return err
		}
	}
	if err != nil {
		return err
	}
	cred := auth.Credential
	key, err := c.h.cfg.Keys.SigningKey(c.ctx, cred.AccessKey, cred.Date, cred.Region)
	if err != nil {
		if errors.Is(err, ErrNoSuchAccessKey) {
			return refuse("InvalidAccessKeyId").with("AWSAccessKeyId", cred.AccessKey).because(err)
		}
		return &apiError{Code: "ServiceUnavailable", Message: "the signature cannot be checked for the moment: try again", cause: err}
	}
	if err := auth.Verify(key); err != nil {
		return err
	}
	c.auth, c.signingKey = auth, key
	if auth.Presigned {
		c.hoist()
	}
	return nil
}

// verifyForm reads the claim of a form, nil where there is no form or it claims nothing.
func (c *call) verifyForm(p sigv4.Policy, now time.Time) (*sigv4.Auth, error) {
	if c.r.Method != http.MethodPost || c.bucket == "" || c.key != "" || len(c.query) > 0 {
		return nil, nil
	}
	var err error
	if c.form, err = c.readForm(); err != nil {
		return nil, err
	}
	return sigv4.ParseForm(c.form.fields, p, now)
}

// hoist makes headers of the x-amz- parameters of a presigned query, which its signature covers: SDKs
// move headers there. A header that is there, and so is signed, is not overridden.
func (c *call) hoist() {
	c.header = c.r.Header.Clone()
	for _, p := range c.query {
		name := strings.ToLower(p.Name)
		if !strings.HasPrefix(name, "x-amz-") || authParams[name] {
			continue
		}
		if canonical := http.CanonicalHeaderKey(name); len(c.header[canonical]) == 0 {
			c.header[canonical] = []string{p.Value}
		}
	}
}

var authParams = map[string]bool{
	"x-amz-algorithm": true, "x-amz-credential": true, "x-amz-date": true, "x-amz-expires": true,
	"x-amz-signedheaders": true, "x-amz-signature": true, "x-amz-content-sha256": true,
}

func (c *call) report(refused *apiError, err error, took time.Duration) {
	e := Served{
		RequestID: c.id, Bucket: c.bucket, Key: c.key, Remote: c.r.RemoteAddr, Status: c.w.status,
		In: c.paced.total, Out: c.w.total, Took: took, Forwarded: c.forwarded,
	}
	if c.op != nil {
		e.Operation = c.op.name
	}
	if c.auth != nil {
		e.AccessKey = c.auth.Credential.AccessKey
	}
	if refused != nil {
		e.Code, e.Err = refused.Code, err.Error()
	}
	c.h.cfg.Emit(e)
}

func requestID() string {
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return strings.ToUpper(hex.EncodeToString(b[:]))
}
