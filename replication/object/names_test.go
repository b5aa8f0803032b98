package object

import (
	"strings"
	"testing"
)

func TestCheckBucketName(t *testing.T) {
	good := []string{"abc", "my-bucket", "a.b.c", "123", "1.2.3", "a1-b2.c3", strings.Repeat("a", 63), "a--b", "logs.2026"}
	for _, n := range good {
		if err := CheckBucketName(n); err != nil {
			t.Errorf("%q should be allowed: %v", n, err)
		}
	}
	bad := map[string]string{
		"": "0 characters", "ab": "2 characters", strings.Repeat("a", 64): "64 characters",
		"Abc": "'A'", "a_b": "'_'", "a b": "' '", "a/b": "'/'", "abé": "not allowed", "a\x00b": "not allowed",
		"-ab": "begin and end", "ab-": "begin and end", ".ab": "begin and end", "ab.": "begin and end",
		"a..b": "two dots", "a.-b": "next to a dot", "a-.b": "next to a dot",
		"192.168.5.4": "IPv4", "010.1.2.3": "IPv4", "999.1.2.3": "IPv4",
		"xn--abc": "beginning", "sthree-abc": "beginning", "amzn-s3-demo-abc": "beginning",
		"abc-s3alias": "ending", "abc--ol-s3": "ending", "abc--x-s3": "ending", "abc--table-s3": "ending", "abc.mrap": "ending",
	}
	for n, want := range bad {
		if err := CheckBucketName(n); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", n, err, want)
		}
	}
}

func TestCheckKey(t *testing.T) {
	for _, k := range []string{"a", "../../etc/passwd", "a//b", "/", "é/日本", "\x01", "a\nb", strings.Repeat("k", MaxKey)} {
		if err := CheckKey(k); err != nil {
			t.Errorf("%q should be allowed: %v", k, err)
		}
	}
	for _, k := range []string{"", "a\x00b", "\xff", "a\xc3", strings.Repeat("k", MaxKey+1), strings.Repeat("é", 513)} {
		if err := CheckKey(k); err == nil {
			t.Errorf("%.20q should be refused", k)
		}
	}
}
