package s3_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// random is what differs from run to run in an answer.
var random = []struct {
	re *regexp.Regexp
	by string
}{
	{regexp.MustCompile(`<RequestId>[0-9A-F]+<`), "<RequestId>ID<"},
	{regexp.MustCompile(`<CreationDate>[^<]+<`), "<CreationDate>TIME<"},
	{regexp.MustCompile(`<RetainUntilDate>[^<]+<`), "<RetainUntilDate>TIME<"},
	{regexp.MustCompile(`http://127\.0\.0\.1:\d+`), "http://HOST"},
	{regexp.MustCompile(`<\?xml version="1.0" encoding="UTF-8"\?>\n?`), ""},
	{regexp.MustCompile(` xmlns="[^"]+"`), ""},
}

// shown are the headers of an answer that a story shows.
var shown = []string{
	"Content-Type", "Content-Length", "Content-Range", "Etag", "Last-Modified", "Cache-Control", "Content-Disposition",
	"X-Amz-Version-Id", "X-Amz-Delete-Marker", "X-Amz-Meta-Port", "X-Amz-Checksum-Crc32", "X-Amz-Checksum-Crc64nvme",
	"X-Amz-Checksum-Type", "X-Amz-Checksum-Algorithm", "X-Amz-Copy-Source-Version-Id", "X-Amz-Mp-Parts-Count", "X-Amz-Bucket-Region", "Location",
}

// TestStories plays requests and shows the answers: `METHOD path`, headers, a blank line, a body.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		d := open(t)
		at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
		d.Now = func() time.Time { at = at.Add(time.Second); return at }
		datadriven.RunTest(t, path, func(t *testing.T, td *datadriven.TestData) string {
			head, body, _ := strings.Cut(td.Input, "\n\n")
			lines := strings.Split(head, "\n")
			method, target, _ := strings.Cut(lines[0], " ")
			var header []string
			for _, l := range lines[1:] {
				name, value, _ := strings.Cut(l, ": ")
				header = append(header, name, value)
			}
			a := d.do(t, method, target, body, header...)
			var b strings.Builder
			fmt.Fprintln(&b, a.status)
			for _, n := range shown {
				if v := a.header.Get(n); v != "" && !(strings.HasPrefix(v, "application/xml") || n == "Content-Length" && strings.HasPrefix(a.body, "<")) {
					fmt.Fprintf(&b, "%s: %s\n", n, v)
				}
			}
			out := a.body
			for _, r := range random {
				out = r.re.ReplaceAllString(out, r.by)
			}
			for _, n := range []string{"Contents", "CommonPrefixes", "Version", "DeleteMarker", "Part", "Upload", "Deleted", "Error", "Bucket", "Grant"} {
				out = strings.ReplaceAll(out, "><"+n+">", ">\n  <"+n+">")
			}
			if out != "" {
				b.WriteString(out + "\n")
			}
			return b.String()
		})
	})
}
