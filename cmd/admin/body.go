package admin

import (
	"bytes"
	"io"
	"strings"
)

// pathPrefix is the API's version.
const pathPrefix = "/v1/"

// RouterHeader names the router that a call is meant for, when it is not the one that it reaches first.
const RouterHeader = "Galleon-Router"

func cutPath(path string) (name string, ok bool) { return strings.CutPrefix(path, pathPrefix) }

// newBody reads an empty request as an empty object, so that curl needs no body for a call without
// arguments.
func newBody(b []byte) io.Reader {
	if len(bytes.TrimSpace(b)) == 0 {
		return strings.NewReader("{}")
	}
	return bytes.NewReader(b)
}
