package s3

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/galleon-net/galleon/replication/object"
)

func (c *call) createUpload() error {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	u := Upload{Object: object.Version{Bucket: c.bucket, Key: c.key}}
	if err := c.describe(b, &u.Object); err != nil {
		return err
	}
	if err := c.chooseChecksum(&u); err != nil {
		return err
	}
	u, err = c.h.cfg.Backend.CreateUpload(c.ctx, u)
	if err != nil {
		return err
	}
	if u.Algorithm != "" {
		c.w.Header()["x-amz-checksum-algorithm"] = []string{u.Algorithm}
		c.w.Header()["x-amz-checksum-type"] = []string{u.Type}
	}
	return c.writeXML(http.StatusOK, struct {
		XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ InitiateMultipartUploadResult"`
		Bucket   string
		Key      string
		UploadID string `xml:"UploadId"`
	}{Bucket: c.bucket, Key: c.key, UploadID: u.ID})
}

// chooseChecksum reads the algorithm and type that an upload is opened with.
func (c *call) chooseChecksum(u *Upload) error {
	name, kind := c.header.Get("X-Amz-Checksum-Algorithm"), strings.ToUpper(c.header.Get("X-Amz-Checksum-Type"))
	if kind != "" && kind != composite && kind != fullObject {
		return badChecksum("x-amz-checksum-type")
	}
	if name == "" {
		if kind != "" {
			return apiErr("InvalidRequest", "The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
		}
		return nil
	}
	a := findAlgorithm(name)
	if a == nil {
		return unknownAlgorithm()
	}
	switch {
	case kind == "" && a.composite:
		kind = composite
	case kind == "":
		kind = fullObject
	case kind == composite && !a.composite, kind == fullObject && a.poly == 0:
		return apiErr("InvalidRequest", "The %s checksum type cannot be used with the %s checksum algorithm.", kind, strings.ToLower(a.name))
	}
	u.Algorithm, u.Type = a.name, kind
	return nil
}

// algorithm gives the algorithm of an upload's parts, and whether parts may not have another.
func (u Upload) algorithm() (*checksumAlgorithm, bool) {
	if u.Algorithm == "" {
		return defaultAlgorithm, false
	}
	return findAlgorithm(u.Algorithm), true
}

// partOfUpload reads partNumber and uploadId and finds the upload.
func (c *call) partOfUpload() (PartInput, Upload, error) {
	number, _ := c.query.Get("partNumber")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > maxParts {
		return PartInput{}, Upload{}, badPartNumber(number)
	}
	u, err := c.upload()
	return PartInput{Bucket: c.bucket, Key: c.key, UploadID: u.ID, Number: n}, u, err
}

func (c *call) upload() (Upload, error) {
	id, _ := c.query.Get("uploadId")
	if _, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket); err != nil {
		return Upload{}, err
	}
	u, err := c.h.cfg.Backend.GetUpload(c.ctx, c.bucket, c.key, id)
	if errors.Is(err, ErrNoSuchUpload) {
		return u, refuse("NoSuchUpload").with("UploadId", id).because(err)
	}
	return u, err
}

func (c *call) putOrCopyPart() error {
	if _, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket); err != nil {
		return err
	}
	if from, copying := c.header["X-Amz-Copy-Source"]; copying {
		if _, _, _, err := parseSource(from[0]); err != nil {
			return err
		}
	}
	in, u, err := c.partOfUpload()
	if err != nil {
		return err
	}
	if err := c.refuseUnsupported(); err != nil {
		return err
	}
	if _, ok := c.header["X-Amz-Copy-Source"]; ok {
		return c.copyPart(in, u)
	}
	if in.Size, err = c.size(); err != nil {
		return err
	}
	body, err := c.body(u.algorithm())
	if err != nil {
		return err
	}
	if u.Type == composite && !body.stated {
		return apiErr("InvalidRequest", "Checksum Type mismatch occurred, expected checksum Type: %s, actual checksum Type: null", u.Algorithm)
	}
	in.Body = body
	p, err := c.h.cfg.Backend.PutPart(c.ctx, in)
	if err != nil {
		return body.failed(err)
	}
	c.w.Header()["ETag"] = []string{quote(p.ETag)}
	c.checksumHeaders(body.Checksums())
	c.w.Header()["x-amz-checksum-type"] = nil
	c.empty(http.StatusOK)
	return nil
}

