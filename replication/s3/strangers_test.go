package s3_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/s3/sigv4"
)

// TestStrangers: who does not sign may do what a bucket's policy opens to everybody, and nothing else.
func TestStrangers(t *testing.T) {
	d := open(t)
	newBucket(t, d.client(t), "bkt")
	put(t, d.client(t), "bkt", "public/k", []byte("open"), putOptions)
	put(t, d.client(t), "bkt", "private/k", []byte("shut"), putOptions)
	stranger := func(method, path string) int {
		t.Helper()
		status, _ := plainHTTP(t, method, d.url+path, strings.NewReader(""))
		return status
	}
	everything := [][2]string{
		{"GET", "/"}, {"PUT", "/new"}, {"GET", "/bkt"}, {"DELETE", "/bkt"}, {"PUT", "/bkt/k"}, {"DELETE", "/bkt/private/k"}, {"GET", "/bkt/private/k"},
		{"GET", "/bkt?policy"}, {"PUT", "/bkt?policy"}, {"POST", "/bkt/k?uploads"}, {"POST", "/bkt?delete"}, {"GET", "/bkt?versions"}, {"PUT", "/bkt?website"},
	}
	for _, r := range append(everything, [2]string{"GET", "/bkt/public/k"}) {
		if s := stranger(r[0], r[1]); s/100 == 2 {
			t.Errorf("without a policy %s %s: %d", r[0], r[1], s)
		}
	}
	put := func(doc string) {
		t.Helper()
		if a := d.do(t, "PUT", "/bkt?policy", doc); a.status != 204 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	put(`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::bkt/public/*"}]}`)
	if s := stranger("GET", "/bkt/public/k"); s != 200 {
		t.Errorf("what is open answers %d", s)
	}
	for _, r := range everything {
		if s := stranger(r[0], r[1]); s/100 == 2 {
			t.Errorf("with a policy for something else %s %s: %d", r[0], r[1], s)
		}
	}
	if a := d.do(t, "PUT", "/bkt?publicAccessBlock", `<PublicAccessBlockConfiguration><RestrictPublicBuckets>true</RestrictPublicBuckets></PublicAccessBlockConfiguration>`); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if s := stranger("GET", "/bkt/public/k"); s != 403 {
		t.Errorf("a restricted bucket answers strangers %d", s)
	}
	// What opens everything does not let strangers keep it open; a Deny binds keys, but for the policy itself.
	d.do(t, "DELETE", "/bkt?publicAccessBlock", "")
	put(`{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::bkt","arn:aws:s3:::bkt/*"]}]}`)
	for _, r := range [][2]string{{"PUT", "/bkt?policy"}, {"DELETE", "/bkt?policy"}, {"PUT", "/bkt?publicAccessBlock"}, {"POST", "/bkt/k?uploads"}} {
		if s := stranger(r[0], r[1]); s/100 == 2 {
			t.Errorf("in an open bucket %s %s: %d", r[0], r[1], s)
		}
	}
	put(`{"Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::bkt","arn:aws:s3:::bkt/*"]}]}`)
	if a := d.do(t, "GET", "/bkt/public/k", ""); a.code() != "AccessDenied" {
		t.Errorf("a Deny for all lets a key read: %d", a.status)
	}
	if a := d.do(t, "DELETE", "/bkt?policy", ""); a.status != 204 {
		t.Errorf("a Deny for all locks its owner out: %d %s", a.status, a.body)
	}
}

// aForm sends a browser's form, signed as of now with a policy.
func (d *door) aForm(t *testing.T, bucket, policy string, file []byte, fields map[string]string) answer {
	t.Helper()
	now := time.Now().UTC()
	day := now.Format("20060102")
	all := map[string]string{
		"x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-date": now.Format("20060102T150405Z"),
		"x-amz-credential": testKey + "/" + day + "/" + testRegion + "/s3/aws4_request", "policy": base64.StdEncoding.EncodeToString([]byte(policy)),
	}
	mac := hmac.New(sha256.New, sigv4.Key(testSecret, day, testRegion))
	mac.Write([]byte(all["policy"]))
	all["x-amz-signature"] = hex.EncodeToString(mac.Sum(nil))
	for k, v := range fields {
		all[k] = v
	}
	var body bytes.Buffer
	w := multipart.NewWriter(&body)
	for k, v := range all {
		if err := w.WriteField(k, v); err != nil {
			t.Fatal(err)
		}
	}
	f, err := w.CreateFormFile("file", "cargo.txt")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(file); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", d.url+"/"+bucket, &body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", w.FormDataContentType())
	return do(t, req)
}

