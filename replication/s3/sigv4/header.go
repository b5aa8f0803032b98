package sigv4

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxAuthorization bounds the Authorization header, in bytes.
const maxAuthorization = 8 << 10

// parseHeader reads a claim from the Authorization header.
func parseHeader(r Request, p Policy, now time.Time) (*Auth, error) {
	v := r.Header.Get("Authorization")
	if len(v) > maxAuthorization {
		return nil, malformed("the Authorization header is longer than %d bytes", maxAuthorization)
	}
	scheme, rest, ok := strings.Cut(v, " ")
	switch {
	case scheme == "AWS":
		return nil, oldSignature()
	case !ok:
		return nil, refuse("InvalidArgument", "Authorization header is invalid -- one and only one ' ' (space) required.").
			with("ArgumentName", "Authorization").with("ArgumentValue", v)
	case scheme != algorithm:
		return nil, refuse("InvalidArgument", "Unsupported Authorization Type").with("ArgumentName", "Authorization").with("ArgumentValue", scheme)
	}
	f, err := fields(rest)
	if err != nil {
		return nil, err
	}
	a := &Auth{}
	if a.Credential, err = parseCredential(f["Credential"], malformed); err != nil {
		return nil, err
	}
	if a.Time, err = headerTime(r.Header); err != nil {
		return nil, err
	}
	if d := now.Sub(a.Time); d > Window || d < -Window {
		return nil, refuse("RequestTimeTooSkewed", "The difference between the request time and the current time is too large.").
			with("RequestTime", a.Time.Format(timeForm)).with("ServerTime", now.UTC().Format(time.RFC3339)).
			with("MaxAllowedSkewMilliseconds", strconv.FormatInt(Window.Milliseconds(), 10))
	}
	if a.Credential.Date != a.Time.Format(dateForm) {
		return nil, malformed("Invalid credential date. Date is not the same as X-Amz-Date.")
	}
	return a, a.finish(r, p, f["SignedHeaders"], f["Signature"], "", malformed, malformed)
}

// fields reads Credential=..., SignedHeaders=..., Signature=...: each once, in any order, nothing else.
func fields(s string) (map[string]string, error) {
	f := make(map[string]string, 3)
	if strings.Count(s, ",") != 2 {
		return nil, malformed("the authorization header requires three components: Credential, SignedHeaders, and Signature.")
	}
	for part := range strings.SplitSeq(s, ",") {
		part = strings.TrimSpace(part)
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return nil, malformed("the authorization component %q is malformed.", part)
		}
		f[name] = value
	}
	// Three parts of which none is missing: so none comes twice, and there is no other.
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if f[name] == "" {
			return nil, malformed("missing %s.", name)
		}
	}
	return f, nil
}

// headerTime gives when the request says that it was signed.
func headerTime(h http.Header) (time.Time, error) {
	if v := h.Get("X-Amz-Date"); v != "" {
		t, err := time.Parse(timeForm, v)
		if err != nil {
			return t, undated()
		}
		return t, nil
	}
	v := h.Get("Date")
	if v == "" {
		return time.Time{}, undated()
	}
	for _, form := range []string{http.TimeFormat, timeForm} {
		if t, err := time.Parse(form, v); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, undated()
}

func undated() *Error {
	return refuse("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header.")
}

// oldSignature refuses signature version 2.
func oldSignature() *Error {
	return refuse("InvalidRequest", "The authorization mechanism you have provided is not supported. Please use %s.", algorithm)
}
