package sigv4

import (
	"strconv"
	"time"
)

// parsePresigned reads a claim from the query.
func parsePresigned(r Request, p Policy, now time.Time) (*Auth, error) {
	var v [6]string
	for i, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"} {
		var ok bool
		if v[i], ok = r.Query.Get(name); !ok || v[i] == "" {
			return nil, malformedQuery("Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, " +
				"X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.")
		}
	}
	switch v[0] {
	case algorithm:
	case ecdsaAlgorithm:
		return nil, malformedQuery("X-Amz-Algorithm only supports %q", algorithm)
	default:
		return nil, malformedQuery("X-Amz-Algorithm only supports \"%s and %s\"", algorithm, ecdsaAlgorithm)
	}
	a := &Auth{Presigned: true}
	var err error
	if a.Credential, err = parseCredential(v[1], malformedQueryCredential); err != nil {
		return nil, err
	}
	if a.Time, err = time.Parse(timeForm, v[2]); err != nil {
		return nil, malformedQuery("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
	}
	if a.Credential.Date != a.Time.Format(dateForm) {
		return nil, malformedQuery("Invalid credential date %q. This date is not the same as X-Amz-Date: %q.", a.Credential.Date, a.Time.Format(dateForm))
	}
	n, err := strconv.ParseInt(v[3], 10, 64)
	switch {
	case err != nil:
		return nil, malformedQuery("X-Amz-Expires should be a number")
	case n < 0:
		return nil, malformedQuery("X-Amz-Expires must be non-negative")
	case n > int64(MaxExpires/time.Second):
		return nil, malformedQuery("X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than %d seconds", MaxExpires/time.Second)
	}
	if a.Time.Sub(now) > Window {
		return nil, refuse("AccessDenied", "Request is not valid yet.")
	}
	if end := a.Time.Add(time.Duration(n) * time.Second); now.After(end) {
		return nil, refuse("AccessDenied", "Request has expired.").with("X-Amz-Expires", v[3]).
			with("Expires", end.UTC().Format(time.RFC3339)).with("ServerTime", now.UTC().Format(time.RFC3339))
	}
	return a, a.finish(r, p, v[4], v[5], "X-Amz-Signature", malformedQuery, malformedQueryCredential)
}
