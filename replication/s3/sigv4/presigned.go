package sigv4

import (
	"time"
)

// parsePresigned reads a claim from the query.
func parsePresigned(r Request, p Policy, now time.Time) (*Auth, error) {
	var v [6]string
	for i, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Signature"} {
		var ok bool
		if v[i], ok = r.Query.Get(name); !ok || v[i] == "" {
			return nil, malformedQuery("a request signed in its query needs %s", name)
		}
	}
	if v[0] != algorithm {
		return nil, malformedQuery("X-Amz-Algorithm must be %s", algorithm)
	}
	a := &Auth{Presigned: true}
	var why string
	if a.Credential, why = parseCredential(v[1]); why != "" {
		return nil, malformedQuery("%s", why)
	}
	var err error
	if a.Time, err = time.Parse(timeForm, v[2]); err != nil {
		return nil, malformedQuery("X-Amz-Date must be of the form yyyymmddThhmmssZ")
	}
	n, ok := parseCount(v[3])
	if !ok || n < 1 || n > int64(MaxExpires/time.Second) {
		return nil, malformedQuery("X-Amz-Expires must be from 1 to %d seconds", MaxExpires/time.Second)
	}
	if a.Time.Sub(now) > Window {
		return nil, refuse("AccessDenied", "the request is not valid before %s and the server's clock says %s",
			a.Time.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	if end := a.Time.Add(time.Duration(n) * time.Second); now.After(end) {
		return nil, refuse("AccessDenied", "the request has expired: it was valid until %s and the server's clock says %s",
			end.Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return a, a.finish(r, p, v[4], v[5], "X-Amz-Signature", malformedQuery)
}
