package s3

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/galleon-net/galleon/replication/object"
)

// Browsers' uploads ("POST Object", S3 API reference): a form whose fields are read to know what was signed, and
// whose file, the last thing that is read, streams like any body.

const (
	// maxFormFields bounds what stands before the file, in bytes, and maxFormCount the number of fields.
	maxFormFields = 64 << 10
	maxFormCount  = 100
)

// form is an upload of which the fields were read.
type form struct {
	// fields are by lower-case name; names has them as they came, in order.
	fields map[string]string
	names  []string
	file   *multipart.Part
	// read is what was taken off the connection to get here, for passing the request on.
	read *bytes.Buffer
}

// recorder keeps what is read through it until it is told to stop.
type recorder struct {
	r    io.Reader
	kept *bytes.Buffer
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if r.kept != nil {
		r.kept.Write(p[:n])
	}
	return n, err
}

// readForm reads up to the file.
func (c *call) readForm() (*form, error) {
	kind, params, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return nil, refuse("PreconditionFailed").with("Condition", "Bucket POST must be of the enclosure-type multipart/form-data")
	}
	if params["boundary"] == "" {
		return nil, refuse("MalformedPOSTRequest")
	}
	f := &form{fields: map[string]string{}, read: &bytes.Buffer{}}
	src := &recorder{r: c.paced, kept: f.read}
	parts := multipart.NewReader(src, params["boundary"])
	for total := 0; ; {
		p, err := parts.NextRawPart()
		switch {
		case errors.Is(err, io.EOF):
			return nil, badArgument("file", "", "POST requires exactly one file upload per request.")
		case err != nil:
			return nil, refuse("MalformedPOSTRequest").because(err)
		}
		name := p.FormName()
		if name == "" {
			return nil, refuse("MalformedPOSTRequest")
		}
		lower := strings.ToLower(name)
		if lower == "file" {
			f.file = p
			src.kept = nil
			return f, nil
		}
		value, err := io.ReadAll(io.LimitReader(p, int64(maxFormFields-total)+1))
		if err != nil {
			return nil, refuse("MalformedPOSTRequest").because(err)
		}
		total += len(value) + len(name)
		if _, twice := f.fields[lower]; twice || total > maxFormFields || len(f.names) == maxFormCount {
			return nil, refuse("MaxMessageLengthExceeded").with("MaxMessageLengthBytes", strconv.Itoa(maxFormFields))
		}
		f.fields[lower] = string(value)
		f.names = append(f.names, name)
	}
}

// postObject stores a form's file.
func (c *call) postObject() error {
	if c.form == nil {
		return c.notAllowed(onBucket) // signed in its header: that is no form
	}
	key := strings.ReplaceAll(c.form.fields["key"], "${filename}", c.form.file.FileName())
	if _, ok := c.form.fields["key"]; !ok {
		return badArgument("key", "", "Bucket POST must contain a field named 'key'.  If it is specified, please check the order of the fields.")
	}
	if key == "" {
		return badArgument("key", "", "User key must have a length greater than 0.")
	}
	if err := checkKey(key); err != nil {
		return err
	}
	c.key = key
	if err := c.authorize("s3:PutObject", c.bucket, key); err != nil {
		return err
	}
	least, most := int64(0), c.h.cfg.Limits.MaxPut
	if !c.anonymous() {
		p, err := parsePostPolicy(c.form.fields["policy"])
		if err != nil {
			return err
		}
		if err := p.allows(c.form, c.bucket, c.h.cfg.Now()); err != nil {
			return err
		}
		least, most = max(least, p.least), min(most, p.most)
	}
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	c.header = c.form.header()
	in := PutInput{Object: object.Version{Bucket: c.bucket, Key: key}, Size: -1}
	if err := c.describe(b, &in.Object); err != nil {
		return err
	}
	if doc := c.form.fields["tagging"]; doc != "" {
		var t taggingXML
		if err := decodeXML([]byte(doc), &t); err != nil {
			return err
		}
		if in.Object.Attributes.Tags, err = t.tags(maxObjectTags); err != nil {
			return err
		}
	}
	alg, want, err := statedChecksum(c.header, "")
	if err != nil {
		return err
	}
	if alg == nil {
		alg = defaultAlgorithm
	}
	body := &checkedBody{src: &ranged{r: c.form.file, least: least, most: most}, alg: alg, sum: alg.new(), want: want}
	in.Body = body
	v, err := c.h.cfg.Backend.PutObject(c.ctx, in)
	if err != nil {
		return body.failed(err)
	}
	c.w.Header()["ETag"] = []string{quote(v.ETag)}
	c.checksumHeaders(body.Checksums())
	c.showVersion(b, v)
	return c.posted(v)
}

// header gives a form's fields as the headers that they stand for.
func (f *form) header() http.Header {
	h := http.Header{}
	for name, v := range f.fields {
		if v == "" {
			continue
		}
		if strings.HasPrefix(name, "x-amz-") || slices.ContainsFunc(append(storedHeaders, "Content-Type"), func(s string) bool { return strings.EqualFold(s, name) }) {
			h.Set(name, v)
		}
	}
	if acl := f.fields["acl"]; acl != "" {
		h.Set("X-Amz-Acl", acl)
	}
	return h
}

// posted answers as the form wants to be answered.
func (c *call) posted(v object.Version) error {
	location := c.location()
	c.w.Header().Set("Location", location)
	to := c.form.fields["success_action_redirect"]
	if to == "" {
		to = c.form.fields["redirect"]
	}
	if u, err := url.Parse(to); to != "" && err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		q := u.Query()
		q.Set("bucket", v.Bucket)
		q.Set("key", v.Key)
		q.Set("etag", quote(v.ETag))
		u.RawQuery = q.Encode()
		c.w.Header().Set("Location", u.String())
		c.empty(http.StatusSeeOther)
		return nil
	}
	switch c.form.fields["success_action_status"] {
	case "200":
		c.empty(http.StatusOK)
	case "201":
		return c.writeXML(http.StatusCreated, struct {
			XMLName                     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ PostResponse"`
			Location, Bucket, Key, ETag string
		}{Location: location, Bucket: v.Bucket, Key: v.Key, ETag: quote(v.ETag)})
	default:
		c.empty(http.StatusNoContent)
	}
	return nil
}

// location is where the object of this request is.
func (c *call) location() string {
	scheme := "http://"
	if c.r.TLS != nil {
		scheme = "https://"
	}
	path := "/" + c.bucket + "/"
	if c.hostBucket() != "" {
		path = "/"
	}
	return scheme + c.r.Host + path + (&url.URL{Path: c.key}).EscapedPath()
}

// ranged holds a file to the size that was allowed. What is too long is read to its end, to be told how long it is.
type ranged struct {
	r           io.Reader
	n           int64
	least, most int64
}

func (r *ranged) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.n += int64(n)
	switch {
	case r.n > r.most:
		rest, err := io.Copy(io.Discard, r.r)
		if err != nil {
			return 0, err
		}
		return 0, refuse("EntityTooLarge").with("ProposedSize", strconv.FormatInt(r.n+rest, 10)).with("MaxSizeAllowed", strconv.FormatInt(r.most, 10))
	case err == io.EOF && r.n < r.least:
		return 0, refuse("EntityTooSmall").with("ProposedSize", strconv.FormatInt(r.n, 10)).with("MinSizeAllowed", strconv.FormatInt(r.least, 10))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return n, refuse("MalformedPOSTRequest").because(err)
	}
	return n, err
}
