package sigv4

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	md5simd "github.com/minio/md5-simd"
	"github.com/minio/minio-go/v7/pkg/signer"
	"pgregory.net/rapid"
)

const (
	twinAccess = "TWINACCESS"
	twinSecret = "twin/secret+=="
	twinRegion = "ap-tokyo"
)

// hasher gives minio-go's signer the hash that it wants.
type hasher struct{ hash.Hash }

func (hasher) Close() {}

var _ md5simd.Hasher = hasher{md5.New()}

// received turns a request that a client made into what a server sees.
func received(t interface{ Fatal(...any) }, req *http.Request) (Request, []byte) {
	q, err := ParseQuery(req.URL.RawQuery)
	if err != nil {
		t.Fatal(err)
	}
	var body []byte
	if req.Body != nil {
		if body, err = io.ReadAll(req.Body); err != nil {
			t.Fatal(err)
		}
	}
	host := req.Host
	if host == "" {
		host = req.URL.Host
	}
	return Request{Method: req.Method, Path: req.URL.EscapedPath(), Query: q, Host: host, Header: req.Header, ContentLength: int64(len(body))}, body
}

func verify(r Request, now time.Time) (*Auth, []byte, error) {
	a, err := Parse(r, Policy{Region: twinRegion}, now)
	if err != nil {
		return nil, nil, err
	}
	key := Key(twinSecret, a.Credential.Date, a.Credential.Region)
	return a, key, a.Verify(key)
}

var anyName = rapid.StringMatching(`[a-zA-Z0-9 +%&=/?#~._ü*'()!,;:@$\[\]{}|^<>"-]{1,40}`)

func drawRequest(t *rapid.T, method string) *http.Request {
	u := &url.URL{Scheme: "http", Host: "s3.example.com:9000", Path: "/" + anyName.Draw(t, "path")}
	q := url.Values{}
	for range rapid.IntRange(0, 4).Draw(t, "params") {
		// Go's url.Values sorts names before it encodes them, the specification after: names that sort alike.
		q.Set(rapid.StringMatching(`[a-z][a-zA-Z0-9-]{0,12}`).Draw(t, "name"), rapid.StringMatching(`[a-zA-Z0-9 +%&=/ü]{0,10}`).Draw(t, "value"))
	}
	u.RawQuery = q.Encode()
	req, err := http.NewRequest(method, u.String(), nil)
	if err != nil {
		t.Skip(err)
	}
	if rapid.Bool().Draw(t, "meta") {
		req.Header.Set("X-Amz-Meta-Note", rapid.StringMatching(`[a-z ]{0,20}`).Draw(t, "note"))
	}
	return req
}

// TestHeaderAgainstAnotherSigner: what minio-go signs we verify, and nothing that differs from it.
func TestHeaderAgainstAnotherSigner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Now().UTC()
		req := drawRequest(t, rapid.SampledFrom([]string{"GET", "PUT", "POST", "DELETE", "HEAD"}).Draw(t, "method"))
		req.Header.Set("X-Amz-Content-Sha256", emptySum)
		req = signer.SignV4(*req, twinAccess, twinSecret, "", twinRegion)
		r, _ := received(t, req)
		if _, _, err := verify(r, now); err != nil {
			t.Fatalf("%s %s?%s: %v", r.Method, r.Path, req.URL.RawQuery, err)
		}
		for name, change := range map[string]func(r *Request){
			"method": func(r *Request) { r.Method = "PATCH" },
			"path":   func(r *Request) { r.Path += "x" },
			"query": func(r *Request) {
				r.Query = append(r.Query[:len(r.Query):len(r.Query)], Param{Name: "acl"})
			},
			"host":    func(r *Request) { r.Host += "x" },
			"payload": func(r *Request) { r.Header.Set("X-Amz-Content-Sha256", unsignedPayload) },
			"header":  func(r *Request) { r.Header.Set("X-Amz-Copy-Source", "/a/b") },
		} {
			changed := r
			changed.Header = r.Header.Clone()
			change(&changed)
			if _, _, err := verify(changed, now); err == nil {
				t.Fatalf("verified with another %s", name)
			}
		}
	})
}

