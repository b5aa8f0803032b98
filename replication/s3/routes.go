package s3

import (
	"net/http"
	"strings"

	"github.com/galleon-net/galleon/replication/object"
)

// level says what a request names.
type level uint8

const (
	onService level = iota // no bucket
	onBucket
	onObject
)

// operation is one thing that can be asked. A request that matches none is refused.
type operation struct {
	method string
	level  level
	// sub is the query parameter that selects the operation, "" when there is none.
	sub string
	// name and action are AWS's: the name of the call, and the right that it takes; the action is empty
	// where the operation asks for each object by itself.
	name, action string
	do           func(*call) error
}

// operations is everything that is served.
var operations = []operation{
	{"GET", onService, "", "ListBuckets", "s3:ListAllMyBuckets", (*call).listBuckets},

	{"PUT", onBucket, "", "CreateBucket", "s3:CreateBucket", (*call).createBucket},
	{"DELETE", onBucket, "", "DeleteBucket", "s3:DeleteBucket", (*call).deleteBucket},
	{"HEAD", onBucket, "", "HeadBucket", "s3:ListBucket", (*call).headBucket},
	{"GET", onBucket, "location", "GetBucketLocation", "s3:GetBucketLocation", (*call).getLocation},
	{"GET", onBucket, "versioning", "GetBucketVersioning", "s3:GetBucketVersioning", (*call).getVersioning},
	{"PUT", onBucket, "versioning", "PutBucketVersioning", "s3:PutBucketVersioning", (*call).putVersioning},
	{"GET", onBucket, "", "ListObjects", "s3:ListBucket", (*call).listObjects},
	{"GET", onBucket, "versions", "ListObjectVersions", "s3:ListBucketVersions", (*call).listVersions},
	{"GET", onBucket, "uploads", "ListMultipartUploads", "s3:ListBucketMultipartUploads", (*call).listUploads},
	{"POST", onBucket, "delete", "DeleteObjects", "", (*call).deleteObjects},
	{"POST", onBucket, "", "PostObject", "", (*call).postObject},
	{"OPTIONS", onBucket, "", "Preflight", "", (*call).preflight},
	{"OPTIONS", onObject, "", "Preflight", "", (*call).preflight},

	{"GET", onBucket, "acl", "GetBucketAcl", "s3:GetBucketAcl", (*call).getACL},
	{"PUT", onBucket, "acl", "PutBucketAcl", "s3:PutBucketAcl", (*call).putACL},
	{"GET", onBucket, "ownershipControls", "GetBucketOwnershipControls", "s3:GetBucketOwnershipControls", (*call).getOwnership},
	{"PUT", onBucket, "ownershipControls", "PutBucketOwnershipControls", "s3:PutBucketOwnershipControls", (*call).putOwnership},
	{"DELETE", onBucket, "ownershipControls", "DeleteBucketOwnershipControls", "s3:PutBucketOwnershipControls", (*call).deleteOwnership},
	{"GET", onBucket, "policy", "GetBucketPolicy", "s3:GetBucketPolicy", (*call).getPolicy},
	{"PUT", onBucket, "policy", "PutBucketPolicy", "s3:PutBucketPolicy", (*call).putPolicy},
	{"DELETE", onBucket, "policy", "DeleteBucketPolicy", "s3:DeleteBucketPolicy", deleteSetting(object.SettingPolicy)},
	{"GET", onBucket, "policyStatus", "GetBucketPolicyStatus", "s3:GetBucketPolicyStatus", (*call).getPolicyStatus},
	{"GET", onBucket, "publicAccessBlock", "GetPublicAccessBlock", "s3:GetBucketPublicAccessBlock", getSetting(object.SettingPublicAccess)},
	{"PUT", onBucket, "publicAccessBlock", "PutPublicAccessBlock", "s3:PutBucketPublicAccessBlock", (*call).putPublicAccess},
	{"DELETE", onBucket, "publicAccessBlock", "DeletePublicAccessBlock", "s3:PutBucketPublicAccessBlock", deleteSetting(object.SettingPublicAccess)},
	{"GET", onBucket, "tagging", "GetBucketTagging", "s3:GetBucketTagging", getSetting(object.SettingTags)},
	{"PUT", onBucket, "tagging", "PutBucketTagging", "s3:PutBucketTagging", (*call).putBucketTagging},
	{"DELETE", onBucket, "tagging", "DeleteBucketTagging", "s3:PutBucketTagging", deleteSetting(object.SettingTags)},
	{"GET", onBucket, "cors", "GetBucketCors", "s3:GetBucketCORS", getSetting(object.SettingCORS)},
	{"PUT", onBucket, "cors", "PutBucketCors", "s3:PutBucketCORS", (*call).putCORS},
	{"DELETE", onBucket, "cors", "DeleteBucketCors", "s3:PutBucketCORS", deleteSetting(object.SettingCORS)},
	{"GET", onBucket, "lifecycle", "GetBucketLifecycleConfiguration", "s3:GetLifecycleConfiguration", getSetting(object.SettingLifecycle)},
	{"PUT", onBucket, "lifecycle", "PutBucketLifecycleConfiguration", "s3:PutLifecycleConfiguration", (*call).putLifecycle},
	{"DELETE", onBucket, "lifecycle", "DeleteBucketLifecycle", "s3:PutLifecycleConfiguration", deleteSetting(object.SettingLifecycle)},
	{"GET", onBucket, "object-lock", "GetObjectLockConfiguration", "s3:GetBucketObjectLockConfiguration", (*call).getLockConfiguration},
	{"PUT", onBucket, "object-lock", "PutObjectLockConfiguration", "s3:PutBucketObjectLockConfiguration", (*call).putLockConfiguration},

	{"PUT", onObject, "", "PutObject", "s3:PutObject", (*call).putOrCopy},
	{"GET", onObject, "", "GetObject", "s3:GetObject", (*call).getObject},
	{"HEAD", onObject, "", "HeadObject", "s3:GetObject", (*call).headObject},
	{"DELETE", onObject, "", "DeleteObject", "s3:DeleteObject", (*call).deleteObject},
	{"GET", onObject, "acl", "GetObjectAcl", "s3:GetObjectAcl", (*call).getACL},
	{"PUT", onObject, "acl", "PutObjectAcl", "s3:PutObjectAcl", (*call).putACL},
	{"GET", onObject, "attributes", "GetObjectAttributes", "s3:GetObjectAttributes", (*call).getAttributes},
	{"GET", onObject, "tagging", "GetObjectTagging", "s3:GetObjectTagging", (*call).getObjectTagging},
	{"PUT", onObject, "tagging", "PutObjectTagging", "s3:PutObjectTagging", (*call).putObjectTagging},
	{"DELETE", onObject, "tagging", "DeleteObjectTagging", "s3:DeleteObjectTagging", (*call).deleteObjectTagging},
	{"GET", onObject, "retention", "GetObjectRetention", "s3:GetObjectRetention", (*call).getRetention},
	{"PUT", onObject, "retention", "PutObjectRetention", "s3:PutObjectRetention", (*call).putRetention},
	{"GET", onObject, "legal-hold", "GetObjectLegalHold", "s3:GetObjectLegalHold", (*call).getLegalHold},
	{"PUT", onObject, "legal-hold", "PutObjectLegalHold", "s3:PutObjectLegalHold", (*call).putLegalHold},
	{"POST", onObject, "uploads", "CreateMultipartUpload", "s3:PutObject", (*call).createUpload},
	{"PUT", onObject, "uploadId", "UploadPart", "s3:PutObject", (*call).putOrCopyPart},
	{"GET", onObject, "uploadId", "ListParts", "s3:ListMultipartUploadParts", (*call).listParts},
	{"POST", onObject, "uploadId", "CompleteMultipartUpload", "s3:PutObject", (*call).completeUpload},
	{"DELETE", onObject, "uploadId", "AbortMultipartUpload", "s3:AbortMultipartUpload", (*call).abortUpload},
}

