package policy

import (
	"encoding/json"
	"strings"
)

// kind says what an action is done to.
type kind uint8

const (
	onAny kind = iota // a pattern that may be for either
	onBucket
	onObject
)

// actions are those that a bucket policy may name, by what they are done to.
var actions = func() map[string]kind {
	m := map[string]kind{}
	for _, a := range strings.Fields(`AbortMultipartUpload BypassGovernanceRetention DeleteObject DeleteObjectTagging DeleteObjectVersion
		DeleteObjectVersionTagging GetObject GetObjectAcl GetObjectAttributes GetObjectLegalHold GetObjectRetention GetObjectTagging
		GetObjectTorrent GetObjectVersion GetObjectVersionAcl GetObjectVersionAttributes GetObjectVersionForReplication
		GetObjectVersionTagging ListMultipartUploadParts PutObject PutObjectAcl PutObjectLegalHold PutObjectRetention PutObjectTagging
		PutObjectVersionAcl PutObjectVersionTagging ReplicateDelete ReplicateObject ReplicateTags RestoreObject`) {
		m["s3:"+a] = onObject
	}
	for _, a := range strings.Fields(`CreateBucket DeleteBucket DeleteBucketPolicy DeleteBucketWebsite GetAccelerateConfiguration GetAnalyticsConfiguration
		GetBucketAcl GetBucketCORS GetBucketLocation GetBucketLogging GetBucketNotification GetBucketObjectLockConfiguration
		GetBucketOwnershipControls GetBucketPolicy GetBucketPolicyStatus GetBucketPublicAccessBlock GetBucketRequestPayment
		GetBucketTagging GetBucketVersioning GetBucketWebsite GetEncryptionConfiguration GetIntelligentTieringConfiguration
		GetInventoryConfiguration GetLifecycleConfiguration GetMetricsConfiguration GetReplicationConfiguration ListBucket
		ListBucketMultipartUploads ListBucketVersions PutAccelerateConfiguration PutAnalyticsConfiguration PutBucketAcl PutBucketCORS
		PutBucketLogging PutBucketNotification PutBucketObjectLockConfiguration PutBucketOwnershipControls PutBucketPolicy
		PutBucketPublicAccessBlock PutBucketRequestPayment PutBucketTagging PutBucketVersioning PutBucketWebsite
		PutEncryptionConfiguration PutIntelligentTieringConfiguration PutInventoryConfiguration PutLifecycleConfiguration
		PutMetricsConfiguration PutReplicationConfiguration`) {
		m["s3:"+a] = onBucket
	}
	return m
}()

// kindOf says what a pattern of actions is for: objects, if one of the actions that it matches is.
func kindOf(pattern string) kind {
	if pattern == "*" || pattern == "s3:*" {
		return onAny
	}
	for _, a := range matching(pattern) {
		if actions[a] == onObject {
			return onObject
		}
	}
	return onBucket
}

func actionsOf(raw json.RawMessage) ([]string, error) {
	list, err := texts(raw)
	if err != nil {
		return nil, errAction
	}
	for _, a := range list {
		if a == "s3:*" || a == "*" {
			continue
		}
		if !strings.HasPrefix(a, "s3:") || len(matching(a)) == 0 {
			return nil, errAction
		}
	}
	return list, nil
}

// matching lists the actions that a pattern stands for.
func matching(pattern string) (out []string) {
	if _, ok := actions[pattern]; ok {
		return []string{pattern}
	}
	if !strings.ContainsAny(pattern, "*?") {
		return nil
	}
	for a := range actions {
		if matches(pattern, a) {
			out = append(out, a)
		}
	}
	return out
}

// matches reports whether s is what a pattern stands for, in which * is any number of characters and ? is one. It
// takes time linear in both for each star, not exponential.
func matches(pattern, s string) bool {
	star, resume := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			resume++
			p, i = star+1, resume
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
