package sigv4

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// exampleSecret is the one of AWS's published examples.
const exampleSecret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"

// judge reads a raw request and says what the verifier makes of it. The body is the rest of raw after
// the header; repeat=n in it is replaced by n times "a".
func judge(raw, region string, now time.Time) string {
	raw = strings.ReplaceAll(raw+"\n", "\n", "\r\n")
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\r\n\r\n")))
	if err != nil {
		return "not a request: " + err.Error()
	}
	body = strings.ReplaceAll(body, "<blank>", "") // datadriven drops blank lines at an input's end
	for {
		before, rest, ok := strings.Cut(body, "repeat=")
		if !ok {
			break
		}
		var n int
		digits, after, _ := strings.Cut(rest, "\r\n")
		fmt.Sscan(digits, &n)
		body = before + strings.Repeat("a", n) + "\r\n" + after
	}
	path, query, _ := strings.Cut(r.RequestURI, "?")
	q, err := ParseQuery(query)
	if err != nil {
		return verdict(err)
	}
	a, err := Parse(Request{Method: r.Method, Path: path, Query: q, Host: r.Host, Header: r.Header, ContentLength: r.ContentLength}, Policy{Region: region}, now)
	if err != nil {
		return verdict(err)
	}
	key := Key(exampleSecret, a.Credential.Date, a.Credential.Region)
	if err := a.Verify(key); err != nil {
		return verdict(err)
	}
	out := fmt.Sprintf("verified: %s for %s, payload %s\n", a.Credential.AccessKey, a.Credential.Scope(), a.Payload.Stated)
	if !a.Payload.Chunked {
		return out
	}
	n, err := io.Copy(io.Discard, a.Body(key, strings.NewReader(body)))
	if err != nil {
		return out + fmt.Sprintf("body: %d bytes and then %s", n, verdict(err))
	}
	return out + fmt.Sprintf("body: %d bytes\n", n)
}

func verdict(err error) string {
	var e *Error
	if !errors.As(err, &e) {
		return "unclassified: " + err.Error() + "\n"
	}
	s := e.Error() + "\n"
	if e.Region != "" {
		s += "region: " + e.Region + "\n"
	}
	return s
}

// TestVectors has AWS's published examples and requests that must be refused.
func TestVectors(t *testing.T) {
	datadriven.Walk(t, "testdata/vectors", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			region, at := "us-east-1", "20130524T000000Z"
			d.MaybeScanArgs(t, "region", &region)
			d.MaybeScanArgs(t, "now", &at)
			now, err := time.Parse(timeForm, at)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			return judge(d.Input, region, now)
		})
	})
}
