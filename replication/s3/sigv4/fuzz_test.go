package sigv4

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzChunked: no body makes the reader panic, give more than was promised, or say io.EOF short of it.
func FuzzChunked(f *testing.F) {
	f.Add([]byte("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"), int64(5), false, true)
	f.Add([]byte("5;chunk-signature="+strings.Repeat("0", 64)+"\r\nhello\r\n0;chunk-signature="+strings.Repeat("0", 64)+"\r\n\r\n"), int64(5), true, false)
	f.Add([]byte("7fffffffffffffff\r\n"), int64(1)<<60, false, false)
	f.Add([]byte("0\r\n\r\n"), int64(0), false, false)
	f.Fuzz(func(t *testing.T, body []byte, promised int64, signed, trailer bool) {
		if promised < 0 {
			return
		}
		a := &Auth{decoded: promised, Payload: Payload{Chunked: true, Signed: signed, Trailer: trailer}}
		if trailer {
			a.trailer = "x-amz-checksum-crc32"
		}
		b := a.Body([]byte("key"), bytes.NewReader(body))
		got, err := io.ReadAll(b)
		if int64(len(got)) > promised || len(got) > len(body) {
			t.Fatalf("%d bytes of %d promised in a body of %d", len(got), promised, len(body))
		}
		if err == nil {
			if int64(len(got)) != promised || signed && len(got) > 0 {
				t.Fatalf("believed %d bytes of %d, signed %v", len(got), promised, signed)
			}
			if again, err := io.ReadAll(plainChunks(body)); err != nil || !bytes.Equal(again, got) {
				t.Fatalf("another reader of the framing gives %q, %v", again, err)
			}
		}
	})
}

// plainChunks is the slow twin: it reads the framing of a body that was found good, and checks nothing.
func plainChunks(body []byte) io.Reader {
	var out []byte
	for {
		line, rest, _ := bytes.Cut(body, []byte("\r\n"))
		hexSize, _, _ := strings.Cut(string(line), ";")
		n, err := chunkSize(hexSize)
		if err != nil || n == 0 || n > int64(len(rest)) {
			return bytes.NewReader(out)
		}
		out = append(out, rest[:n]...)
		body = rest[n+2:]
	}
}

// FuzzAuthorization: nothing in the header, the query or the path makes the parser panic or verifies.
func FuzzAuthorization(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=AK/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature="+strings.Repeat("0", 64), "/a%2Fb", "a=b&c", "20130524T000000Z")
	f.Add("AWS AK:sig", "/", "X-Amz-Algorithm=AWS4-HMAC-SHA256", "")
	f.Add("", "/x", "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature="+strings.Repeat("0", 64), "")
	now := time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, authorization, path, query, date string) {
		q, err := ParseQuery(query)
		if err != nil {
			return
		}
		h := http.Header{"X-Amz-Content-Sha256": {unsignedPayload}}
		if authorization != "" {
			h["Authorization"] = []string{authorization}
		}
		if date != "" {
			h["X-Amz-Date"] = []string{date}
		}
		a, err := Parse(Request{Method: "GET", Path: path, Query: q, Host: "h", Header: h}, Policy{Region: "us-east-1"}, now)
		if err != nil {
			verdict(err)
			return
		}
		if a.Verify(Key("a secret that the corpus does not hold", a.Credential.Date, a.Credential.Region)) == nil {
			t.Fatal("verified")
		}
	})
}

// FuzzPath: decoding what was encoded gives the same; decoding refuses or gives what encodes canonically.
func FuzzPath(f *testing.F) {
	f.Add("/a b/%2F/../x//y")
	f.Add("%")
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := DecodePath(escape(s, true)); err != nil || d != s {
			t.Fatalf("%q came back as %q, %v", s, d, err)
		}
		if d, err := DecodePath(s); err == nil && len(d) > len(s) {
			t.Fatalf("%q decoded to more: %q", s, d)
		}
	})
}