// selecting are the query parameters that select an operation. The ones that nothing above serves must
// be here too, so that PUT ?policy is not taken for PUT of a bucket.
var selecting = func() map[string]bool {
	m := map[string]bool{}
	for _, n := range strings.Fields(`accelerate analytics cors encryption intelligent-tiering inventory
		legal-hold lifecycle logging metadataConfiguration metadataTable metrics notification object-lock
		ownershipControls policy policyStatus publicAccessBlock renameObject replication requestPayment restore
		retention select session tagging torrent website`) {
		m[n] = true
	}
	for i := range operations {
		m[operations[i].sub] = true
	}
	delete(m, "")
	return m
}()

// absent answers GET of configuration that a bucket can have on AWS and never has here, with the code
// that tells a client so.
var absent = map[string]string{
	"encryption": "ServerSideEncryptionConfigurationNotFoundError", "replication": "ReplicationConfigurationNotFoundError",
	"website": "NoSuchWebsiteConfiguration",
}

// route finds the operation, or refuses.
func (c *call) route() error {
	at := onService
	switch {
	case c.bucket != "" && c.key != "":
		at = onObject
	case c.bucket != "":
		at = onBucket
	case c.key != "":
		return refuse("InvalidBucketName")
	}
	if from, copying := c.r.Header["X-Amz-Copy-Source"]; copying && (c.r.Method != http.MethodPut || c.key == "") {
		return badArgument("x-amz-copy-source", from[0], "You can only specify a copy source header for copy requests.")
	}
	sub := ""
	for _, p := range c.query {
		switch {
		case selecting[p.Name] && sub != "":
			return apiErr("InvalidRequest", "the query asks for both %s and %s", sub, p.Name)
		case selecting[p.Name]:
			sub = p.Name
		case p.Name == "versionId":
		case p.Value == "" && c.r.Method != http.MethodGet && c.r.Method != http.MethodHead:
			// What we do not know must not turn into a write of something else.
			return notImplemented("?" + p.Name)
		}
	}
	known := false
	for i := range operations {
		op := &operations[i]
		if op.level != at || op.sub != sub {
			continue
		}
		if op.method == c.r.Method {
			c.op = op
			return c.misplaced()
		}
		known = true
	}
	switch {
	case at == onObject && sub == "uploads" && c.r.Method == http.MethodGet:
		return apiErr("InvalidRequest", "Key is not expected for the GET method ?uploads subresource")
	case at == onObject && sub == "versions" && c.r.Method == http.MethodGet:
		return apiErr("InvalidRequest", "There is no such thing as the ?versions sub-resource for a key")
	case at == onObject && sub == "" && c.r.Method == http.MethodPost:
		return c.notAllowed(onService) // as S3 has it
	}
	if sub != "" {
		if code := absent[sub]; code != "" && c.r.Method == http.MethodGet && at == onBucket {
			c.op = &operation{name: "GetBucketConfiguration", action: "s3:GetBucketConfiguration", do: func(c *call) error {
				if _, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket); err != nil {
					return err
				}
				return refuse(code)
			}}
			return nil
		}
		return notImplemented(c.r.Method + " ?" + sub)
	}
	if !known {
		return notImplemented(c.r.Method)
	}
	return c.notAllowed(at)
}

