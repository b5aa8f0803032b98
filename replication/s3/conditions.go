package s3

import (
	"net/http"
	"strings"
	"time"

	"github.com/galleon-net/galleon/replication/object"
)

// readConditions are the preconditions of RFC 9110, section 13, under the names of a header set.
type readConditions struct {
	match, noneMatch, modifiedSince, unmodifiedSince string
}

func conditionsOf(h http.Header) readConditions {
	return readConditions{h.Get("If-Match"), h.Get("If-None-Match"), h.Get("If-Modified-Since"), h.Get("If-Unmodified-Since")}
}

func copyConditionsOf(h http.Header) readConditions {
	return readConditions{
		h.Get("X-Amz-Copy-Source-If-Match"), h.Get("X-Amz-Copy-Source-If-None-Match"),
		h.Get("X-Amz-Copy-Source-If-Modified-Since"), h.Get("X-Amz-Copy-Source-If-Unmodified-Since"),
	}
}

// failed says which condition did not hold.
func failed(which string) *apiError { return refuse("PreconditionFailed").with("Condition", which) }

// judge gives 0, 304 or 412 and the condition that decided, in the order of RFC 9110, section 13.2.2.
func (r readConditions) judge(v object.Version) (status int, which string) {
	modified := v.Modified.UTC().Truncate(time.Second)
	if r.match != "" {
		if !listed(r.match, v.ETag) {
			return http.StatusPreconditionFailed, "If-Match"
		}
	} else if t, ok := httpDate(r.unmodifiedSince); ok && modified.After(t) {
		return http.StatusPreconditionFailed, "If-Unmodified-Since"
	}
	if r.noneMatch != "" {
		if listed(r.noneMatch, v.ETag) {
			return http.StatusNotModified, "If-None-Match"
		}
	} else if t, ok := httpDate(r.modifiedSince); ok && !modified.After(t) {
		return http.StatusNotModified, "If-Modified-Since"
	}
	return 0, ""
}

// listed reports whether an ETag is in a header's list. "*" has them all.
func listed(list, etag string) bool {
	for p := range strings.SplitSeq(list, ",") {
		p = strings.TrimPrefix(strings.TrimSpace(p), "W/")
		if p == "*" || unquote(p) == etag {
			return true
		}
	}
	return false
}

func httpDate(s string) (time.Time, bool) {
	if s == "" {
		return time.Time{}, false
	}
	t, err := http.ParseTime(s)
	return t, err == nil
}
