package s3

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/galleon-net/galleon/replication/object"
)

func (c *call) putOrCopy() error {
	if _, ok := c.header["X-Amz-Copy-Source"]; ok {
		return c.copyObject()
	}
	return c.putObject()
}

func (c *call) putObject() error {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	in := PutInput{Object: object.Version{Bucket: c.bucket, Key: c.key}}
	if in.Conditions, err = c.writeConditions(); err != nil {
		return err
	}
	if err := c.describe(b, &in.Object); err != nil {
		return err
	}
	if in.Size, err = c.size(); err != nil {
		return err
	}
	body, err := c.body(defaultAlgorithm, false)
	if err != nil {
		return err
	}
	in.Body = body
	v, err := c.h.cfg.Backend.PutObject(c.ctx, in)
	if err != nil {
		return body.failed(err)
	}
	c.w.Header()["ETag"] = []string{quote(v.ETag)}
	c.w.Header()["x-amz-object-size"] = []string{strconv.FormatInt(v.Size, 10)}
	c.checksumHeaders(body.Checksums())
	c.showWritten(b, v)
	c.showExpiry(b, v)
	c.empty(http.StatusOK)
	return nil
}

// writeConditions reads the conditions that a write may have.
func (c *call) writeConditions() (Conditions, error) {
	match, noneMatch := c.header.Get("If-Match"), c.header.Get("If-None-Match")
	for _, v := range []string{match, noneMatch} {
		if strings.Contains(v, ",") || strings.HasPrefix(v, "W/") {
			return Conditions{}, notImplemented("conditional writes with more than one ETag, or weak ones")
		}
	}
	if match != "" && noneMatch != "" {
		return Conditions{}, refuse("NotImplemented").with("Header", "If-Match,If-None-Match").
			with("additionalMessage", "Multiple conditional request headers present in the request")
	}
	if noneMatch != "" && noneMatch != "*" {
		return Conditions{}, refuse("NotImplemented").with("Header", "If-None-Match").
			with("additionalMessage", "We don\\'t accept the provided value of If-None-Match header for this API")
	}
	return Conditions{IfMatch: unquote(match), IfNoneMatch: unquote(noneMatch)}, nil
}
