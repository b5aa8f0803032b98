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

// judge gives 0, 304 or 412, in the order of RFC 9110, section 13.2.2.
func (r readConditions) judge(v object.Version) int {
	modified := v.Modified.UTC().Truncate(time.Second)
	if r.match != "" {
		if !listed(r.match, v.ETag) {
			return http.StatusPreconditionFailed
		}
	} else if t, ok := httpDate(r.unmodifiedSince); ok && modified.After(t) {
		return http.StatusPreconditionFailed
	}
	if r.noneMatch != "" {
		if listed(r.noneMatch, v.ETag) {
			return http.StatusNotModified
		}
	} else if t, ok := httpDate(r.modifiedSince); ok && !modified.After(t) {
		return http.StatusNotModified
	}
	return 0
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