// TestPresignedAgainstAnotherSigner does the same for queries.
func TestPresignedAgainstAnotherSigner(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Now().UTC()
		req := signer.PreSignV4(*drawRequest(t, "GET"), twinAccess, twinSecret, "", twinRegion, 60)
		r, _ := received(t, req)
		if _, _, err := verify(r, now); err != nil {
			t.Fatalf("%s: %v", req.URL, err)
		}
		if _, _, err := verify(r, now.Add(62*time.Second)); err == nil {
			t.Fatal("verified after its end")
		}
		r.Query = append(r.Query, Param{Name: "versionId", Value: "x"})
		if _, _, err := verify(r, now); err == nil {
			t.Fatal("verified with another query")
		}
	})
}

// TestStreamsAgainstAnotherSigner: aws-chunked bodies as minio-go frames and signs them, read in any
// pieces; and no body that was altered is believed.
func TestStreamsAgainstAnotherSigner(t *testing.T) {
	for _, trailer := range []bool{false, true} {
		rapid.Check(t, func(t *rapid.T) {
			now := time.Now().UTC()
			size := rapid.SampledFrom([]int{0, 1, 100, 65535, 65536, 65537, 200_000}).Draw(t, "size")
			data := bytes.Repeat([]byte("galleon "), size/8+1)[:size]
			req, err := http.NewRequest("PUT", "http://s3.example.com/bkt/key", bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			if trailer {
				req.Trailer = http.Header{"X-Amz-Checksum-Sha256": {"AAAA"}}
			}
			req = signer.StreamingSignV4(req, twinAccess, twinSecret, "", twinRegion, int64(size), now, hasher{sha256.New()})
			r, body := received(t, req)
			r.ContentLength = req.ContentLength
			a, key, err := verify(r, now)
			if err != nil {
				t.Fatal(err)
			}
			b := a.Body(key, iotest.HalfReader(bytes.NewReader(body)))
			got, err := io.ReadAll(b)
			if err != nil || !bytes.Equal(got, data) {
				t.Fatalf("read %d of %d bytes: %v", len(got), size, err)
			}
			if trailer && b.Trailer() != "AAAA" {
				t.Fatalf("trailer %q", b.Trailer())
			}

			i := rapid.IntRange(0, len(body)-1).Draw(t, "altered at")
			altered := bytes.Clone(body)
			altered[i] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			got, err = io.ReadAll(a.Body(key, bytes.NewReader(altered)))
			// The framing has spellings that mean the same (white space round a trailer's name, its case).
			if err == nil && !bytes.Equal(got, data) {
				t.Fatalf("believed a body that was altered at %d", i)
			}
			cut := rapid.IntRange(0, len(body)-3).Draw(t, "cut at")
			if _, err = io.ReadAll(a.Body(key, bytes.NewReader(body[:cut]))); err == nil {
				t.Fatalf("believed a body that was cut at %d of %d", cut, len(body))
			}
		})
	}
}

func TestExactBody(t *testing.T) {
	data := strings.Repeat("cargo", 1000)
	sum := sha256.Sum256([]byte(data))
	for name, c := range map[string]struct {
		body   string
		length int64
		code   string
	}{
		"right":            {data, int64(len(data)), ""},
		"altered":          {"C" + data[1:], int64(len(data)), "XAmzContentSHA256Mismatch"},
		"cut":              {data[:100], int64(len(data)), "IncompleteBody"},
		"longer":           {data + "x", int64(len(data)), "IncompleteBody"},
		"empty":            {"", 0, "XAmzContentSHA256Mismatch"},
		"without a length": {data, -1, ""},
	} {
		a := &Auth{decoded: c.length, Payload: Payload{Exact: true, Sum: sum, Stated: hex.EncodeToString(sum[:])}}
		_, err := io.ReadAll(a.Body(nil, strings.NewReader(c.body)))
		if got := strings.Split(verdict(err0(err)), ":")[0]; got != c.code && !(c.code == "" && err == nil) {
			t.Errorf("%s: %v, want %q", name, err, c.code)
		}
	}
}

func err0(err error) error {
	if err == nil {
		return &Error{}
	}
	return err
}
