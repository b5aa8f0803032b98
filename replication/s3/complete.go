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
	PartNumber *int
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
	if _, _, err := statedChecksum(wholeOnly(stated), ""); err != nil {
		return err
	}
	switch t := strings.ToUpper(stated.Get("X-Amz-Checksum-Type")); t {
	case "", composite, fullObject:
	default:
		return badChecksum("x-amz-checksum-type")
	}
	if t := stated.Get("X-Amz-Checksum-Type"); t != "" && u.Type != "" && !strings.EqualFold(t, u.Type) {
		return apiErr("InvalidRequest", "The upload was created using the %s checksum mode. The complete request must use the same checksum mode.", u.Type)
	}
	parts, err := c.chosenParts(u, doc.Parts)
	if err != nil {
		return err
	}
	in := CompleteInput{Bucket: c.bucket, Key: c.key, UploadID: u.ID, Parts: parts, ETag: multipartETag(parts), Conditions: cond}
	in.Checksums = wholeChecksum(u, parts)
	if a, _ := u.algorithm(); in.Checksums != nil {
		for _, p := range parts {
			in.PartChecksums = append(in.PartChecksums, p.Checksums[a.name])
		}
	}
	if err := judgeWhole(stated, in); err != nil {
		return err
	}
	if s := c.header.Get("X-Amz-Mp-Object-Size"); s != "" {
		n, err := strconv.ParseInt(s, 10, 64)
		switch {
		case err != nil:
			return apiErr("InvalidRequest", "Value for x-amz-mp-object-size header is invalid: '%s'", s)
		case n < 0:
			return apiErr("InvalidRequest", "Value for x-amz-mp-object-size header is less than zero: '%d'", n)
		case n != sizeOf(parts):
			return apiErr("InvalidRequest", "The provided 'x-amz-mp-object-size' header value %d does not match what was computed: %d", sizeOf(parts), n)
		}
	}
	v, err := c.h.cfg.Backend.CompleteUpload(c.ctx, in)
	if errors.Is(err, ErrNoSuchUpload) { // the same request came twice at once, and the other was first
		if before, ok := c.completedBefore(doc.Parts); ok {
			v, err = before, nil
		}
	}
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
	c.showWritten(b, v)
	out := struct {
		XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUploadResult"`
		Location string
		Bucket   string
		Key      string
		ETag     string
		checksumsXML
		ChecksumType string `xml:",omitempty"`
	}{
		Location: c.location(), Bucket: c.bucket, Key: c.key, ETag: quote(v.ETag),
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
			return badChecksum(a.header())
		case got != want && got != want+"-"+strconv.Itoa(len(in.Parts)):
			return a.otherChecksum()
		}
	}
	return nil
}

// check judges a list of parts by itself.
func (d completeXML) check() error {
	if len(d.Parts) == 0 || len(d.Parts) > maxParts {
		return refuse("MalformedXML")
	}
	for i, p := range d.Parts {
		switch {
		case p.ETag == "":
			return refuse("MalformedXML")
		case p.PartNumber == nil:
			return refuse("MalformedXML")
		case *p.PartNumber < 1 || *p.PartNumber > maxParts:
			return badArgument("PartNumber", strconv.Itoa(*p.PartNumber), "PartNumber must be >= 1")
		case i > 0 && *p.PartNumber <= *d.Parts[i-1].PartNumber:
			return refuse("InvalidPartOrder")
		}
	}
	return nil
}

// invalidPart says which part is not there as it was named.
func invalidPart(u Upload, p completePartXML) *apiError {
	return refuse("InvalidPart").with("UploadId", u.ID).with("PartNumber", strconv.Itoa(*p.PartNumber)).with("ETag", unquote(p.ETag))
}

// checkPartSums holds the checksums that a document states of a part against those of the stored one.
func checkPartSums(u Upload, want completePartXML, p Part) error {
	stated := 0
	for name, s := range want.byName() {
		if s == "" {
			continue
		}
		if stated++; !findAlgorithm(name).wellFormed(s) {
			return badPartSums()
		}
	}
	if stated > 1 {
		return badPartSums()
	}
	for name, s := range want.byName() {
		if s == "" {
			continue
		}
		switch have := p.Checksums[name]; {
		case have == "" && u.Algorithm != "":
			return apiErr("BadDigest", "The %s you specified for part %d did not match what we received.", strings.ToLower(name), p.Number)
		case have != s:
			return invalidPart(u, want)
		}
	}
	if stated == 0 && u.Type == composite {
		return apiErr("InvalidRequest", "The upload was created using a %s checksum. The complete request must include the checksum for each part. It was missing for part %d in the request.",
			strings.ToLower(u.Algorithm), p.Number)
	}
	return nil
}

func badPartSums() *apiError {
	return badArgument("Checksum", "", "Invalid Base64 or multiple checksums present in request")
}

// wholeOnly gives the headers with checksums of the whole object as they are of any body: without the number of parts
// that composite ones end in.
func wholeOnly(h http.Header) http.Header {
	out := http.Header{}
	for _, a := range algorithms {
		if v := h.Get(a.header()); v != "" {
			plain, parts, ok := strings.Cut(v, "-")
			if _, err := strconv.ParseUint(parts, 10, 16); ok && err != nil {
				plain = v // then it is neither
			}
			out.Set(a.header(), plain)
		}
	}
	return out
}

// chosenParts finds the parts that the client lists among the stored ones, and judges the list.
func (c *call) chosenParts(u Upload, want []completePartXML) ([]Part, error) {
	chosen := make([]Part, 0, len(want))
	after, more := *want[0].PartNumber-1, true
	for more && len(chosen) < len(want) {
		var stored []Part
		var err error
		stored, more, err = c.h.cfg.Backend.ListParts(c.ctx, c.bucket, c.key, u.ID, after, maxKeys)
		if err != nil {
			return nil, err
		}
		for _, p := range stored {
			after = p.Number
			if len(chosen) < len(want) && *want[len(chosen)].PartNumber == p.Number {
				chosen = append(chosen, p)
			}
		}
		more = more && len(stored) > 0
	}
	if len(chosen) < len(want) {
		return nil, invalidPart(u, want[len(chosen)])
	}
	for i, p := range chosen {
		if e := unquote(want[i].ETag); e != p.ETag {
			return nil, invalidPart(u, want[i])
		}
		if err := checkPartSums(u, want[i], p); err != nil {
			return nil, err
		}
		if i < len(chosen)-1 && p.Size < c.h.cfg.Limits.MinPart {
			return nil, refuse("EntityTooSmall").with("ProposedSize", strconv.FormatInt(p.Size, 10)).with("MinSizeAllowed", strconv.FormatInt(c.h.cfg.Limits.MinPart, 10)).
				with("PartNumber", strconv.Itoa(p.Number)).with("ETag", p.ETag)
		}
	}
	return chosen, nil
}
