package s3

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/galleon-net/galleon/replication/object"
)

// overrides are the query parameters of GET that set headers of the answer.
var overrides = map[string]string{
	"response-cache-control": "Cache-Control", "response-content-disposition": "Content-Disposition",
	"response-content-encoding": "Content-Encoding", "response-content-language": "Content-Language",
	"response-content-type": "Content-Type", "response-expires": "Expires",
}

func (c *call) getObject() error  { return c.readObject(true) }
func (c *call) headObject() error { return c.readObject(false) }

// version finds the version that the request names; a delete marker is the error that S3 makes of it.
func (c *call) version(b object.Bucket) (object.Version, error) {
	id, err := c.versionOfBucket(b)
	if err != nil {
		return object.Version{}, err
	}
	v, err := c.h.cfg.Backend.GetVersion(c.ctx, c.bucket, c.key, id)
	if errors.Is(err, ErrNoSuchVersion) {
		return v, refuse("NoSuchVersion").with("VersionId", c.value("versionId")).because(err)
	}
	if err != nil || !v.DeleteMarker {
		return v, err
	}
	return v, c.isMarker(v, id)
}

// isMarker is the error that S3 makes of a delete marker, asked for by its id or found on top.
func (c *call) isMarker(v object.Version, id object.VersionID) error {
	if v.Tombstone {
		return ErrNoSuchKey // no client knows of it
	}
	h := c.w.Header()
	h["x-amz-delete-marker"] = []string{"true"}
	h["x-amz-version-id"] = []string{FormatVersionID(v.ID)}
	if v.Null {
		h["x-amz-version-id"] = []string{nullVersion}
	}
	if id == (object.VersionID{}) {
		return ErrNoSuchKey
	}
	h.Set("Allow", http.MethodDelete)
	h.Set("Last-Modified", v.Modified.UTC().Format(http.TimeFormat))
	return refuse("MethodNotAllowed").with("Method", c.r.Method).with("ResourceType", "DeleteMarker")
}

func (c *call) readObject(withBody bool) error {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	part, err := c.partNumber()
	if err != nil {
		return err
	}
	v, err := c.version(b)
	if err != nil {
		return err
	}
	c.showVersion(b, v)
	switch status, which := conditionsOf(c.header).judge(v); status {
	case http.StatusPreconditionFailed:
		return failed(which)
	case http.StatusNotModified:
		c.show(v)
		c.w.Header().Del("Content-Type")
		c.empty(http.StatusNotModified)
		return nil
	}
	status, rng, err := c.rangeOf(v, part)
	if err != nil {
		return err
	}
	c.show(v)
	c.showLock(v)
	c.showExpiry(b, v)
	for _, p := range c.query {
		if n := overrides[p.Name]; n != "" {
			if c.anonymous() {
				return apiErr("InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests.")
			}
			c.w.Header().Set(n, p.Value)
		}
	}
	if strings.EqualFold(c.header.Get("X-Amz-Checksum-Mode"), "ENABLED") && rng.n == v.Size {
		c.checksumHeaders(v.Checksums)
	}
	if name, _ := checksumLabels(v); part > 0 && part <= len(v.PartChecksums) && strings.EqualFold(c.header.Get("X-Amz-Checksum-Mode"), "ENABLED") {
		c.w.Header()[findAlgorithm(name).header()] = []string{v.PartChecksums[part-1]} // of what is sent
	}
	c.w.Header().Set("Content-Length", strconv.FormatInt(rng.n, 10))
	if !withBody {
		c.w.WriteHeader(status)
		return nil
	}
	return c.send(v, status, rng)
}