// copyPart makes a part of a range of an object that is here already. The store finds its chunks again.
func (c *call) copyPart(in PartInput, u Upload) error {
	src, err := c.source()
	if err != nil {
		return err
	}
	r := byteRange{0, src.Size}
	if h := c.header.Get("X-Amz-Copy-Source-Range"); h != "" {
		var ok, satisfiable bool
		r, ok, satisfiable = parseRange(h, src.Size)
		// Unlike Range, nothing is cut to fit: the range must be the one that is copied.
		if !ok || !satisfiable || h != fmt.Sprintf("bytes=%d-%d", r.off, r.off+r.n-1) {
			return badCopyRange(h, src.Size)
		}
	}
	if r.n > c.h.cfg.Limits.MaxPut {
		return apiErr("InvalidRequest", "The specified copy source is larger than the maximum allowable size for a copy source: %d", c.h.cfg.Limits.MaxPut)
	}
	alg, _ := u.algorithm()
	body := &checkedBody{src: strings.NewReader(""), alg: alg, sum: alg.new()}
	if r.n > 0 {
		f, err := c.h.cfg.Backend.OpenObject(c.ctx, src)
		if err != nil {
			return err
		}
		defer f.Close()
		in, err := section(f, r)
		if err != nil {
			return err
		}
		body.src = &exactly{r: in, left: r.n}
	}
	in.Body, in.Size = body, r.n
	p, err := c.h.cfg.Backend.PutPart(c.ctx, in)
	if err != nil {
		return body.failed(err)
	}
	sums := body.Checksums()
	if u.Algorithm == "" {
		sums = nil // the upload asked for none
	}
	doc := copyResult("CopyPartResult", p.Modified, p.ETag, sums)
	doc.ChecksumType = ""
	return c.writeXML(http.StatusOK, doc)
}

// badCopyRange says whether a range has the wrong form or does not lie within its source.
func badCopyRange(h string, size int64) error {
	spec, ok := strings.CutPrefix(h, "bytes=")
	first, last, dash := strings.Cut(spec, "-")
	from, ok1 := parseOffset(first)
	to, ok2 := parseOffset(last)
	if !ok || !dash || !ok1 || !ok2 || from > to {
		return badArgument("x-amz-copy-source-range", h,
			"The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy")
	}
	return badArgument("x-amz-copy-source-range", strconv.FormatInt(size, 10), "Range specified is not valid for source object of size: %d", size)
}

// exactly refuses to end early.
type exactly struct {
	r    io.Reader
	left int64
}

func (e *exactly) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.left -= int64(n)
	if err == io.EOF && e.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *call) abortUpload() error {
	u, err := c.upload()
	if err != nil {
		return err
	}
	if t := c.header.Get("X-Amz-If-Match-Initiated-Time"); t != "" {
		at, ok := httpDate(t)
		if !ok {
			var err error
			if at, err = time.Parse(time.RFC3339, t); err != nil {
				return badArgument("x-amz-if-match-initiated-time", t, "x-amz-if-match-initiated-time must be a date")
			}
		}
		if !at.After(c.h.cfg.Now()) && !at.Truncate(time.Second).Equal(u.Initiated.Truncate(time.Second)) {
			return failed("If-Match-Initiated-Time")
		}
	}
	if err := c.h.cfg.Backend.AbortUpload(c.ctx, c.bucket, c.key, u.ID); err != nil {
		return err
	}
	c.empty(http.StatusNoContent)
	return nil
}

func copyResult(name string, modified time.Time, etag string, sums map[string]string) copyResultXML {
	doc := copyResultXML{
		XMLName: xml.Name{Local: name}, Xmlns: xmlns, LastModified: timeXML(modified), ETag: quote(etag),
		checksumsXML: checksumsOf(sums),
	}
	for _, v := range sums {
		doc.ChecksumType = checksumType(v)
	}
	return doc
}
