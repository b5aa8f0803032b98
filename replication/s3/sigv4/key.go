package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"strings"
)

const (
	algorithm = "AWS4-HMAC-SHA256"
	// ecdsaAlgorithm is signature version 4A, which is not spoken here.
	ecdsaAlgorithm = "AWS4-ECDSA-P256-SHA256"

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
func parseCredential(s string, bad func(string, ...any) *Error) (Credential, error) {
	f := strings.Split(s, "/")
	if len(f) != 5 || !plain(f[0], maxAccessKey) || !plain(f[2], maxRegion) {
		return Credential{}, bad("the Credential is mal-formed; expecting \"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request\".")
	}
	c := Credential{AccessKey: f[0], Date: f[1], Region: f[2]}
	switch {
	case f[4] != terminator:
		return c, bad("incorrect terminal %q. This endpoint uses %q.", f[4], terminator)
	case f[3] != service:
		return c, bad("incorrect service %q. This endpoint belongs to %q.", f[3], service)
	case len(c.Date) != len(dateForm) || !digits(c.Date):
		return c, bad("incorrect date format %q. This date in the credential must be in the format \"yyyyMMdd\".", c.Date)
	}
	return c, nil
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
