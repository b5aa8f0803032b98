package s3

import (
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/galleon-net/galleon/replication/object"
)

// Cross-origin resource sharing ("Using cross-origin resource sharing", S3 user guide): a bucket says which pages of
// other sites a browser may let talk to it. It opens nothing: what a request may do is decided as ever.

// maxCORSRules is S3's.
const maxCORSRules = 100

type corsRule struct {
	ID             string   `xml:",omitempty"`
	AllowedOrigins []string `xml:"AllowedOrigin"`
	AllowedMethods []string `xml:"AllowedMethod"`
	AllowedHeaders []string `xml:"AllowedHeader"`
	ExposeHeaders  []string `xml:"ExposeHeader"`
	MaxAgeSeconds  *int     `xml:",omitempty"`
}

type corsXML struct {
	XMLName xml.Name   `xml:"CORSConfiguration"`
	Xmlns   string     `xml:"xmlns,attr,omitempty"`
	Rules   []corsRule `xml:"CORSRule"`
}

var corsMethods = []string{"GET", "HEAD", "PUT", "POST", "DELETE"}

func (d corsXML) check() error {
	if len(d.Rules) == 0 || len(d.Rules) > maxCORSRules {
		return refuse("MalformedXML")
	}
	for _, r := range d.Rules {
		if len(r.AllowedOrigins) == 0 || len(r.AllowedMethods) == 0 {
			return refuse("MalformedXML")
		}
		for _, o := range r.AllowedOrigins {
			if strings.Count(o, "*") > 1 {
				return apiErr("InvalidRequest", "AllowedOrigin \"%s\" can not have more than one wildcard.", o)
			}
		}
		for _, m := range r.AllowedMethods {
			if !slices.Contains(corsMethods, m) {
				return apiErr("InvalidRequest", "Found unsupported HTTP method in CORS config. Unsupported method is %s", m)
			}
		}
		for _, h := range slices.Concat(r.AllowedHeaders, r.ExposeHeaders) {
			if !headerName(strings.ReplaceAll(h, "*", "")) && h != "*" {
				return apiErr("InvalidRequest", "AllowedHeader \"%s\" contains invalid character.", h)
			}
		}
	}
	return nil
}

// headerName says whether s could be a header's name (RFC 9110, section 5.6.2).
func headerName(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("!#$%&'*+-.^_`|~", r))
	})
}

func (c *call) putCORS() error {
	if _, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket); err != nil {
		return err
	}
	var doc corsXML
	if err := c.readXML(&doc, maxForm, false); err != nil {
		return err
	}
	if err := doc.check(); err != nil {
		return err
	}
	doc.Xmlns = xmlns
	if err := c.keepXML(object.SettingCORS, doc); err != nil {
		return err
	}
	c.empty(http.StatusOK)
	return nil
}

// corsRules gives a bucket's rules, nil where it has none.
func (c *call) corsRules(b object.Bucket) []corsRule {
	doc := b.Settings[object.SettingCORS]
	if doc == "" {
		return nil
	}
	rules, err := c.h.cors.get(doc, func() ([]corsRule, error) {
		var d corsXML
		err := xml.Unmarshal([]byte(doc), &d)
		return d.Rules, err
	})
	if err != nil {
		return nil // then nothing is shared
	}
	return rules
}

// matches says whether a rule is for a page of an origin that wants to use a method and headers.
func (r *corsRule) matches(origin, method string, headers []string) bool {
	if !slices.ContainsFunc(r.AllowedOrigins, func(o string) bool { return starMatches(o, origin) }) || !slices.Contains(r.AllowedMethods, method) {
		return false
	}
	for _, h := range headers {
		if !slices.ContainsFunc(r.AllowedHeaders, func(p string) bool { return starMatches(strings.ToLower(p), h) }) {
			return false
		}
	}
	return true
}

// starMatches matches a pattern with at most one star.
func starMatches(pattern, s string) bool {
	before, after, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	return len(s) >= len(before)+len(after) && strings.HasPrefix(s, before) && strings.HasSuffix(s, after)
}

// varies is what an answer that shares depends on.
const varies = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"

// share writes what a rule allows.
func (c *call) share(r *corsRule, origin string, headers []string) {
	h := c.w.Header()
	h.Set("Vary", varies)
	which := slices.IndexFunc(r.AllowedOrigins, func(o string) bool { return starMatches(o, origin) })
	if which >= 0 && r.AllowedOrigins[which] == "*" {
		h.Set("Access-Control-Allow-Origin", "*") // without credentials: for them there is no star
	} else {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	}
	h.Set("Access-Control-Allow-Methods", strings.Join(r.AllowedMethods, ", "))
	if len(headers) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(headers, ", "))
	}
	if len(r.ExposeHeaders) > 0 {
		h.Set("Access-Control-Expose-Headers", strings.Join(r.ExposeHeaders, ", "))
	}
	if r.MaxAgeSeconds != nil {
		h.Set("Access-Control-Max-Age", strconv.Itoa(*r.MaxAgeSeconds))
	}
}

// allowOrigin lets the page that sent a request see the answer, where the bucket shares with it.
func (c *call) allowOrigin() {
	origin := c.r.Header.Get("Origin")
	if origin == "" || c.bucket == "" || c.r.Method == http.MethodOptions {
		return
	}
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return // the operation says so
	}
	// Whoever says what a preflight would say is judged by that, as S3 does.
	method, headers := c.r.Method, []string(nil)
	if asked := c.r.Header.Get("Access-Control-Request-Method"); asked != "" {
		method = asked
		if headers, err = c.askedHeaders(); err != nil {
			return
		}
	}
	for _, r := range c.corsRules(b) {
		if r.matches(origin, method, headers) {
			c.share(&r, origin, headers)
			return
		}
	}
}

// askedHeaders gives the headers that a page wants to send, in lower case.
func (c *call) askedHeaders() (headers []string, err error) {
	asked := c.r.Header.Get("Access-Control-Request-Headers")
	if asked == "" {
		return nil, nil
	}
	for h := range strings.SplitSeq(asked, ",") {
		name := strings.TrimSpace(h)
		if !headerName(name) {
			return nil, apiErr("BadRequest", "Access-Control-Request-Headers \"%s\" contains invalid character.", h)
		}
		headers = append(headers, strings.ToLower(name))
	}
	return headers, nil
}

// preflight answers a browser that asks what it may do before it does it. It needs no signature: browsers send none.
func (c *call) preflight() error {
	origin, method := c.r.Header.Get("Origin"), c.r.Header.Get("Access-Control-Request-Method")
	if origin == "" {
		return apiErr("BadRequest", "Insufficient information. Origin request header needed.")
	}
	if !slices.Contains(corsMethods, method) {
		return apiErr("BadRequest", "Invalid Access-Control-Request-Method: %s", method)
	}
	headers, err := c.askedHeaders()
	if err != nil {
		return err
	}
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	kind := "BUCKET"
	if c.key != "" {
		kind = "OBJECT"
	}
	rules := c.corsRules(b)
	if rules == nil {
		return refuse("AccessForbidden").with("Method", method).with("ResourceType", kind)
	}
	for _, r := range rules {
		if r.matches(origin, method, headers) {
			c.share(&r, origin, headers)
			c.empty(http.StatusOK)
			return nil
		}
	}
	return apiErr("AccessForbidden", "CORSResponse: This CORS request is not allowed. This is usually because the evalution of Origin, "+
		"request method / Access-Control-Request-Method or Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.").
		with("Method", method).with("ResourceType", kind)
}
