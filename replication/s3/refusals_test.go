package s3_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/s3"
)

// TestEveryRefusalOfTheBackend: each sentinel has its code and status, in every method that an
// operation calls, and what is unknown tells the client nothing.
func TestEveryRefusalOfTheBackend(t *testing.T) {
	d := open(t)
	newBucket(t, d.client(t), "bkt")
	put(t, d.client(t), "bkt", "k", []byte("x"), putOptions)
	for err, want := range map[error]string{
		s3.ErrNoSuchBucket: "404 NoSuchBucket", s3.ErrNoSuchKey: "404 NoSuchKey", s3.ErrNoSuchVersion: "404 NoSuchVersion",
		s3.ErrNoSuchUpload: "404 NoSuchUpload", s3.ErrBucketExists: "409 BucketAlreadyOwnedByYou", s3.ErrBucketNotEmpty: "409 BucketNotEmpty",
		s3.ErrInvalidPart: "400 InvalidPart", s3.ErrPrecondition: "412 PreconditionFailed", s3.ErrConflict: "409 ConditionalRequestConflict",
		s3.ErrNoSpace: "507 InsufficientCapacity", s3.ErrAckPending: "503 ServiceUnavailable", s3.ErrUnavailable: "503 ServiceUnavailable",
		s3.ErrClock: "503 ServiceUnavailable", s3.ErrNotSupported: "501 NotImplemented",
		errors.New("secret path /var/lib/galleon"): "500 InternalError",
	} {
		d.Fault = func(method string) error {
			if method == "PutObject" {
				return fmt.Errorf("put bkt/k: %w", err)
			}
			return nil
		}
		a := d.do(t, "PUT", "/bkt/k", "body")
		if got := fmt.Sprintf("%d %s", a.status, a.code()); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
		if strings.Contains(a.body, "put bkt/k") {
			t.Errorf("%v: the client is told %s", err, a.body)
		}
		if !strings.Contains(d.reported(), "put bkt/k: "+err.Error()) {
			t.Errorf("%v: not in the events", err)
		}
	}
	d.Fault = func(string) error { return s3.ErrNoSpace }
	if a := d.do(t, "PUT", "/bkt/k", "body"); !strings.Contains(a.body, "no space left") {
		t.Errorf("a full disk is described as %s", a.body)
	}
	// The nth call fails, for every n, until the operation passes untouched.
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/", ""}, {"PUT", "/new-bucket", ""}, {"HEAD", "/bkt", ""}, {"GET", "/bkt?list-type=2", ""}, {"GET", "/bkt?versions", ""},
		{"GET", "/bkt?uploads", ""}, {"GET", "/bkt?versioning", ""}, {"GET", "/bkt/k", ""}, {"HEAD", "/bkt/k", ""}, {"PUT", "/bkt/k", "x"},
		{"POST", "/bkt/k?uploads", ""}, {"DELETE", "/bkt/other", ""}, {"GET", "/bkt/k?acl", ""},
	} {
		for n := 1; ; n++ {
			calls := 0
			d.Fault = func(string) error {
				if calls++; calls == n {
					return errors.New("fault")
				}
				return nil
			}
			a := d.do(t, c.method, c.path, c.body)
			if calls < n {
				if a.status >= 300 {
					t.Errorf("%s %s without a fault: %d %s", c.method, c.path, a.status, a.body)
				}
				break
			}
			if a.status != 500 {
				t.Errorf("%s %s, call %d failed: %d %s", c.method, c.path, n, a.status, a.body)
			}
		}
	}
}

