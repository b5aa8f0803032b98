package sigv4

import (
	"slices"
	"strings"
)

// maxParams bounds the parameters of a query; S3 has no operation with more than a dozen.
const maxParams = 64

// Param is one parameter of a query, decoded.
type Param struct {
	Name, Value string
}

// Query is a decoded query in which every name occurs once. It is what is signed and also what is
// acted on, so that the two can not differ.
type Query []Param

// ParseQuery decodes a raw query. A name that occurs twice is refused: no S3 operation has one, and a
// proxy and a server may each pick another.
func ParseQuery(raw string) (Query, error) {
	var q Query
	for len(raw) > 0 {
		var part string
		part, raw, _ = strings.Cut(raw, "&")
		if part == "" {
			continue
		}
		if len(q) == maxParams {
			return nil, refuse("InvalidArgument", "the query has more than %d parameters", maxParams)
		}
		name, value, _ := strings.Cut(part, "=")
		n, ok1 := unescape(name, true)
		v, ok2 := unescape(value, true)
		if !ok1 || !ok2 {
			return nil, refuse("InvalidURI", "the query has a percent sign that is not followed by two hex digits")
		}
		if _, dup := q.Get(n); dup {
			return nil, refuse("InvalidArgument", "the query has the parameter %q twice", n)
		}
		q = append(q, Param{Name: n, Value: v})
	}
	return q, nil
}

// Get gives the value of a parameter and whether it is there.
func (q Query) Get(name string) (string, bool) {
	for i := range q {
		if q[i].Name == name {
			return q[i].Value, true
		}
	}
	return "", false
}

// Has reports whether a parameter is there.
func (q Query) Has(name string) bool {
	_, ok := q.Get(name)
	return ok
}

// canonical is the query as it is signed, without the parameter named except.
func (q Query) canonical(except string) string {
	pairs := make([]string, 0, len(q))
	for _, p := range q {
		if p.Name != except {
			pairs = append(pairs, escape(p.Name, false)+"="+escape(p.Value, false))
		}
	}
	// "=" sorts behind "-", "." and digits, so pairs must be compared by name first.
	slices.SortFunc(pairs, func(a, b string) int {
		an, av, _ := strings.Cut(a, "=")
		bn, bv, _ := strings.Cut(b, "=")
		if c := strings.Compare(an, bn); c != 0 {
			return c
		}
		return strings.Compare(av, bv)
	})
	return strings.Join(pairs, "&")
}

// DecodePath decodes a raw path once. It cleans nothing.
func DecodePath(raw string) (string, error) {
	p, ok := unescape(raw, false)
	if !ok {
		return "", refuse("InvalidURI", "the path has a percent sign that is not followed by two hex digits")
	}
	return p, nil
}

// unescape decodes %XX, and "+" as a space where form says so.
func unescape(s string, form bool) (string, bool) {
	if !strings.ContainsAny(s, "%+") {
		return s, true
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '%':
			if i+2 >= len(s) {
				return "", false
			}
			hi, lo := nibble(s[i+1]), nibble(s[i+2])
			if hi < 0 || lo < 0 {
				return "", false
			}
			b.WriteByte(byte(hi<<4 | lo))
			i += 2
		case c == '+' && form:
			b.WriteByte(' ')
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), true
}

func nibble(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// escape encodes all but RFC 3986's unreserved characters, upper-case hex, and "/" unless path says so.
func escape(s string, path bool) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s) + len(s)/4)
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' ||
			c == '-' || c == '.' || c == '_' || c == '~' || c == '/' && path {
			b.WriteByte(c)
			continue
		}
		b.WriteByte('%')
		b.WriteByte(hex[c>>4])
		b.WriteByte(hex[c&15])
	}
	return b.String()
}
