package s3_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"
)

const unsigned = "UNSIGNED-PAYLOAD"

// answer is a response without a client library's opinion.
type answer struct {
	status int
	header http.Header
	body   string
}

// code gives the S3 error code of an answer.
func (a answer) code() string {
	var e struct{ Code string }
	if xml.Unmarshal([]byte(a.body), &e) != nil {
		return ""
	}
	return e.Code
}

// plainHTTP sends a request that no client library touched.
func plainHTTP(t *testing.T, method, url string, body io.Reader) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	a := do(t, req)
	return a.status, a.body
}

func do(t *testing.T, req *http.Request) answer {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}

// request makes a signed request. header is name, value, ...
func (d *door) request(t *testing.T, method, pathAndQuery, body string, header ...string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, d.url+pathAndQuery, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Amz-Content-Sha256", unsigned)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	return signer.SignV4(*req, testKey, testSecret, "", testRegion)
}

func (d *door) do(t *testing.T, method, pathAndQuery, body string, header ...string) answer {
	t.Helper()
	return do(t, d.request(t, method, pathAndQuery, body, header...))
}

// wire writes a request's header as it goes over the line.
func wire(req *http.Request, length int, more ...string) []byte {
	var b bytes.Buffer
	u, _ := url.Parse(req.URL.String())
	b.WriteString(req.Method + " " + u.RequestURI() + " HTTP/1.1\r\nHost: " + u.Host + "\r\nContent-Length: " + strconv.Itoa(length) + "\r\n")
	_ = req.Header.Write(&b)
	for _, l := range more {
		b.WriteString(l + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

func (d *door) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return c
}

// read reads one answer from a connection.
func read(t *testing.T, c net.Conn) answer {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(b)}
}

func sha256Hex(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// reported gives what the door has reported so far.
func (d *door) reported() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var b strings.Builder
	for _, e := range d.served {
		b.WriteString(e.Operation + " " + strconv.Itoa(e.Status) + " " + e.Code + " " + e.Err + "\n")
	}
	return b.String()
}

// eventually waits for a condition, for at most ten seconds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("did not happen in 10 s: %s", what)
		}
	}
}