func TestForms(t *testing.T) {
	d := open(t)
	newBucket(t, d.client(t), "bkt")
	policy := func(more string) string {
		return fmt.Sprintf(`{"expiration":"%s","conditions":[{"bucket":"bkt"},["starts-with","$key","up/"],{"x-amz-algorithm":"AWS4-HMAC-SHA256"},
["starts-with","$x-amz-date",""],["starts-with","$x-amz-credential",""]%s]}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339), more)
	}
	key := map[string]string{"key": "up/${filename}"}
	if a := d.aForm(t, "bkt", policy(""), []byte("silk"), key); a.status != 204 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := d.do(t, "GET", "/bkt/up/cargo.txt", ""); a.body != "silk" {
		t.Errorf("the file came back as %d %s", a.status, a.body)
	}
	with := func(more ...string) map[string]string {
		m := map[string]string{"key": "up/x"}
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	for name, c := range map[string]struct {
		policy string
		fields map[string]string
		want   string
	}{
		"another key":              {policy(""), with("key", "down/x"), "AccessDenied"},
		"a field nobody spoke of":  {policy(""), with("content-type", "text/plain"), "AccessDenied"},
		"too long":                 {policy(`,["content-length-range",0,3]`), with(), "EntityTooLarge"},
		"too short":                {policy(`,["content-length-range",5,9]`), with(), "EntityTooSmall"},
		"another signature":        {policy(""), with("x-amz-signature", strings.Repeat("0", 64)), "SignatureDoesNotMatch"},
		"another region":           {policy(""), with("x-amz-credential", testKey+"/20261124/mars/s3/aws4_request"), "InvalidArgument"},
		"no policy":                {"", with(), "InvalidPolicyDocument"},
		"expired":                  {`{"expiration":"2020-01-01T00:00:00Z","conditions":[]}`, with(), "AccessDenied"},
		"what it does not allow":   {policy(`,["starts-with","$acl",""]`), with("acl", "public-read"), "AccessControlListNotSupported"},
		"the wrong bucket's":       {strings.Replace(policy(""), `"bkt"`, `"other"`, 1), with(), "AccessDenied"},
		"a checksum of other data": {policy(`,["starts-with","$x-amz-checksum-crc32",""]`), with("x-amz-checksum-crc32", "AAAAAA=="), "BadDigest"},
	} {
		if a := d.aForm(t, "bkt", c.policy, []byte("silk"), c.fields); a.code() != c.want {
			t.Errorf("%s: %d %s, want %s", name, a.status, a.body, c.want)
		}
		if _, err := d.GetVersion(t.Context(), "bkt", "up/x", object.VersionID{}); err == nil {
			t.Fatalf("%s: it was stored", name)
		}
	}
	// A form that claims nothing is a stranger's; one that claims half is refused.
	unsigned := with()
	for _, n := range []string{"policy", "x-amz-signature", "x-amz-credential", "x-amz-date"} {
		unsigned[n] = ""
	}
	if a := d.aForm(t, "bkt", policy(""), []byte("silk"), unsigned); a.status/100 == 2 {
		t.Errorf("a form without a signature: %d", a.status)
	}
}

// TestPreflight: a browser is told what a bucket shares, without a signature, and no more.
func TestPreflight(t *testing.T) {
	d := open(t)
	newBucket(t, d.client(t), "bkt")
	ask := func(origin, method, headers string) answer {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "OPTIONS", d.url+"/bkt/k", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Origin", origin)
		req.Header.Set("Access-Control-Request-Method", method)
		req.Header.Set("Access-Control-Request-Headers", headers)
		return do(t, req)
	}
	if a := ask("https://a.example.com", "GET", ""); a.code() != "AccessForbidden" {
		t.Errorf("a bucket that shares nothing: %d %s", a.status, a.body)
	}
	if a := d.do(t, "PUT", "/bkt?cors", `<CORSConfiguration><CORSRule><AllowedOrigin>https://*.example.com</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader><MaxAgeSeconds>60</MaxAgeSeconds></CORSRule></CORSConfiguration>`); a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	a := ask("https://a.example.com", "GET", "X-Amz-Date")
	if a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != "https://a.example.com" || a.header.Get("Access-Control-Allow-Headers") != "x-amz-date" ||
		a.header.Get("Access-Control-Max-Age") != "60" {
		t.Errorf("%d %v", a.status, a.header)
	}
	for _, c := range [][3]string{{"https://example.org", "GET", ""}, {"https://a.example.com", "PUT", ""}, {"https://a.example.com", "GET", "Cookie"}} {
		if a := ask(c[0], c[1], c[2]); a.code() != "AccessForbidden" {
			t.Errorf("%v: %d %s", c, a.status, a.body)
		}
	}
	if a := d.do(t, "GET", "/bkt/absent", "", "Origin", "https://a.example.com"); a.header.Get("Access-Control-Allow-Origin") == "" {
		t.Error("a page is not let see the answer that it asked for")
	}
}
