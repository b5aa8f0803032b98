package s3

import (
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
)

// getAttributes answers GetObjectAttributes: what the client lists, without the bytes.
func (c *call) getAttributes() error {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	if c.header.Get("X-Amz-Object-Attributes") == "" {
		return apiErr("InvalidRequest", "x-amz-object-attributes must say what is wanted")
	}
	wanted := map[string]bool{}
	for a := range strings.SplitSeq(strings.Join(c.header["X-Amz-Object-Attributes"], ","), ",") {
		switch a = strings.TrimSpace(a); a {
		case "ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize":
			wanted[a] = true
		default:
			return apiErr("InvalidArgument", "x-amz-object-attributes must list ETag, Checksum, ObjectParts, StorageClass or ObjectSize, and has %.40q", a)
		}
	}
	v, err := c.version()
	if err != nil {
		return err
	}
	type sumsXML struct {
		checksumsXML
		ChecksumType string
	}
	var doc struct {
		XMLName      xml.Name        `xml:"http://s3.amazonaws.com/doc/2006-03-01/ GetObjectAttributesResponse"`
		ETag         string          `xml:",omitempty"`
		Checksum     *sumsXML        `xml:",omitempty"`
		ObjectParts  *objectPartsXML `xml:",omitempty"`
		StorageClass string          `xml:",omitempty"`
		ObjectSize   *int64          `xml:",omitempty"`
	}
	if wanted["ETag"] {
		doc.ETag = v.ETag // without quotes, alone of all answers
	}
	if wanted["Checksum"] && len(v.Checksums) > 0 {
		_, kind := checksumLabels(v)
		doc.Checksum = &sumsXML{checksumsOf(v.Checksums), kind}
	}
	if wanted["ObjectParts"] && len(v.PartSizes) > 0 {
		if doc.ObjectParts, err = c.objectParts(v.PartSizes); err != nil {
			return err
		}
	}
	if wanted["StorageClass"] {
		doc.StorageClass = "STANDARD"
	}
	if wanted["ObjectSize"] {
		doc.ObjectSize = &v.Size
	}
	c.w.Header().Set("Last-Modified", v.Modified.UTC().Format(http.TimeFormat))
	c.showVersion(b, v.ID)
	return c.writeXML(http.StatusOK, doc)
}

type objectPartXML struct {
	PartNumber int
	Size       int64
}

type objectPartsXML struct {
	PartsCount           int
	PartNumberMarker     int
	NextPartNumberMarker int
	MaxParts             int
	IsTruncated          bool
	Parts                []objectPartXML `xml:"Part"`
}

// objectParts gives a page of a multipart object's layout. Numbers are positions: the numbers under
// which the parts were uploaded are not kept, nor are their checksums.
func (c *call) objectParts(sizes []int64) (*objectPartsXML, error) {
	number := func(header string, absent int) (int, error) {
		s := c.header.Get(header)
		if s == "" {
			return absent, nil
		}
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return 0, apiErr("InvalidArgument", "%s must be a whole number from 0", header)
		}
		return n, nil
	}
	limit, err := number("X-Amz-Max-Parts", maxKeys)
	if err != nil {
		return nil, err
	}
	after, err := number("X-Amz-Part-Number-Marker", 0)
	if err != nil {
		return nil, err
	}
	limit = min(limit, maxKeys)
	doc := &objectPartsXML{PartsCount: len(sizes), PartNumberMarker: after, MaxParts: limit}
	for i := after; i < len(sizes) && len(doc.Parts) < limit; i++ {
		doc.Parts = append(doc.Parts, objectPartXML{PartNumber: i + 1, Size: sizes[i]})
		doc.NextPartNumberMarker = i + 1
	}
	doc.IsTruncated = after+len(doc.Parts) < len(sizes)
	return doc, nil
}
