package s3

import (
	"encoding/base64"
	"encoding/xml"
	"io"
	"net/http"
	"strings"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/s3/sigv4"
)

// source finds the object that x-amz-copy-source names, checks the right to read it and the
// conditions on it.
func (c *call) source() (object.Version, error) {
	var none object.Version
	raw := strings.TrimPrefix(c.header.Get("X-Amz-Copy-Source"), "/")
	raw, version, _ := strings.Cut(raw, "?versionId=")
	path, err := sigv4.DecodePath(raw)
	if err != nil {
		return none, apiErr("InvalidArgument", "x-amz-copy-source must be URL-encoded")
	}
	path = strings.TrimPrefix(path, "/")
	from, key, ok := strings.Cut(path, "/")
	if !ok || key == "" {
		return none, apiErr("InvalidArgument", "x-amz-copy-source must be /bucket/key, URL-encoded")
	}
	if err := checkBucket(from); err != nil {
		return none, err
	}
	if err := checkKey(key); err != nil {
		return none, err
	}
	id, err := ParseVersionID(version)
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
	if o := c.header.Get("X-Amz-Source-Expected-Bucket-Owner"); o != "" && o != ownerID {
		return none, apiErr("AccessDenied", "the source bucket's owner is %s", ownerID)
	}
	v, err := c.h.cfg.Backend.GetVersion(c.ctx, from, key, id)
	switch {
	case err != nil:
		return none, err
	case v.DeleteMarker && id == (object.VersionID{}):
		return none, ErrNoSuchKey
	case v.DeleteMarker:
		return none, apiErr("InvalidRequest", "the source of the copy is a delete marker")
	case copyConditionsOf(c.header).judge(v) != 0:
		return none, ErrPrecondition
	}
	if b.Versioning {
		c.w.Header()["x-amz-copy-source-version-id"] = []string{FormatVersionID(v.ID)}
	}
	return v, nil
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
		return apiErr("InvalidRequest", "x-amz-checksum-algorithm %.40q is not known", want)
	}
	src, err := c.source()
	if err != nil {
		return err
	}
	dst := object.Version{Bucket: c.bucket, Key: c.key, Checksums: src.Checksums}
	replace := false
	switch d := c.header.Get("X-Amz-Metadata-Directive"); d {
	case "", "COPY":
		if err := c.refuseUnsupported(); err != nil {
			return err
		}
		dst.ContentType, dst.Headers, dst.Meta = src.ContentType, src.Headers, src.Meta
	case "REPLACE":
		replace = true
		if err := c.describe(&dst); err != nil {
			return err
		}
	default:
		return apiErr("InvalidArgument", "x-amz-metadata-directive must be COPY or REPLACE")
	}
	if d := c.header.Get("X-Amz-Tagging-Directive"); d != "" && d != "COPY" {
		return notImplemented("object tags")
	}
	latest := !strings.Contains(c.header.Get("X-Amz-Copy-Source"), "?versionId=")
	if src.Bucket == dst.Bucket && src.Key == dst.Key && !replace && latest {
		return apiErr("InvalidRequest", "a copy of an object onto itself must replace its metadata: x-amz-metadata-directive: REPLACE")
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
	c.showVersion(b, v.ID)
	return c.writeXML(http.StatusOK, copyResult("CopyObjectResult", v.Modified, v.ETag, v.Checksums))
}

// checksumOf gives a checksum of an object's bytes, reading them when it is not among the stored ones.
func (c *call) checksumOf(v object.Version, a *checksumAlgorithm) (map[string]string, error) {
	if s := v.Checksums[a.name]; s != "" {
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
