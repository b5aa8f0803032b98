package sigv4

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Request is what a signature covers, as it came off the wire.
type Request struct {
	Method string
	// Path is the path as sent, still encoded.
	Path string
	// Query is decoded, names once each.
	Query  Query
	Host   string
	Header http.Header
	// ContentLength is the body's length in bytes, -1 when not stated.
	ContentLength int64
}

// Policy is what the verifier accepts besides a right signature.
type Policy struct {
	// Region is this endpoint's; a client that signed for another one is told this one.
	Region string
	// Also are further region names that are accepted.
	Also []string
}

// Window is how far the clocks of client and server may be apart.
const Window = 15 * time.Minute

// MaxExpires is the longest life of a presigned request.
const MaxExpires = 7 * 24 * time.Hour

// Auth is a parsed claim: this credential signed this request at that time. It is worth nothing until
// Verify has said nil.
type Auth struct {
	Credential Credential
	// Time is when the request was signed.
	Time time.Time
	// Presigned says that the signature was in the query.
	Presigned bool
	// Form says that what was signed is the policy of a form.
	Form    bool
	Payload Payload

	signature    [32]byte
	stringToSign string
	canonical    string // kept to tell a client what it should have signed
	stated       string // the signature as a form has it
	decoded      int64
	trailer      string
}

// Parse reads the claim from the one place where the request has it, and checks all that needs no key:
// form, dates, region, that the headers which change what the request means are signed.
func Parse(r Request, p Policy, now time.Time) (*Auth, error) {
	inHeader := len(r.Header["Authorization"]) > 0
	inQuery := false
	for _, q := range r.Query {
		switch strings.ToLower(q.Name) {
		case "x-amz-algorithm", "x-amz-credential", "x-amz-signature":
			inQuery = true
		case "awsaccesskeyid", "signature":
			return nil, oldSignature()
		case "x-amz-security-token":
			return nil, sessionToken()
		}
	}
	if r.Header.Get("X-Amz-Security-Token") != "" {
		return nil, sessionToken()
	}
	if err := once(r.Header); err != nil {
		return nil, err
	}
	switch {
	case inHeader && inQuery:
		return nil, refuse("InvalidArgument", "the request is signed both in a header and in the query: one is allowed")
	case inHeader:
		return parseHeader(r, p, now)
	case inQuery:
		return parsePresigned(r, p, now)
	}
	return nil, ErrUnsigned
}

// ErrUnsigned says that a request claims nothing. Whether strangers may do what it asks is not for this package.
var ErrUnsigned = refuse("AccessDenied", "Access Denied.")

// sessionToken refuses temporary credentials: there are none here.
func sessionToken() *Error {
	return refuse("InvalidToken", "The provided token is malformed or otherwise invalid.")
}

// once refuses a header that comes twice where only one of the two could be the one that was checked.
func once(h http.Header) error {
	for name, values := range h {
		if len(values) < 2 {
			continue
		}
		lower := strings.ToLower(name)
		switch {
		case strings.HasPrefix(lower, "x-amz-meta-"), lower == "x-amz-object-attributes": // lists, by definition
		case strings.HasPrefix(lower, "x-amz-"), strings.HasPrefix(lower, "content-"),
			lower == "authorization", lower == "date", lower == "host":
			return refuse("InvalidRequest", "the request has the header %s %d times", lower, len(values))
		}
	}
	return nil
}

// finish is what both forms have in common.
func (a *Auth) finish(r Request, p Policy, signed, signature, stripped string, bad, badCredential func(string, ...any) *Error) error {
	if !a.Credential.acceptable(p) {
		e := badCredential("the region %q is wrong; expecting %q", a.Credential.Region, p.Region)
		e.Region = p.Region
		return e
	}
	if !decodeSignature(&a.signature, signature) {
		return bad("the signature must be 64 lower-case hex digits")
	}
	names, err := signedNames(signed, r.Header, bad)
	if err != nil {
		return err
	}
	if err := a.payload(r); err != nil {
		return err
	}
	a.stringToSign, err = a.toSign(r, names, stripped)
	return err
}

func (c Credential) acceptable(p Policy) bool {
	if c.Region == p.Region {
		return true
	}
	for _, r := range p.Also {
		if c.Region == r {
			return true
		}
	}
	return false
}

func decodeSignature(to *[32]byte, s string) bool {
	if len(s) != 64 {
		return false
	}
	for i := range to {
		hi, lo := nibble(s[2*i]), nibble(s[2*i+1])
		// Upper case is refused too: a signature has one spelling.
		if hi < 0 || lo < 0 || s[2*i] >= 'A' && s[2*i] <= 'F' || s[2*i+1] >= 'A' && s[2*i+1] <= 'F' {
			return false
		}
		to[i] = byte(hi<<4 | lo)
	}
	return true
}

func parseCount(s string) (int64, bool) {
	if !digits(s) || len(s) > 18 {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}