// notAllowed refuses a method, and says on what.
func (c *call) notAllowed(at level) *apiError {
	return refuse("MethodNotAllowed").with("Method", c.r.Method).with("ResourceType", []string{"SERVICE", "BUCKET", "OBJECT"}[at])
}

// misplaced refuses parameters and headers that mean something in another operation than the one that
// would be served: a part that forgot its uploadId must not replace the object.
func (c *call) misplaced() error {
	_, upload := c.query.Get("uploadId")
	_, part := c.query.Get("partNumber")
	_, version := c.query.Get("versionId")
	write := c.r.Method == http.MethodPut || c.r.Method == http.MethodPost
	switch {
	case c.r.Method == http.MethodPut && part && !upload:
		return badArgument("partNumber", "partNumber", "This operation does not accept partNumber without uploadId")
	case c.r.Method == http.MethodPut && upload && !part:
		return refuse("MethodNotAllowed").with("Method", c.r.Method).with("ResourceType", "UPLOAD")
	case write && version && !c.amends():
		return apiErr("InvalidArgument", "this operation takes no versionId: a write makes its version")
	case c.auth.Payload.Chunked && c.op.name != "PutObject" && c.op.name != "UploadPart":
		return apiErr("InvalidRequest", "The value of x-amz-content-sha256 header is invalid.")
	}
	return nil
}

// amends says whether the operation changes a version that is there.
func (c *call) amends() bool {
	switch c.op.sub {
	case "tagging", "retention", "legal-hold", "acl":
		return c.key != ""
	}
	return false
}

// value gives a parameter of the query, "" when it is not there.
func (c *call) value(name string) string {
	v, _ := c.query.Get(name)
	return v
}
