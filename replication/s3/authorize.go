package s3

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/s3/policy"
)

// authorize asks for one right. Who signed needs Config.Authorize and no Deny in the bucket's policy; a stranger
// needs an Allow in it, and that nothing blocks public access. What nobody answers for is refused.
func (c *call) authorize(action, bucket, key string) error {
	if action == "" {
		return nil // the operation asks for each object by itself
	}
	if !c.anonymous() && c.h.cfg.Authorize != nil {
		a := Access{AccessKey: c.auth.Credential.AccessKey, Action: action, Bucket: bucket, Key: key}
		if err := c.h.cfg.Authorize(c.ctx, a); err != nil {
			return refuse("AccessDenied").because(fmt.Errorf("the access key may not do this, %s: %w", action, err))
		}
	}
	if c.anonymous() {
		if why := strangersNever[c.op.name]; why != "" {
			return apiErr("AccessDenied", "%s", why)
		}
		if c.op.name == "PutObject" && c.header.Get("X-Amz-Copy-Source") != "" {
			return apiErr("AccessDenied", "Anonymous users cannot copy objects."+pleaseSign)
		}
	}
	if bucket == "" {
		return c.strangersOut()
	}
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, bucket)
	if errors.Is(err, ErrNoSuchBucket) {
		return nil // the operation says so
	}
	if err != nil {
		return err
	}
	return c.judge(b, action, key)
}

const pleaseSign = " Please authenticate."

// strangersNever are the operations that no policy opens to those who do not sign, and what S3 tells them.
var strangersNever = map[string]string{
	"CreateBucket":                  "Anonymous users cannot invoke this API." + pleaseSign,
	"PutBucketAcl":                  "Anonymous users cannot invoke this API." + pleaseSign,
	"PutObjectAcl":                  "Anonymous users cannot invoke this API." + pleaseSign,
	"CreateMultipartUpload":         "Anonymous users cannot initiate multipart uploads." + pleaseSign,
	"PutBucketOwnershipControls":    "s3:PutBucketOwnershipControls does not support Anonymous requests!",
	"GetBucketOwnershipControls":    "s3:GetBucketOwnershipControls does not support Anonymous requests!",
	"DeleteBucketOwnershipControls": "s3:PutBucketOwnershipControls does not support Anonymous requests!",
}

// strangersNot are those that are refused to them even where a policy opens everything: they would let strangers keep
// what was opened open.
var strangersNot = map[string]bool{
	"PutBucketPolicy": true, "GetBucketPolicy": true, "DeleteBucketPolicy": true, "PutPublicAccessBlock": true,
	"DeletePublicAccessBlock": true,
}

// keptRights are what a policy cannot take from the account, so that nobody locks everybody out.
var keptRights = map[string]bool{"s3:GetBucketPolicy": true, "s3:PutBucketPolicy": true, "s3:DeleteBucketPolicy": true}

func (c *call) strangersOut() error {
	if c.anonymous() {
		return refuse("AccessDenied")
	}
	return nil
}

// judge asks a bucket's policy.
func (c *call) judge(b object.Bucket, action, key string) error {
	doc := b.Settings[object.SettingPolicy]
	if doc == "" {
		return c.strangersOut()
	}
	p, err := c.h.policies.get(doc, func() (*policy.Document, error) { return policy.Parse([]byte(doc), b.Name, anybody) })
	if err != nil {
		// It was understood when it was put. Nobody is let in or kept out by what is not understood now.
		return refuse("AccessDenied").because(fmt.Errorf("the policy of bucket %s: %w", b.Name, err))
	}
	d := p.Decide(policy.Request{
		Principal: c.auth.Credential.AccessKey, Actions: c.actionNames(action), Bucket: b.Name, Key: key, Have: c.have,
	})
	switch {
	case d == policy.Deny && !(keptRights[action] && !c.anonymous()):
		return refuse("AccessDenied").because(fmt.Errorf("the policy of bucket %s denies %s", b.Name, action))
	case c.anonymous() && (d != policy.Allow || action == "s3:BypassGovernanceRetention"):
		return refuse("AccessDenied")
	case c.anonymous() && strangersNot[c.op.name]:
		return c.notAllowed(onBucket)
	case c.anonymous() && p.Public() && publicAccessOf(b).restrict:
		return refuse("AccessDenied").because(errors.New("public access is restricted by the bucket's public access block"))
	}
	return nil
}

func anybody(string) bool { return true }

// actionNames gives what a request for a version by its id is called besides.
func (c *call) actionNames(action string) []string {
	if !c.query.Has("versionId") {
		return []string{action}
	}
	for _, n := range []string{"GetObject", "DeleteObject", "PutObject"} {
		if rest, ok := strings.CutPrefix(action, "s3:"+n); ok && rest != "Retention" && rest != "LegalHold" {
			return []string{"s3:" + n + "Version" + rest}
		}
	}
	return []string{action}
}

// have gives what a request has for a condition key of a policy.
func (c *call) have(key string) []string {
	one := func(v string) []string {
		if v == "" {
			return nil
		}
		return []string{v}
	}
	query := func(name string) []string {
		if v, ok := c.query.Get(name); ok {
			return []string{v}
		}
		return nil
	}
	now := c.h.cfg.Now().UTC()
	switch key {
	case "aws:SourceIp":
		host, _, err := net.SplitHostPort(c.r.RemoteAddr)
		if err != nil {
			return nil
		}
		return one(host)
	case "aws:SecureTransport":
		return one(strconv.FormatBool(c.r.TLS != nil))
	case "aws:UserAgent":
		return one(c.r.UserAgent())
	case "aws:Referer":
		return one(c.r.Referer())
	case "aws:CurrentTime":
		return one(now.Format("2006-01-02T15:04:05Z"))
	case "aws:EpochTime":
		return one(strconv.FormatInt(now.Unix(), 10))
	case "aws:username", "aws:userid":
		return one(c.auth.Credential.AccessKey)
	case "aws:PrincipalType":
		if c.anonymous() {
			return one("Anonymous")
		}
		return one("User")
	case "s3:authType":
		switch {
		case c.anonymous():
			return nil
		case c.auth.Presigned:
			return one("REST-QUERY-STRING")
		case c.auth.Form:
			return one("POST")
		}
		return one("REST-HEADER")
	case "s3:signatureversion":
		if c.anonymous() {
			return nil
		}
		return one("AWS4-HMAC-SHA256")
	case "s3:signatureage":
		if c.anonymous() {
			return nil
		}
		return one(strconv.FormatInt(now.Sub(c.auth.Time).Milliseconds(), 10))
	case "s3:prefix", "s3:delimiter", "s3:max-keys":
		return query(strings.TrimPrefix(key, "s3:"))
	case "s3:VersionId":
		return query("versionId")
	case "s3:object-lock-mode", "s3:object-lock-retain-until-date", "s3:object-lock-legal-hold":
		return one(c.header.Get("x-amz-" + strings.TrimPrefix(key, "s3:")))
	}
	return one(c.header.Get(strings.TrimPrefix(key, "s3:")))
}
