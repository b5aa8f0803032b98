package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxSigned bounds the number of signed headers.
const maxSigned = 128

// signedNames checks the list of signed headers: lower case, sorted, each once, the host among them,
// and every x-amz- header that the request has, since those say what it means.
func signedNames(list string, h http.Header, bad func(string, ...any) *Error) ([]string, error) {
	names := strings.Split(list, ";")
	if len(names) > maxSigned {
		return nil, bad("more than %d signed headers", maxSigned)
	}
	host := false
	for i, n := range names {
		if n == "" || n != strings.ToLower(n) {
			return nil, bad("SignedHeaders must be lower-case names with semicolons between them")
		}
		if i > 0 && names[i-1] >= n {
			return nil, bad("SignedHeaders must be sorted, each name once")
		}
		host = host || n == "host"
	}
	if !host {
		return nil, notSigned([]string{"host"})
	}
	var missing []string
	for name := range h {
		lower := strings.ToLower(name)
		if strings.HasPrefix(lower, "x-amz-") && !contains(names, lower) {
			missing = append(missing, lower)
		}
	}
	if missing != nil {
		slices.Sort(missing)
		return nil, notSigned(missing)
	}
	return names, nil
}

func notSigned(names []string) *Error {
	return refuse("AccessDenied", "There were headers present in the request which were not signed").with("HeadersNotSigned", strings.Join(names, ", "))
}

func contains(names []string, n string) bool {
	for _, s := range names {
		if s == n {
			return true
		}
	}
	return false
}

// toSign builds the string to sign. except is the query parameter that holds the signature itself.
func (a *Auth) toSign(r Request, names []string, except string) (string, error) {
	path, err := DecodePath(r.Path)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString(r.Method)
	b.WriteByte('\n')
	b.WriteString(escape(path, true))
	b.WriteByte('\n')
	b.WriteString(r.Query.canonical(except))
	b.WriteByte('\n')
	for _, n := range names {
		v, ok := headerValue(r, n)
		if !ok {
			return "", wrongSignature()
		}
		b.WriteString(n)
		b.WriteByte(':')
		b.WriteString(v)
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	b.WriteString(strings.Join(names, ";"))
	b.WriteByte('\n')
	b.WriteString(a.Payload.Stated)
	a.canonical = b.String()
	sum := sha256.Sum256([]byte(a.canonical))
	return algorithm + "\n" + a.Time.Format(timeForm) + "\n" + a.Credential.Scope() + "\n" + hex.EncodeToString(sum[:]), nil
}

// headerValue gives a header as it is signed: values joined by commas, runs of white space as one space.
func headerValue(r Request, name string) (string, bool) {
	switch name {
	case "host":
		return r.Host, true
	case "content-length":
		// net/http keeps the header, other callers may not.
		if r.ContentLength >= 0 {
			return strconv.FormatInt(r.ContentLength, 10), true
		}
	}
	values, ok := r.Header[http.CanonicalHeaderKey(name)]
	if !ok {
		return "", false
	}
	trimmed := make([]string, len(values))
	for i, v := range values {
		trimmed[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(trimmed, ","), true
}

// Verify checks the signature with the derived key of the claim's credential.
func (a *Auth) Verify(key []byte) error {
	want := mac(key, a.stringToSign)
	if a.Credential.AccessKey != "" && hmac.Equal(want, a.signature[:]) {
		return nil
	}
	stated := a.stated
	if stated == "" {
		stated = hex.EncodeToString(a.signature[:])
	}
	return wrongSignature().with("AWSAccessKeyId", a.Credential.AccessKey).with("StringToSign", a.stringToSign).
		with("SignatureProvided", stated).with("StringToSignBytes", spaced(a.stringToSign)).
		with("CanonicalRequest", a.canonical).with("CanonicalRequestBytes", spaced(a.canonical))
}

func wrongSignature() *Error {
	return refuse("SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided. Check your key and signing method.")
}

// spaced writes bytes as S3 shows them: hex with spaces between.
func spaced(s string) string { return fmt.Sprintf("% x", s) }
