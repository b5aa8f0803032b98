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

	"github.com/galleon-net/galleon/replication/s3/sigv4"
)

// HealthPath answers 200 to anyone and says nothing else. No bucket can have this name.
const HealthPath = "/-/health"

// requestIDHeader is in lower case, as all x-amz- names are on the wire: clients show them as they come.
const requestIDHeader = "x-amz-request-id"

// Handler is the front door.
type Handler struct {
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
	paced      *pacedReader
	op         *operation
	forwarded  bool
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
		return err
	}
	if err := c.checkNames(); err != nil {
		return err
	}
	if err := c.authorize(c.op.action, c.bucket, c.key); err != nil {
		return err
	}
	if mayForward && c.bucket != "" && c.h.cfg.Owner != nil {
		if done, err := c.forward(); done || err != nil {
			return err
		}
	}
	if owner := c.header.Get("X-Amz-Expected-Bucket-Owner"); owner != "" && owner != ownerID {
		return apiErr("AccessDenied", "the bucket's owner is %s", ownerID)
	}
	return c.op.do(c)
}

// verify is the only place where a signature is judged; nothing is routed before.
func (c *call) verify() error {
	now := c.h.cfg.Now()
	auth, err := sigv4.Parse(sigv4.Request{
		Method: c.r.Method, Path: c.raw, Query: c.query, Host: c.r.Host, Header: c.r.Header, ContentLength: c.r.ContentLength,
	}, sigv4.Policy{Region: c.h.cfg.Region, Also: c.h.cfg.AlsoRegions}, now)
	if err != nil {
		return err
	}
	cred := auth.Credential
	key, err := c.h.cfg.Keys.SigningKey(c.ctx, cred.AccessKey, cred.Date, cred.Region)
	if err != nil {
		if errors.Is(err, ErrNoSuchAccessKey) {
			return err
		}
		return &apiError{Code: "ServiceUnavailable", Message: "the signature cannot be checked for the moment: try again", cause: err}
	}
	if err := auth.Verify(key); err != nil {
		return err
	}
	c.auth, c.signingKey, c.header = auth, key, c.r.Header
	if auth.Presigned {
		c.hoist()
	}
	return nil
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

func (c *call) authorize(action, bucket, key string) error {
	if c.h.cfg.Authorize == nil || action == "" {
		return nil
	}
	a := Access{AccessKey: c.auth.Credential.AccessKey, Action: action, Bucket: bucket, Key: key}
	if err := c.h.cfg.Authorize(c.ctx, a); err != nil {
		return &apiError{Code: "AccessDenied", Message: "the access key may not do this: " + action, cause: err}
	}
	return nil
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
