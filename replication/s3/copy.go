package s3

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/s3/sigv4"
)

// source finds the object that x-amz-copy-source names, checks the right to read it and the
// conditions on it.
func (c *call) source() (object.Version, error) {
	var none object.Version
	from, key, id, err := parseSource(c.header.Get("X-Amz-Copy-Source"))
	if err != nil {
		return none, err
	}
	if err := c.authorize("s3:GetObject", from, key); err != nil {
		return none, err
	}
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, from)
	if err != nil {
		return none, err
	}
	if !c.isOwner(c.header.Get("X-Amz-Source-Expected-Bucket-Owner")) {
		return none, refuse("AccessDenied")
	}
	if id == object.NullVersion && unversioned(b) {
		id = object.VersionID{}
	}
	v, err := c.h.cfg.Backend.GetVersion(c.ctx, from, key, id)
	switch {
	case errors.Is(err, ErrNoSuchVersion):
		_, version, _ := strings.Cut(c.header.Get("X-Amz-Copy-Source"), "?versionId=")
		return none, refuse("NoSuchVersion").with("VersionId", version).because(err)
	case err != nil:
		return none, err
	case v.DeleteMarker && id == (object.VersionID{}):
		return none, ErrNoSuchKey
	case v.DeleteMarker:
		return none, apiErr("InvalidRequest", "The source of a copy request may not specifically refer to a delete marker by version id.")
	}
	if status, which := copyConditionsOf(c.header).judge(v); status != 0 {
		return none, failed("x-amz-copy-source-" + which)
	}
	if !unversioned(b) {
		c.w.Header()["x-amz-copy-source-version-id"] = []string{versionName(b, v)}
	}
	return v, nil
}

// parseSource reads x-amz-copy-source: /bucket/key?versionId=id, URL-encoded.
func parseSource(header string) (bucket, key string, id object.VersionID, err error) {
	bad := func(message string) error { return badArgument("x-amz-copy-source", header, "%s", message) }
	raw, version, _ := strings.Cut(strings.TrimPrefix(header, "/"), "?versionId=")
	path, err := sigv4.DecodePath(raw)
	if version == "" {
		path, version, _ = strings.Cut(path, "?versionId=") // SDKs encode the separator too
	}
	if err != nil {
		return "", "", id, bad("Invalid copy source encoding")
	}
	bucket, key, ok := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch {
	case checkBucket(bucket) != nil:
		return "", "", id, bad("Invalid copy source bucket name")
	case !ok || key == "" || checkKey(key) != nil:
		return "", "", id, bad("Invalid copy source object key")
	}
	id, err = ParseVersionID(version)
	return bucket, key, id, err
}

type copyResultXML struct {
	XMLName      xml.Name
	Xmlns        string `xml:"xmlns,attr"`
	LastModified string
	ETag         string
	checksumsXML
	ChecksumType string `xml:",omitempty"`
}

func (c *call) copyObject() error {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	want := c.header.Get("X-Amz-Checksum-Algorithm")
	alg := findAlgorithm(want)
	if want != "" && alg == nil {
		return unknownAlgorithm()
	}
	src, err := c.source()
	if err != nil {
		return err
	}
	dst := object.Version{Bucket: c.bucket, Key: c.key, Checksums: src.Checksums}
	if name, kind := checksumLabels(src); kind == composite && alg == nil {
		alg = findAlgorithm(name) // the copy is one object, and has a checksum of it
	}
	replace := false
	switch d := c.header.Get("X-Amz-Metadata-Directive"); d {
	case "", "COPY":
		if err := c.refuseUnsupported(); err != nil {
			return err
		}
		if err := c.describe(b, &object.Version{}); err != nil {
			return err
		}
		dst.ContentType, dst.Headers, dst.Meta = src.ContentType, maps.Clone(src.Headers), src.Meta
		delete(dst.Headers, redirectHeader) // of everything this alone is not copied
		if to := c.header.Get(redirectHeader); to != "" {
			if dst.Headers == nil {
				dst.Headers = map[string]string{}
			}
			dst.Headers[redirectHeader] = to
			replace = true
		}
	case "REPLACE":
		replace = true
		if err := c.describe(b, &dst); err != nil {
			return err
		}
	default:
		return badArgument("x-amz-metadata-directive", d, "Unknown metadata directive.")
	}
	dst.Attributes = object.Attributes{Tags: src.Attributes.Tags} // protection is never copied
	switch d := c.header.Get("X-Amz-Tagging-Directive"); d {
	case "", "COPY":
	case "REPLACE":
		if dst.Attributes.Tags, err = c.taggingHeader(); err != nil {
			return err
		}
	default:
		return badArgument("x-amz-tagging-directive", d, "Unknown tagging directive.")
	}
	if err := c.lockHeaders(b, &dst.Attributes); err != nil {
		return err
	}
	latest := !strings.Contains(c.header.Get("X-Amz-Copy-Source"), "?versionId=")
	if src.Bucket == dst.Bucket && src.Key == dst.Key && !replace && latest {
		return apiErr("InvalidRequest", "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, "+
			"storage class, website redirect location or encryption attributes.")
	}
	cond, err := c.writeConditions()
	if err != nil {
		return err
	}
	if alg != nil {
		if dst.Checksums, err = c.checksumOf(src, alg); err != nil {
			return err
		}
	}
	v, err := c.h.cfg.Backend.CopyObject(c.ctx, src, dst, cond)
	if err != nil {
		return err
	}
	c.showWritten(b, v)
	return c.writeXML(http.StatusOK, copyResult("CopyObjectResult", v.Modified, v.ETag, v.Checksums))
}

// checksumOf gives a checksum of an object's bytes, reading them when it is not among the stored ones.
func (c *call) checksumOf(v object.Version, a *checksumAlgorithm) (map[string]string, error) {
	if s := v.Checksums[a.name]; s != "" && checksumType(s) == fullObject {
		return map[string]string{a.name: s}, nil
	}
	sum := a.new()
	if v.Size > 0 {
		r, err := c.h.cfg.Backend.OpenObject(c.ctx, v)
		if err != nil {
			return nil, err
		}
		defer r.Close()
		in, err := section(r, byteRange{0, v.Size})
		if err != nil {
			return nil, err
		}
		if _, err := io.CopyBuffer(sum, in, make([]byte, copyBuffer)); err != nil {
			return nil, err
		}
	}
	return map[string]string{a.name: base64.StdEncoding.EncodeToString(sum.Sum(nil))}, nil
}
