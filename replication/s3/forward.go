package s3

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// forward sends the request as it came to the router that owns the bucket, and its answer back. The
// owner verifies the signature again, from the same bytes: it need not trust this router, and there is
// no header that a client could forge. done is false when this router is the owner.
func (c *call) forward() (done bool, err error) {
	to, err := c.h.cfg.Owner(c.ctx, c.bucket)
	if err != nil {
		return false, &apiError{Code: "ServiceUnavailable", Message: "the router that owns the bucket is not known or cannot be reached: try again", cause: err}
	}
	if to == nil {
		return false, nil
	}
	c.forwarded = true
	res, err := to.RoundTrip(c.asItCame().WithContext(c.ctx))
	if err != nil {
		if c.paced.err != nil {
			return true, c.paced.err
		}
		return true, &apiError{Code: "ServiceUnavailable", Message: "the router that owns the bucket did not answer: try again", cause: err}
	}
	defer res.Body.Close()
	h := c.w.Header()
	clear(h)
	for n, v := range res.Header {
		h[wireName(n)] = v
	}
	if id := res.Header.Get("X-Amz-Request-Id"); id != "" {
		c.id = id
	}
	c.w.WriteHeader(res.StatusCode)
	if _, err := io.CopyBuffer(struct{ io.Writer }{c.w}, res.Body, make([]byte, copyBuffer)); err != nil {
		return true, &apiError{Code: "ServiceUnavailable", Message: "the answer of the router that owns the bucket broke off", cause: err}
	}
	return true, nil
}

// asItCame rebuilds the request for another connection.
func (c *call) asItCame() *http.Request {
	// Opaque goes on the request line as it is: the signature covers the path's own spelling. net/url
	// takes "//" at its beginning for an authority, so such a path goes in absolute form.
	opaque := c.raw
	if strings.HasPrefix(opaque, "//") {
		opaque = "//" + c.r.Host + opaque
	}
	out := &http.Request{
		Method: c.r.Method, Host: c.r.Host, Header: c.r.Header.Clone(), ContentLength: c.r.ContentLength,
		URL:   &url.URL{Scheme: "http", Host: c.r.Host, Opaque: opaque, RawQuery: c.r.URL.RawQuery},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, TransferEncoding: c.r.TransferEncoding,
	}
	for _, hop := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Upgrade"} {
		out.Header.Del(hop)
	}
	if !c.paced.done {
		out.Body = io.NopCloser(c.paced)
	}
	if c.form != nil { // its beginning was read to know who sent it
		out.Body = io.NopCloser(io.MultiReader(bytes.NewReader(c.form.read.Bytes()), c.paced))
	}
	return out
}

// wireName undoes what net/http did to a header's name: x-amz- names are lower case on the wire.
func wireName(n string) string {
	if lower := strings.ToLower(n); strings.HasPrefix(lower, "x-amz-") {
		return lower
	}
	if n == "Etag" {
		return "ETag"
	}
	return n
}
