package s3

import (
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/galleon-net/galleon/replication/object"
)

// storedHeaders are the standard headers that are kept with an object, beside Content-Type.
var storedHeaders = []string{"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires", redirectHeader}

// redirectHeader is kept and shown: whether a web server in front acts on it is its matter.
const redirectHeader = "X-Amz-Website-Redirect-Location"

// Objects of reduced redundancy get what all get; who asked for it is told so again. S3 does not tell the class of
// standard objects.
const (
	classHeader       = "X-Amz-Storage-Class"
	reducedRedundancy = "REDUCED_REDUNDANCY"
)

const metaPrefix = "x-amz-meta-"

// maxStoredHeader bounds the values of stored headers, in bytes each.
const maxStoredHeader = 4 << 10

// describe fills in what a request says of the object that it writes.
func (c *call) describe(b object.Bucket, v *object.Version) error {
	if err := c.refuseUnsupported(); err != nil {
		return err
	}
	var err error
	if v.Attributes.Tags, err = c.taggingHeader(); err != nil {
		return err
	}
	if err := c.lockHeaders(b, &v.Attributes); err != nil {
		return err
	}
	if to := c.header.Get(redirectHeader); to != "" && !strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "http://") && !strings.HasPrefix(to, "https://") {
		return refuse("InvalidRedirectLocation")
	}
	v.ContentType = c.header.Get("Content-Type")
	if c.header.Get(classHeader) == reducedRedundancy {
		v.Headers = map[string]string{classHeader: reducedRedundancy}
	}
	for _, n := range append([]string{"Content-Type"}, storedHeaders...) {
		if len(c.header.Get(n)) > maxStoredHeader {
			return apiErr("MetadataTooLarge", "the header %s has more than %d bytes", n, maxStoredHeader)
		}
	}
	for _, n := range storedHeaders {
		value := c.header.Get(n)
		if n == "Content-Encoding" {
			value = withoutChunked(value)
		}
		if value != "" {
			if v.Headers == nil {
				v.Headers = map[string]string{}
			}
			v.Headers[n] = value
		}
	}
	total := 0
	for name, values := range c.header {
		lower := strings.ToLower(name)
		m, ok := strings.CutPrefix(lower, metaPrefix)
		if !ok {
			continue
		}
		value := strings.Join(values, ",")
		if m == "" || !utf8.ValidString(value) {
			return badArgument(lower, "", "the metadata header %s has no name, or a value that is not UTF-8", lower)
		}
		total += len(m) + len(value)
		if v.Meta == nil {
			v.Meta = map[string]string{}
		}
		v.Meta[m] = value
	}
	if total > maxMetaBytes {
		return refuse("MetadataTooLarge").with("Size", strconv.Itoa(total)).with("MaxSizeAllowed", strconv.Itoa(maxMetaBytes))
	}
	return nil
}

// withoutChunked takes aws-chunked, which is the transfer's encoding, out of the object's.
func withoutChunked(v string) string {
	var keep []string
	for p := range strings.SplitSeq(v, ",") {
		if p = strings.TrimSpace(p); p != "" && !strings.EqualFold(p, "aws-chunked") {
			keep = append(keep, p)
		}
	}
	return strings.Join(keep, ",")
}

// refuseUnsupported refuses headers that ask for something that must not be ignored in silence.
func (c *call) refuseUnsupported() error {
	for name, v := range c.header {
		lower := strings.ToLower(name)
		switch {
		case strings.HasPrefix(lower, "x-amz-server-side-encryption"),
			strings.HasPrefix(lower, "x-amz-copy-source-server-side-encryption"):
			return notImplemented(lower + ": encryption by the store")
		case strings.HasPrefix(lower, "x-amz-grant-"):
			return refuse("AccessControlListNotSupported")
		case lower == "x-amz-acl" && v[0] != "private" && v[0] != "bucket-owner-full-control" && v[0] != "":
			return refuse("AccessControlListNotSupported")
		case lower == "x-amz-storage-class" && v[0] != "STANDARD" && v[0] != "REDUCED_REDUNDANCY" && v[0] != "":
			// Reduced redundancy asks for less than everything gets.
			return refuse("InvalidStorageClass").with("StorageClassRequested", v[0])
		case lower == "x-amz-write-offset-bytes":
			return notImplemented("appending to an object")
		}
	}
	return nil
}

// show writes what is known of an object into the answer's header.
func (c *call) show(v object.Version) {
	h := c.w.Header()
	h["ETag"] = []string{quote(v.ETag)}
	h.Set("Last-Modified", v.Modified.UTC().Format(http.TimeFormat))
	h.Set("Accept-Ranges", "bytes")
	h.Set("Content-Type", "binary/octet-stream")
	if v.ContentType != "" {
		h.Set("Content-Type", v.ContentType)
	}
	for n, value := range v.Headers {
		h.Set(n, value)
	}
	// Lower case as stored: clients such as boto3 keep the case that they see.
	for m, value := range v.Meta {
		h[metaPrefix+m] = []string{value}
	}
	if s := c.h.cfg.Backend.ReplicationStatus(c.ctx, v); s != "" {
		h["x-amz-replication-status"] = []string{s}
	}
}

// showWritten names a version that was made, but for the null version: it takes the place of the one before.
func (c *call) showWritten(b object.Bucket, v object.Version) {
	if !v.Null {
		c.showVersion(b, v)
	}
}

// showVersion names the version in the answer, where the bucket keeps versions or did.
func (c *call) showVersion(b object.Bucket, v object.Version) {
	if !unversioned(b) && v.ID != (object.VersionID{}) {
		c.w.Header()["x-amz-version-id"] = []string{versionName(b, v)}
	}
}

func quote(etag string) string { return `"` + etag + `"` }

func unquote(etag string) string {
	return strings.Trim(strings.TrimSpace(etag), `"`)
}
