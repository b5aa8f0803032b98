package sigv4

import (
	"net/http"
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
		return nil, refuse("InvalidRequest", "signature version 2 is not supported: use signature version 4 (%s)", algorithm)
	case scheme != algorithm:
		return nil, refuse("InvalidArgument", "the authorization mechanism %.40q is not supported: use %s", scheme, algorithm)
	case !ok:
		return nil, malformed("the Authorization header ends after %s", algorithm)
	}
	f, err := fields(rest)
	if err != nil {
		return nil, err
	}
	a := &Auth{}
	var why string
	if a.Credential, why = parseCredential(f["Credential"]); why != "" {
		return nil, malformed("%s", why)
	}
	if a.Time, err = headerTime(r.Header); err != nil {
		return nil, err
	}
	if d := now.Sub(a.Time); d > Window || d < -Window {
		return nil, refuse("RequestTimeTooSkewed",
			"the request was signed at %s and the server's clock says %s: more than %v apart; set the clock that is wrong",
			a.Time.Format(time.RFC3339), now.UTC().Format(time.RFC3339), Window)
	}
	return a, a.finish(r, p, f["SignedHeaders"], f["Signature"], "", malformed)
}

// fields reads Credential=..., SignedHeaders=..., Signature=...: each once, in any order, nothing else.
func fields(s string) (map[string]string, error) {
	f := make(map[string]string, 3)
	for part := range strings.SplitSeq(s, ",") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if !ok {
			return nil, malformed("the Authorization header must be Credential=..., SignedHeaders=..., Signature=...")
		}
		switch name {
		case "Credential", "SignedHeaders", "Signature":
		default:
			return nil, malformed("the Authorization header has an unknown part %.40q", name)
		}
		if _, dup := f[name]; dup {
			return nil, malformed("the Authorization header has %s twice", name)
		}
		f[name] = value
	}
	for _, name := range []string{"Credential", "SignedHeaders", "Signature"} {
		if f[name] == "" {
			return nil, malformed("the Authorization header has no %s", name)
		}
	}
	return f, nil
}

// headerTime gives when the request says that it was signed.
func headerTime(h http.Header) (time.Time, error) {
	if v := h.Get("X-Amz-Date"); v != "" {
		t, err := time.Parse(timeForm, v)
		if err != nil {
			return t, refuse("AccessDenied", "x-amz-date must be of the form yyyymmddThhmmssZ")
		}
		return t, nil
	}
	v := h.Get("Date")
	if v == "" {
		return time.Time{}, refuse("AccessDenied", "a signed request must have an x-amz-date header")
	}
	for _, form := range []string{http.TimeFormat, timeForm} {
		if t, err := time.Parse(form, v); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, refuse("AccessDenied", "the Date header is not a date")
}