func TestWhatIsNotServed(t *testing.T) {
	d := open(t)
	newBucket(t, d.client(t), "bkt")
	put(t, d.client(t), "bkt", "k", []byte("x"), putOptions)
	for request, want := range map[string]string{
		"PUT /bkt/k?tagging": "MalformedXML", "PUT /bkt/k?acl": "AccessControlListNotSupported", "PUT /bkt/k?unheard-of": "NotImplemented",
		"PUT /bkt?policy": "MalformedPolicy", "PUT /bkt?website": "NotImplemented", "PUT /bkt?replication": "NotImplemented", "PUT /bkt?encryption": "NotImplemented", "GET /bkt/k?torrent": "NotImplemented",
		"GET /bkt?policy": "NoSuchBucketPolicy", "GET /bkt?cors": "NoSuchCORSConfiguration",
		"PUT /bkt/k?partNumber=1": "InvalidArgument", "PUT /bkt/k?uploadId=1": "MethodNotAllowed", "PUT /bkt/k?versionId=1": "InvalidArgument",
		"POST /bkt/k": "MethodNotAllowed", "PATCH /bkt/k": "MethodNotAllowed", "POST /": "MethodNotAllowed",
		"GET /bkt/k?uploads&versions": "InvalidRequest", "GET /bkt/k?versionId=zz": "InvalidArgument", "GET /bkt/k?versionId": "InvalidArgument",
		"GET /bkt?max-keys=-1": "InvalidArgument", "GET /bkt?list-type=3": "InvalidArgument", "GET /bkt?list-type=2&continuation-token=*": "InvalidArgument",
		"GET /bkt?encoding-type=base64": "InvalidArgument", "GET /Bucket/k": "InvalidBucketName", "GET /192.168.0.1/k": "InvalidBucketName",
		"GET /a/k": "InvalidBucketName", "GET //k": "InvalidBucketName", "PUT /..%2F..%2Fetc/passwd": "InvalidBucketName",
		"PUT /bkt/%00": "InvalidArgument", "GET /bkt/" + strings.Repeat("x", 1025): "KeyTooLongError",
		"GET /bkt/k?a=1&a=2": "InvalidArgument",
	} {
		method, path, _ := strings.Cut(request, " ")
		if a := d.do(t, method, path, ""); a.code() != want {
			t.Errorf("%.60s: %d %s, want %s", request, a.status, a.body, want)
		}
	}
	for header, want := range map[string]string{
		"X-Amz-Server-Side-Encryption: AES256": "NotImplemented", "X-Amz-Acl: public-read": "AccessControlListNotSupported",
		"X-Amz-Storage-Class: GLACIER": "InvalidStorageClass", "X-Amz-Object-Lock-Mode: GOVERNANCE": "InvalidArgument",
		"X-Amz-Tagging: a=b!": "InvalidTag", "X-Amz-Object-Lock-Legal-Hold: ON": "InvalidRequest", "X-Amz-Expected-Bucket-Owner: 111122223333": "AccessDenied",
		"X-Amz-Grant-Read: id=x": "AccessControlListNotSupported",
	} {
		name, value, _ := strings.Cut(header, ": ")
		if a := d.do(t, "PUT", "/bkt/k", "y", name, value); a.code() != want {
			t.Errorf("%s: %d %s, want %s", header, a.status, a.body, want)
		}
	}
	// The edge takes no word on replication from a client.
	d.do(t, "PUT", "/bkt/r", "y", "X-Amz-Replication-Status", "REPLICA", "X-Galleon-Source", "elsewhere")
	if a := d.do(t, "HEAD", "/bkt/r", ""); a.header.Get("X-Amz-Replication-Status") != "" || a.header.Get("X-Galleon-Source") != "" {
		t.Errorf("a client's header came back: %v", a.header)
	}
}

// TestKeysAreBytes: keys that look like paths are keys.
func TestKeysAreBytes(t *testing.T) {
	d := open(t)
	newBucket(t, d.client(t), "bkt")
	for raw, key := range map[string]string{
		"/bkt/../etc/passwd": "../etc/passwd", "/bkt/a//b": "a//b", "/bkt/./a/.": "./a/.", "/bkt/%2e%2e/x": "../x", "/bkt//": "/",
		"/bkt/a%2Fb": "a/b", "/bkt/a%252Fb": "a%2Fb", "/bkt/a+b": "a+b", "/bkt/a%20b": "a b", "/bkt/%C3%BC": "ü", "/bkt/a;b?x=1": "a;b",
	} {
		if a := d.do(t, "PUT", raw, raw); a.status != 200 {
			t.Errorf("PUT %s: %d %s", raw, a.status, a.body)
		}
		if _, err := d.GetVersion(t.Context(), "bkt", key, object.VersionID{}); err != nil {
			t.Errorf("PUT %s did not write the key %q: %v", raw, key, err)
		}
		if a := d.do(t, "GET", raw, ""); a.body != raw {
			t.Errorf("GET %s: %d %s", raw, a.status, a.body)
		}
	}
}
