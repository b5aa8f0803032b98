package s3_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/s3"
)

// visible gives what a bucket shows, for tests where it must be nothing.
func (d *door) visible(t *testing.T, bucket string) int {
	t.Helper()
	p, err := d.ListObjects(t.Context(), bucket, s3.ListOptions{Limit: 1000, Versions: true})
	if err != nil {
		t.Fatal(err)
	}
	return len(p.Versions)
}

// TestBodiesThatLie: a body that is not what its request promised is refused with the code that S3 has
// for it, and nothing of it becomes visible.
func TestBodiesThatLie(t *testing.T) {
	d := open(t)
	newBucket(t, d.client(t), "lies")
	trailer := []string{"X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "X-Amz-Decoded-Content-Length", "5", "X-Amz-Trailer", "x-amz-checksum-crc32"}
	with := func(h []string, more ...string) []string { return append(append([]string{}, h...), more...) }
	for name, c := range map[string]struct {
		body   string
		header []string
		code   string
	}{
		"another SHA-256":           {"hello", []string{"X-Amz-Content-Sha256", sha256Hex("Hello")}, "XAmzContentSHA256Mismatch"},
		"another MD5":               {"hello", []string{"Content-Md5", "AAAAAAAAAAAAAAAAAAAAAA=="}, "BadDigest"},
		"no MD5":                    {"hello", []string{"Content-Md5", "AAAA"}, "InvalidDigest"},
		"another CRC":               {"hello", []string{"X-Amz-Checksum-Crc32", "AAAAAA=="}, "BadDigest"},
		"another CRC-64":            {"hello", []string{"X-Amz-Checksum-Crc64nvme", "AAAAAAAAAAA="}, "BadDigest"},
		"another SHA-1":             {"hello", []string{"X-Amz-Checksum-Sha1", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}, "BadDigest"},
		"no checksum":               {"hello", []string{"X-Amz-Checksum-Crc32", ""}, "InvalidRequest"},
		"short checksum":            {"hello", []string{"X-Amz-Checksum-Sha256", "AAAAAA=="}, "InvalidRequest"},
		"unknown checksum":          {"hello", []string{"X-Amz-Checksum-Crc16", "AAA="}, "InvalidRequest"},
		"two checksums":             {"hello", []string{"X-Amz-Checksum-Crc32", "NhCmhg==", "X-Amz-Checksum-Crc32c", "mnG7TA=="}, "InvalidRequest"},
		"another algorithm":         {"hello", []string{"X-Amz-Checksum-Crc32", "NhCmhg==", "X-Amz-Sdk-Checksum-Algorithm", "SHA1"}, "InvalidRequest"},
		"another trailer":           {"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n", trailer, "BadDigest"},
		"trailer of another name":   {"5\r\nhello\r\n0\r\nx-amz-checksum-crc32c:mnG7TA==\r\n\r\n", trailer, "MalformedTrailerError"},
		"no trailer":                {"5\r\nhello\r\n0\r\n\r\n", trailer, "MalformedTrailerError"},
		"trailer without a value":   {"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:\r\n\r\n", trailer, "InvalidRequest"},
		"header and trailer":        {"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", with(trailer, "X-Amz-Checksum-Sha1", "AAAAAAAAAAAAAAAAAAAAAAAAAAA="), "InvalidRequest"},
		"chunks too short":          {"4\r\nhell\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", trailer, "IncompleteBody"},
		"chunks too long":           {"6\r\nhello!\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", trailer, "IncompleteBody"},
		"chunk longer than it says": {"4\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", trailer, "IncompleteBody"},
		"chunk size overflow":       {"ffffffffffffffff\r\nhello\r\n0\r\n\r\n", trailer, "IncompleteBody"},
		"negative chunk":            {"-5\r\nhello\r\n0\r\n\r\n", trailer, "IncompleteBody"},
		"no last chunk":             {"5\r\nhello\r\n", trailer, "IncompleteBody"},
		"unsigned chunks":           {"5\r\nhello\r\n0\r\n\r\n", []string{"X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "X-Amz-Decoded-Content-Length", "5"}, "IncompleteBody"},
		"forged chunk":              {"5;chunk-signature=" + sha256Hex("x") + "\r\nhello\r\n0;chunk-signature=" + sha256Hex("y") + "\r\n\r\n", []string{"X-Amz-Content-Sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "X-Amz-Decoded-Content-Length", "5"}, "SignatureDoesNotMatch"},
		"raw bytes, said chunked":   {"hello", trailer, "IncompleteBody"},
		"no decoded length":         {"5\r\nhello\r\n0\r\n\r\n", []string{"X-Amz-Content-Sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, "MissingContentLength"},
	} {
		a := d.do(t, "PUT", "/lies/k", c.body, c.header...)
		if a.code() != c.code {
			t.Errorf("%s: %d %s, want %s", name, a.status, a.body, c.code)
		}
		if n := d.visible(t, "lies"); n != 0 {
			t.Fatalf("%s: %d versions are visible", name, n)
		}
	}
	if a := d.do(t, "PUT", "/lies/k", "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n", trailer...); a.status != 200 || a.header.Get("X-Amz-Checksum-Crc32") != "NhCmhg==" {
		t.Errorf("an honest body: %d %s %v", a.status, a.body, a.header)
	}
}

func TestTruncatedUpload(t *testing.T) {
	d := open(t)
	newBucket(t, d.client(t), "cut")
	for _, payload := range []string{unsigned, sha256Hex(strings.Repeat("x", 1000))} {
		req := d.request(t, "PUT", "/cut/k", "", "X-Amz-Content-Sha256", payload)
		c := d.dial(t)
		c.Write(wire(req, 1000))
		io.WriteString(c, strings.Repeat("x", 600))
		if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if a := read(t, c); a.code() != "IncompleteBody" || a.status != 400 {
			t.Errorf("payload %.10s: %d %s", payload, a.status, a.body)
		}
		if n := d.visible(t, "cut"); n != 0 {
			t.Fatalf("%d versions are visible", n)
		}
	}
}

func TestSlowBodyIsCutOff(t *testing.T) {
	d := open(t, func(c *s3.Config) { c.Limits.BodyGrace, c.Limits.Idle = 100*time.Millisecond, 100*time.Millisecond })
	newBucket(t, d.client(t), "slow")
	c := d.dial(t)
	c.Write(wire(d.request(t, "PUT", "/slow/k", ""), 1000))
	io.WriteString(c, "a few bytes and then nothing")
	if a := read(t, c); a.code() != "RequestTimeout" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if n := d.visible(t, "slow"); n != 0 {
		t.Fatalf("%d versions are visible", n)
	}
}

func TestClientThatDoesNotRead(t *testing.T) {
	d := open(t, func(c *s3.Config) { c.Limits.Idle = 200 * time.Millisecond })
	newBucket(t, d.client(t), "deaf")
	big := given{strings.NewReader(strings.Repeat("x", 32<<20))}
	if _, err := d.PutObject(t.Context(), s3.PutInput{Object: object.Version{Bucket: "deaf", Key: "big"}, Body: big}); err != nil {
		t.Fatal(err)
	}
	c := d.dial(t)
	c.Write(wire(d.request(t, "GET", "/deaf/big", ""), 0))
	eventually(t, "the transfer is given up", func() bool { return strings.Contains(d.reported(), "GetObject 200 RequestTimeout") })
}

func TestExpectContinue(t *testing.T) {
	d := open(t)
	newBucket(t, d.client(t), "polite")
	refused := d.dial(t)
	bad := d.request(t, "PUT", "/polite/k", "")
	bad.Header.Set("X-Amz-Meta-Added", "later")
	refused.Write(wire(bad, 1000, "Expect: 100-continue"))
	if a := read(t, refused); a.status != 403 {
		t.Errorf("a refused request: %d before the body, want 403", a.status)
	}
	missing := d.dial(t)
	missing.Write(wire(d.request(t, "PUT", "/absent/k", ""), 1000, "Expect: 100-continue"))
	if a := read(t, missing); a.code() != "NoSuchBucket" {
		t.Errorf("a bucket that is not there: %d %s before the body", a.status, a.body)
	}
	c := d.dial(t)
	c.Write(wire(d.request(t, "PUT", "/polite/k", ""), 5, "Expect: 100-continue"))
	if a := read(t, c); a.status != 100 {
		t.Fatalf("%d, want 100", a.status)
	}
	io.WriteString(c, "hello")
	if a := read(t, c); a.status != 200 {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestTooManyRequests(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	d := open(t, func(c *s3.Config) { c.Limits.Requests = 1 })
	newBucket(t, d.client(t), "busy")
	d.Fault = func(method string) error {
		if method == "ListObjects" {
			close(entered)
			<-leave
		}
		return nil
	}
	req := d.request(t, "GET", "/busy", "")
	done := make(chan answer, 1)
	go func() {
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			done <- answer{body: err.Error()}
			return
		}
		res.Body.Close()
		done <- answer{status: res.StatusCode}
	}()
	<-entered
	if a := d.do(t, "GET", "/", ""); a.code() != "SlowDown" || a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("%d %s", a.status, a.body)
	}
	if status, body := plainHTTP(t, "GET", d.url+s3.HealthPath, nil); status != 200 || body != "1" {
		t.Errorf("health: %d %q", status, body)
	}
	close(leave)
	if a := <-done; a.status != 200 {
		t.Errorf("the first request: %d %s", a.status, a.body)
	}
}

// TestPanicIsAnError: a mistake in one request is answered, reported, and costs no other request anything.
func TestPanicIsAnError(t *testing.T) {
	d := open(t)
	d.Fault = func(string) error { panic("a mistake") }
	if a := d.do(t, "GET", "/", ""); a.code() != "InternalError" || strings.Contains(a.body, "mistake") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if !strings.Contains(d.reported(), "panic: a mistake") {
		t.Errorf("not reported: %s", d.reported())
	}
	d.Fault = nil
	if a := d.do(t, "GET", "/", ""); a.status != 200 {
		t.Errorf("the next request: %d", a.status)
	}
}

// TestIdleConnection: the write deadline of a request does not outlive it.
func TestIdleConnection(t *testing.T) {
	d := open(t, func(c *s3.Config) { c.Limits.Idle = 50 * time.Millisecond })
	newBucket(t, d.client(t), "idle")
	c := d.dial(t)
	for _, expect := range []string{"X-Plain: 1", "Expect: 100-continue"} {
		c.Write(wire(d.request(t, "PUT", "/idle/k", ""), 5, expect))
		a := answer{}
		if expect == "X-Plain: 1" {
			io.WriteString(c, "hello")
		} else if a = read(t, c); a.status == 100 {
			io.WriteString(c, "hello")
		}
		if a = read(t, c); a.status != 200 {
			t.Fatalf("%s: %d %s", expect, a.status, a.body)
		}
		began := time.Now()
		eventually(t, "the idle time passes", func() bool { return time.Since(began) > 100*time.Millisecond })
	}
}
