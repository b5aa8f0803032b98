package sigv4

import (
	"strings"
	"time"
)

// maxFormAge is how long after its x-amz-date a form may be sent: its policy's expiration is what bounds it, and a
// signing key is worth a week.
const maxFormAge = MaxExpires

// ParseForm reads the claim of a browser's form ("Authenticating Requests: Browser-Based Uploads Using POST", S3 API
// reference): fields by lower-case name. What is signed is the policy, in base64 as it came. nil says that the form
// claims nothing.
func ParseForm(fields map[string]string, p Policy, now time.Time) (*Auth, error) {
	names := []string{"policy", "x-amz-signature", "x-amz-credential", "x-amz-date", "x-amz-algorithm"}
	claims := false
	for _, n := range names {
		_, ok := fields[n]
		claims = claims || ok
	}
	if _, old := fields["awsaccesskeyid"]; old {
		return nil, oldSignature()
	}
	if !claims {
		return nil, nil
	}
	for _, n := range names {
		if _, ok := fields[n]; !ok {
			return nil, refuse("InvalidArgument", "Bucket POST must contain a field named '%s'.  If it is specified, please check the order of the fields.", n).
				with("ArgumentName", n)
		}
	}
	if v := fields["x-amz-algorithm"]; v != algorithm {
		return nil, refuse("InvalidArgument", "Only %s is supported", algorithm).with("ArgumentName", "X-Amz-Algorithm").with("ArgumentValue", v)
	}
	a := &Auth{Form: true, decoded: -1, Payload: Payload{Stated: unsignedPayload}, stringToSign: fields["policy"]}
	var err error
	if a.Time, err = time.Parse(timeForm, fields["x-amz-date"]); err != nil {
		return nil, refuse("InvalidArgument", "X-Amz-Date must be formated via ISO8601 Long format").
			with("ArgumentName", "X-Amz-Date").with("ArgumentValue", fields["x-amz-date"])
	}
	bad := func(format string, args ...any) *Error {
		return refuse("InvalidArgument", format, args...).with("ArgumentName", "x-amz-credential").with("ArgumentValue", fields["x-amz-credential"])
	}
	if a.Credential, err = parseCredential(fields["x-amz-credential"], bad); err != nil {
		return nil, err
	}
	if !a.Credential.acceptable(p) {
		return nil, bad("the region %q is wrong; expecting %q", a.Credential.Region, p.Region)
	}
	if a.Credential.Date != a.Time.Format(dateForm) {
		return nil, bad("Invalid credential date %q. This date is not the same as X-Amz-Date: %q.", a.Credential.Date, a.Time.Format(dateForm))
	}
	if now.Sub(a.Time) > maxFormAge || a.Time.Sub(now) > Window {
		return nil, refuse("AccessDenied", "Invalid according to Policy: Policy expired.")
	}
	a.stated = fields["x-amz-signature"]
	// One that has another form is a wrong one: Verify says so.
	decodeSignature(&a.signature, strings.TrimSpace(a.stated))
	return a, nil
}