// rangeOf gives the bytes that the request asks for: all, a range, or a part by its number.
func (c *call) rangeOf(v object.Version, part int) (status int, r byteRange, err error) {
	whole := byteRange{0, v.Size}
	header := c.header.Get("Range")
	if ifRange := c.header.Get("If-Range"); ifRange != "" && header != "" {
		if t, ok := httpDate(ifRange); ok && v.Modified.Unix() > t.Unix() || !ok && unquote(ifRange) != v.ETag {
			header = ""
		}
	}
	ok, satisfiable := part > 0, true
	if part > 0 {
		if r, err = c.partOf(v, part); err != nil {
			return 0, r, err
		}
	} else if header != "" {
		r, ok, satisfiable = parseRange(header, v.Size)
	}
	switch {
	case !satisfiable:
		c.w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", v.Size))
		return 0, r, refuse("InvalidRange").with("RangeRequested", header).with("ActualObjectSize", strconv.FormatInt(v.Size, 10))
	case !ok || r.n == 0:
		return http.StatusOK, whole, nil
	}
	c.w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", r.off, r.off+r.n-1, v.Size))
	return http.StatusPartialContent, r, nil
}

// partNumber gives the part that the request names, 0 when it names none.
func (c *call) partNumber() (int, error) {
	s, ok := c.query.Get("partNumber")
	if !ok {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > maxParts {
		return 0, badPartNumber(s)
	}
	if c.header.Get("Range") != "" {
		return 0, apiErr("InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
	}
	return n, nil
}

// partOf gives the range of part n of a multipart object; any other object is its own part 1.
func (c *call) partOf(v object.Version, n int) (byteRange, error) {
	if len(v.PartSizes) == 0 {
		if n > 1 {
			return byteRange{}, noSuchPart(1, n)
		}
		return byteRange{0, v.Size}, nil
	}
	if n > len(v.PartSizes) {
		return byteRange{}, noSuchPart(len(v.PartSizes), n)
	}
	c.w.Header()["x-amz-mp-parts-count"] = []string{strconv.Itoa(len(v.PartSizes))}
	var off int64
	for _, s := range v.PartSizes[:n-1] {
		off += s
	}
	return byteRange{off, v.PartSizes[n-1]}, nil
}

func badPartNumber(s string) *apiError {
	return badArgument("partNumber", s, "Part number must be an integer between 1 and %d, inclusive.", maxParts)
}

func noSuchPart(have, asked int) *apiError {
	return refuse("InvalidPartNumber").with("ActualPartCount", strconv.Itoa(have)).with("PartNumberRequested", strconv.Itoa(asked))
}

// send writes a range of an object's bytes.
func (c *call) send(v object.Version, status int, r byteRange) error {
	if r.n == 0 {
		c.w.WriteHeader(status)
		return nil
	}
	src, err := c.h.cfg.Backend.OpenObject(c.ctx, v)
	if err != nil {
		return err
	}
	defer src.Close()
	in, err := section(src, r)
	if err != nil {
		return err
	}
	// The first bytes are read before the status is sent, so that what cannot be read is an error and
	// not a broken connection.
	buf := make([]byte, min(copyBuffer, r.n))
	n, err := io.ReadFull(in, buf)
	if err != nil {
		return fmt.Errorf("read %s/%s: %w", v.Bucket, v.Key, err)
	}
	c.w.WriteHeader(status)
	for sent := int64(0); ; {
		if _, err := c.w.Write(buf[:n]); err != nil {
			return &apiError{Code: "RequestTimeout", Message: "the client stopped reading", cause: err}
		}
		if sent += int64(n); sent == r.n {
			return nil
		}
		if n, err = in.Read(buf[:min(int64(len(buf)), r.n-sent)]); err != nil && !(err == io.EOF && n > 0) {
			return fmt.Errorf("read %s/%s at %d: %w", v.Bucket, v.Key, r.off+sent, err)
		}
	}
}

// section gives a reader of a range, by seeking where the object can.
func section(src ObjectReader, r byteRange) (io.Reader, error) {
	s, ok := src.(io.ReadSeeker)
	if !ok {
		return io.NewSectionReader(src, r.off, r.n), nil
	}
	if _, err := s.Seek(r.off, io.SeekStart); err != nil {
		return nil, err
	}
	return io.LimitReader(s, r.n), nil
}
