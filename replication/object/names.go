package object

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"
)

// Lengths of names, in bytes.
const (
	minBucketName = 3
	maxBucketName = 63
	// MaxKey is what S3 allows.
	MaxKey = 1024
)

// Prefixes and suffixes that Amazon keeps for its own use; clients treat such names in special ways.
var (
	reservedPrefixes = []string{"xn--", "sthree-", "amzn-s3-demo-"}
	reservedSuffixes = []string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"}
)

// CheckBucketName refuses a name that S3 forbids for a general purpose bucket ("Bucket naming rules",
// Amazon S3 user guide): bucket names become DNS labels.
func CheckBucketName(name string) error {
	if len(name) < minBucketName || len(name) > maxBucketName {
		return fmt.Errorf("bucket name %.80q: has %d characters, want %d to %d", name, len(name), minBucketName, maxBucketName)
	}
	for i := range len(name) {
		c := name[i]
		if alnum := c >= 'a' && c <= 'z' || c >= '0' && c <= '9'; alnum {
			continue
		}
		switch {
		case c != '-' && c != '.':
			return fmt.Errorf("bucket name %q: %q is not allowed, only lower-case letters, digits, hyphens and dots", name, c)
		case i == 0 || i == len(name)-1:
			return fmt.Errorf("bucket name %q: must begin and end with a letter or a digit", name)
		case c == '.' && name[i-1] == '.':
			return fmt.Errorf("bucket name %q: two dots follow each other", name)
		case name[i-1] == '.' || c == '.' && name[i-1] == '-':
			return fmt.Errorf("bucket name %q: a hyphen stands next to a dot", name)
		}
	}
	if looksLikeIPv4(name) {
		return fmt.Errorf("bucket name %q: is written like an IPv4 address", name)
	}
	for _, p := range reservedPrefixes {
		if strings.HasPrefix(name, p) {
			return fmt.Errorf("bucket name %q: the beginning %q is reserved by S3", name, p)
		}
	}
	for _, s := range reservedSuffixes {
		if strings.HasSuffix(name, s) {
			return fmt.Errorf("bucket name %q: the ending %q is reserved by S3", name, s)
		}
	}
	return nil
}

// looksLikeIPv4 also takes forms that netip refuses and old resolvers read as addresses, like 010.1.2.3.
func looksLikeIPv4(name string) bool {
	if _, err := netip.ParseAddr(name); err == nil {
		return true
	}
	return strings.Count(name, ".") == 3 && strings.Trim(name, "0123456789.") == ""
}

// CheckKey refuses a key that S3 forbids, and U+0000, which no S3 client can see in a listing and which
// the store's index uses to end a key. Everything else is a key: "..", "a//b" and control characters have
// no meaning here, since a key never becomes a file path.
func CheckKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("object key is empty")
	case len(key) > MaxKey:
		return fmt.Errorf("object key %.40q... has %d bytes, want at most %d", key, len(key), MaxKey)
	case !utf8.ValidString(key):
		return fmt.Errorf("object key %.80q is not valid UTF-8", key)
	case strings.IndexByte(key, 0) >= 0:
		return fmt.Errorf("object key %.80q holds a NUL character", key)
	}
	return nil
}
