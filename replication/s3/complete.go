package s3

import (
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"net/http"
	"strconv"
)

// checksumsXML are the checksums that documents have as elements.
type checksumsXML struct {
	ChecksumCRC32     string `xml:",omitempty"`
	ChecksumCRC32C    string `xml:",omitempty"`
	ChecksumCRC64NVME string `xml:",omitempty"`
	ChecksumSHA1      string `xml:",omitempty"`
	ChecksumSHA256    string `xml:",omitempty"`
}

func checksumsOf(m map[string]string) checksumsXML {
	return checksumsXML{m["CRC32"], m["CRC32C"], m["CRC64NVME"], m["SHA1"], m["SHA256"]}
}

func (x checksumsXML) byName() map[string]string {
	return map[string]string{
		"CRC32": x.ChecksumCRC32, "CRC32C": x.ChecksumCRC32C, "CRC64NVME": x.ChecksumCRC64NVME,
		"SHA1": x.ChecksumSHA1, "SHA256": x.ChecksumSHA256,
	}
}

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
	// read without them.
	alg, want, err := statedChecksum(c.header, "")
	if err != nil {
		return err
	}
	var doc completeXML
	if err := c.readUncheckedXML(&doc); err != nil {
		return err
	}
	u, err := c.upload()
	if err != nil {
		return err
	}
	parts, err := c.chosenParts(u, doc.Parts)
	if err != nil {
		return err
	}
	in := CompleteInput{Bucket: c.bucket, Key: c.key, UploadID: u.ID, Parts: parts, ETag: multipartETag(parts), Conditions: cond}
	in.Checksums = wholeChecksum(u, parts)
	if alg != nil && want != "" {
		if got := in.Checksums[alg.name]; got != want && got != want+"-"+strconv.Itoa(len(parts)) {
			return apiErr("BadDigest", "the %s that the request stated is not the one of the parts that were uploaded", alg.name)
		}
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
		checksumsXML: checksumsOf(in.Checksums),
	}
	for _, s := range in.Checksums {
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

// chosenParts finds the parts that the client lists among the stored ones, and judges the list.
func (c *call) chosenParts(u Upload, want []completePartXML) ([]Part, error) {
	if len(want) == 0 || len(want) > maxParts {
		return nil, apiErr("MalformedXML", "the document must list 1 to %d parts and lists %d", maxParts, len(want))
	}
	for i, w := range want {
		switch {
		case w.PartNumber < 1 || w.PartNumber > maxParts:
			return nil, apiErr("InvalidArgument", "part number %d: must be from 1 to %d", w.PartNumber, maxParts)
		case i > 0 && w.PartNumber <= want[i-1].PartNumber:
			return nil, apiErr("InvalidPartOrder", "part %d is listed behind part %d: parts must ascend", w.PartNumber, want[i-1].PartNumber)
		}
	}
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

func sizeOf(parts []Part) (n int64) {
	for _, p := range parts {
		n += p.Size
	}
	return n
}

// multipartETag is the MD5 of the parts' MD5s and their count.
func multipartETag(parts []Part) string {
	h := md5.New()
	for _, p := range parts {
		if b, err := hex.DecodeString(p.ETag); err == nil {
			h.Write(b)
		}
	}
	return hex.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(len(parts))
}

// wholeChecksum makes the object's checksum from those of its parts; nil when a part has none.
func wholeChecksum(u Upload, parts []Part) map[string]string {
	a, _ := u.algorithm()
	sums := make([][]byte, len(parts))
	for i, p := range parts {
		b, err := base64.StdEncoding.DecodeString(p.Checksums[a.name])
		if err != nil || len(b) != a.size {
			return nil
		}
		sums[i] = b
	}
	if u.Type == composite {
		h := a.new()
		for _, s := range sums {
			h.Write(s)
		}
		return map[string]string{a.name: base64.StdEncoding.EncodeToString(h.Sum(nil)) + "-" + strconv.Itoa(len(parts))}
	}
	var whole uint64
	for i, s := range sums {
		whole = joinCRC(a.poly, uint(8*a.size), whole, bigEndian(s), parts[i].Size)
	}
	out := make([]byte, a.size)
	for i := range out {
		out[i] = byte(whole >> (8 * (a.size - 1 - i)))
	}
	return map[string]string{a.name: base64.StdEncoding.EncodeToString(out)}
}

func bigEndian(b []byte) (v uint64) {
	for _, c := range b {
		v = v<<8 | uint64(c)
	}
	return v
}
