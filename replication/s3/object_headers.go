package s3

import (
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/galleon-net/galleon/replication/object"
)

// storedHeaders are the standard headers that are kept with an object, beside Content-Type.
var storedHeaders = []string{"Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Expires"}

const metaPrefix = "x-amz-meta-"

// maxStoredHeader bounds the values of stored headers, in bytes each.
const maxStoredHeader = 4 << 10

// describe fills in what a request says of the object that it writes.
func (c *call) describe(v *object.Version) error {
	if err := c.refuseUnsupported(); err != nil {
		return err
	}
	v.ContentType = c.header.Get("Content-Type")
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
			return apiErr("InvalidArgument", "the metadata header %s has no name, or a value that is not UTF-8", lower)
		}
		if total += len(m) + len(value); total > maxMetaBytes {
			return apiErr("MetadataTooLarge", "the metadata has more than %d bytes", maxMetaBytes)
		}
		if v.Meta == nil {
			v.Meta = map[string]string{}
		}
		v.Meta[m] = value
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
		case lower == "x-amz-tagging" && v[0] != "":
			return notImplemented("object tags")
		case strings.HasPrefix(lower, "x-amz-object-lock-"):
			return notImplemented("object lock")
		case lower == "x-amz-website-redirect-location":
			return notImplemented("website redirects")
		case strings.HasPrefix(lower, "x-amz-grant-"):
			return apiErr("AccessControlListNotSupported", "access control lists are not supported: rights belong to access keys")
		case lower == "x-amz-acl" && v[0] != "private" && v[0] != "bucket-owner-full-control" && v[0] != "":
			return apiErr("AccessControlListNotSupported", "the access control list %.40q is not supported: everything is private", v[0])
		case lower == "x-amz-storage-class" && v[0] != "STANDARD" && v[0] != "REDUCED_REDUNDANCY" && v[0] != "":
			// Reduced redundancy asks for less than everything gets.
			return apiErr("InvalidStorageClass", "the storage class %.40q does not exist here: STANDARD is the only one", v[0])
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

// showVersion names the version in the answer, where the bucket keeps versions.
func (c *call) showVersion(b object.Bucket, id object.VersionID) {
	if b.Versioning && id != (object.VersionID{}) {
		c.w.Header()["x-amz-version-id"] = []string{FormatVersionID(id)}
	}
}

func quote(etag string) string { return `"` + etag + `"` }

func unquote(etag string) string {
	return strings.Trim(strings.TrimSpace(etag), `"`)
}
