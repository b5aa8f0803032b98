package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"strings"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	service    = "s3"
	terminator = "aws4_request"
	dateForm   = "20060102"
	timeForm   = "20060102T150405Z"

	// maxAccessKey bounds an access key, in bytes; AWS's have 20.
	maxAccessKey = 128
	// maxRegion bounds a region's name, in bytes.
	maxRegion = 64
)

// Key derives the key of a secret for one day (yyyymmdd) and region. This is the only thing that leaves
// the place where secrets are kept.
func Key(secret, date, region string) []byte {
	k := mac([]byte("AWS4"+secret), date)
	k = mac(k, region)
	k = mac(k, service)
	return mac(k, terminator)
}

func mac(key []byte, s string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(s))
	return h.Sum(nil)
}

// Credential says which key signed, and for what.
type Credential struct {
	AccessKey string
	// Date is the day of the key, yyyymmdd, UTC.
	Date   string
	Region string
}

// Scope is the credential without the access key, as it is signed.
func (c Credential) Scope() string {
	return c.Date + "/" + c.Region + "/" + service + "/" + terminator
}

// parseCredential reads AK/yyyymmdd/region/s3/aws4_request.
func parseCredential(s string) (Credential, string) {
	f := strings.Split(s, "/")
	if len(f) != 5 {
		return Credential{}, "the credential must be ACCESS-KEY/yyyymmdd/region/s3/aws4_request"
	}
	c := Credential{AccessKey: f[0], Date: f[1], Region: f[2]}
	switch {
	case !plain(c.AccessKey, maxAccessKey):
		return c, "the access key in the credential is empty, too long, or has characters that no access key has"
	case len(c.Date) != len(dateForm) || !digits(c.Date):
		return c, "the date in the credential must be yyyymmdd"
	case !plain(c.Region, maxRegion):
		return c, "the region in the credential is empty or too long"
	case f[3] != service:
		return c, "the credential must be for the service s3"
	case f[4] != terminator:
		return c, "the credential must end in aws4_request"
	}
	return c, ""
}

// plain reports whether s is 1 to most visible ASCII characters.
func plain(s string, most int) bool {
	if s == "" || len(s) > most {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func digits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
