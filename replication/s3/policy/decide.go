package policy

import "slices"

// Decision is what a policy says of one request.
type Decision uint8

// A policy that says nothing leaves it to others; a Deny is the last word.
const (
	Silent Decision = iota
	Allow
	Deny
)

// Request is one question: may this principal do this to that.
type Request struct {
	// Principal is the access key that signed, "" for a stranger.
	Principal string
	// Actions are the names under which the request may be allowed or denied; the first is the usual one.
	Actions []string
	Bucket  string
	// Key is empty for what is done to the bucket.
	Key string
	// Have gives the values that the request has for a condition key.
	Have func(key string) []string
}

// Decide answers. A stranger is addressed by "*" alone.
func (d *Document) Decide(r Request) Decision {
	resource := r.Bucket
	if r.Key != "" {
		resource += "/" + r.Key
	}
	out := Silent
	for i := range d.statements {
		s := &d.statements[i]
		if !s.applies(&r, resource) {
			continue
		}
		if s.deny {
			return Deny
		}
		out = Allow
	}
	return out
}

func (s *statement) applies(r *Request, resource string) bool {
	if !slices.ContainsFunc(s.principals, func(p string) bool { return p == "*" || r.Principal != "" && p == r.Principal }) {
		return false
	}
	if !slices.ContainsFunc(s.actions, func(p string) bool {
		return p == "*" || slices.ContainsFunc(r.Actions, func(a string) bool { return matches(p, a) })
	}) {
		return false
	}
	if !slices.ContainsFunc(s.resources, func(p string) bool { return matches(p, resource) }) {
		return false
	}
	for i := range s.conditions {
		if !s.conditions[i].holds(r.Have) {
			return false
		}
	}
	return true
}

// Public says whether the policy allows something to everybody on no more than that they ask. Conditions on where
// a request comes from make it not public, as in S3, unless they name every address.
func (d *Document) Public() bool {
	return slices.ContainsFunc(d.statements, func(s statement) bool {
		if s.deny || !slices.Contains(s.principals, "*") {
			return false
		}
		return !slices.ContainsFunc(s.conditions, narrows)
	})
}

func narrows(c condition) bool {
	if c.key != "aws:SourceIp" || c.operator != "IpAddress" || c.ifExists {
		return false
	}
	return !slices.ContainsFunc(c.values, func(v string) bool { p, ok := prefixOf(v); return !ok || p.Bits() == 0 })
}
