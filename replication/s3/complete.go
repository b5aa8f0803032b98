package s3

import (
	"encoding/xml"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/galleon-net/galleon/replication/object"
)

type completePartXML struct {
	PartNumber int
	ETag       string
	checksumsXML
}

type completeXML struct {
	XMLName xml.Name          `xml:"CompleteMultipartUpload"`
	Parts   []completePartXML `xml:"Part"`
}

func (c *call) completeUpload() error {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	cond, err := c.writeConditions()
	if err != nil {
		return err
	}
	// The checksum headers of this request are the object's, not the document's, so the document is
	// read without them and they are judged after.
	stated := c.header
	var doc completeXML
	if err := c.readUncheckedXML(&doc); err != nil {
		return err
	}
	if err := doc.check(); err != nil {
		return err
	}
	u, err := c.upload()
	if errors.Is(err, ErrNoSuchUpload) {
		if v, ok := c.completedBefore(doc.Parts); ok {
			return c.writeCompleted(b, v)
		}
	}
	if err != nil {
		return err
	}
	if t := stated.Get("X-Amz-Checksum-Type"); t != "" && u.Type != "" && !strings.EqualFold(t, u.Type) {
		return apiErr("InvalidRequest", "the upload was opened with the checksum type %s", u.Type)
	}
	parts, err := c.chosenParts(u, doc.Parts)
	if err != nil {
		return err
	}
	in := CompleteInput{Bucket: c.bucket, Key: c.key, UploadID: u.ID, Parts: parts, ETag: multipartETag(parts), Conditions: cond}
	in.Checksums = wholeChecksum(u, parts)
	if err := judgeWhole(stated, in); err != nil {
		return err
	}
	if s := c.header.Get("X-Amz-Mp-Object-Size"); s != "" {
		if n, ok := parseOffset(s); !ok || n != sizeOf(parts) {
			return apiErr("InvalidRequest", "x-amz-mp-object-size is %.20s and the parts have %d bytes", s, sizeOf(parts))
		}
	}
	v, err := c.h.cfg.Backend.CompleteUpload(c.ctx, in)
	if err != nil {
		return err
	}
	return c.writeCompleted(b, v)
}

// completedBefore finds the object that this same request made before: its answer was lost and the
// client asks again. The ETag is made of the parts' and so names them all.
func (c *call) completedBefore(parts []completePartXML) (object.Version, bool) {
	list := make([]Part, len(parts))
	for i, p := range parts {
		list[i].ETag = unquote(p.ETag)
	}
	v, err := c.h.cfg.Backend.GetVersion(c.ctx, c.bucket, c.key, object.VersionID{})
	return v, err == nil && !v.DeleteMarker && len(v.PartSizes) == len(parts) && v.ETag == multipartETag(list)
}

func (c *call) writeCompleted(b object.Bucket, v object.Version) error {
	c.showVersion(b, v.ID)
	out := struct {
		XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
		Location string
		Bucket   string
		Key      string
		ETag     string
		checksumsXML
		ChecksumType string `xml:",omitempty"`
	}{
		Location: "http://" + c.r.Host + c.r.URL.EscapedPath(), Bucket: c.bucket, Key: c.key, ETag: quote(v.ETag),
		checksumsXML: checksumsOf(v.Checksums),
	}
	for _, s := range v.Checksums {
		out.ChecksumType = checksumType(s)
	}
	return c.writeXML(http.StatusOK, out)
}

// readUncheckedXML reads the document of a request whose checksum headers speak of something else.
func (c *call) readUncheckedXML(v any) error {
	for _, a := range algorithms {
		c.header = without(c.header, http.CanonicalHeaderKey(a.header()))
	}
	return c.readXML(v, maxManifest, false)
}

func without(h http.Header, name string) http.Header {
	if _, ok := h[name]; ok {
		h = h.Clone()
		delete(h, name)
	}
	return h
}

// judgeWhole compares the checksums that a request states of the whole object.
func judgeWhole(stated http.Header, in CompleteInput) error {
	for _, a := range algorithms {
		want := stated.Get(a.header())
		if want == "" {
			continue
		}
		plain, _, _ := strings.Cut(want, "-")
		got := in.Checksums[a.name]
		switch {
		case !a.wellFormed(plain):
			return apiErr("InvalidRequest", "the value of %s is not %d bytes in base64", a.header(), a.size)
		case got != want && got != want+"-"+strconv.Itoa(len(in.Parts)):
			return apiErr("BadDigest", "the %s that the request stated is not the one of the parts that were uploaded", a.name)
		}
	}
	return nil
}

// check judges a list of parts by itself.
func (d completeXML) check() error {
	if len(d.Parts) == 0 || len(d.Parts) > maxParts {
		return apiErr("MalformedXML", "the document must list 1 to %d parts and lists %d", maxParts, len(d.Parts))
	}
	for i, p := range d.Parts {
		switch {
		case p.ETag == "":
			return apiErr("MalformedXML", "a part in the document has no ETag")
		case p.PartNumber < 1 || p.PartNumber > maxParts:
			return apiErr("InvalidArgument", "part number %d: must be from 1 to %d", p.PartNumber, maxParts)
		case i > 0 && p.PartNumber <= d.Parts[i-1].PartNumber:
			return apiErr("InvalidPartOrder", "part %d is listed behind part %d: parts must ascend", p.PartNumber, d.Parts[i-1].PartNumber)
		}
	}
	return nil
}

// chosenParts finds the parts that the client lists among the stored ones, and judges the list.
func (c *call) chosenParts(u Upload, want []completePartXML) ([]Part, error) {
	chosen := make([]Part, 0, len(want))
	after, more := want[0].PartNumber-1, true
	for more && len(chosen) < len(want) {
		var stored []Part
		var err error
		stored, more, err = c.h.cfg.Backend.ListParts(c.ctx, c.bucket, c.key, u.ID, after, maxKeys)
		if err != nil {
			return nil, err
		}
		for _, p := range stored {
			after = p.Number
			if len(chosen) < len(want) && want[len(chosen)].PartNumber == p.Number {
				chosen = append(chosen, p)
			}
		}
		more = more && len(stored) > 0
	}
	if len(chosen) < len(want) {
		return nil, apiErr("InvalidPart", "part %d was not uploaded", want[len(chosen)].PartNumber)
	}
	for i, p := range chosen {
		if e := unquote(want[i].ETag); e != p.ETag {
			return nil, apiErr("InvalidPart", "part %d has the ETag %s and the document says %.80q", p.Number, p.ETag, e)
		}
		for name, s := range want[i].byName() {
			if s != "" && s != p.Checksums[name] {
				return nil, apiErr("InvalidPart", "part %d has another %s than the document says", p.Number, name)
			}
		}
		if i < len(chosen)-1 && p.Size < c.h.cfg.Limits.MinPart {
			return nil, apiErr("EntityTooSmall", "part %d has %d bytes: every part but the last must have %d", p.Number, p.Size, c.h.cfg.Limits.MinPart)
		}
	}
	return chosen, nil
}
