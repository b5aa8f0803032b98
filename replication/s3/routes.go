package s3

import (
	"net/http"
	"strings"
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
	{"GET", onBucket, "acl", "GetBucketAcl", "s3:GetBucketAcl", (*call).getACL},
	{"GET", onBucket, "", "ListObjects", "s3:ListBucket", (*call).listObjects},
	{"GET", onBucket, "versions", "ListObjectVersions", "s3:ListBucketVersions", (*call).listVersions},
	{"GET", onBucket, "uploads", "ListMultipartUploads", "s3:ListBucketMultipartUploads", (*call).listUploads},
	{"POST", onBucket, "delete", "DeleteObjects", "", (*call).deleteObjects},

	{"PUT", onObject, "", "PutObject", "s3:PutObject", (*call).putOrCopy},
	{"GET", onObject, "", "GetObject", "s3:GetObject", (*call).getObject},
	{"HEAD", onObject, "", "HeadObject", "s3:GetObject", (*call).headObject},
	{"DELETE", onObject, "", "DeleteObject", "s3:DeleteObject", (*call).deleteObject},
	{"GET", onObject, "acl", "GetObjectAcl", "s3:GetObjectAcl", (*call).getACL},
	{"GET", onObject, "attributes", "GetObjectAttributes", "s3:GetObjectAttributes", (*call).getAttributes},
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
	"cors": "NoSuchCORSConfiguration", "encryption": "ServerSideEncryptionConfigurationNotFoundError",
	"lifecycle": "NoSuchLifecycleConfiguration", "object-lock": "ObjectLockConfigurationNotFoundError",
	"ownershipControls": "OwnershipControlsNotFoundError", "policy": "NoSuchBucketPolicy",
	"publicAccessBlock": "NoSuchPublicAccessBlockConfiguration", "tagging": "NoSuchTagSet",
	"replication": "ReplicationConfigurationNotFoundError", "website": "NoSuchWebsiteConfiguration",
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
		return apiErr("InvalidBucketName", "the bucket's name is empty")
	}
	sub := ""
	for _, p := range c.query {
		switch {
		case selecting[p.Name] && sub != "":
			return apiErr("InvalidRequest", "the query asks for both %s and %s", sub, p.Name)
		case selecting[p.Name]:
			sub = p.Name
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
	if sub != "" {
		if code := absent[sub]; code != "" && c.r.Method == http.MethodGet && at == onBucket {
			c.op = &operation{name: "GetBucketConfiguration", action: "s3:GetBucketConfiguration", do: func(c *call) error {
				if _, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket); err != nil {
					return err
				}
				return apiErr(code, "the bucket has no %s configuration, and cannot have one here", sub)
			}}
			return nil
		}
		return notImplemented(c.r.Method + " ?" + sub)
	}
	if !known {
		return notImplemented(c.r.Method)
	}
	return apiErr("MethodNotAllowed", "%s is not allowed here", c.r.Method)
}

// misplaced refuses parameters and headers that mean something in another operation than the one that
// would be served: a part that forgot its uploadId must not replace the object.
func (c *call) misplaced() error {
	_, upload := c.query.Get("uploadId")
	_, part := c.query.Get("partNumber")
	_, version := c.query.Get("versionId")
	_, copying := c.header["X-Amz-Copy-Source"]
	write := c.r.Method == http.MethodPut || c.r.Method == http.MethodPost
	switch {
	case c.r.Method == http.MethodPut && part != upload:
		return apiErr("InvalidArgument", "a part needs both partNumber and uploadId")
	case write && version:
		return apiErr("InvalidArgument", "this operation takes no versionId: a write makes its version")
	case copying && (c.r.Method != http.MethodPut || c.key == ""):
		return apiErr("InvalidArgument", "this operation takes no x-amz-copy-source")
	}
	return nil
}
