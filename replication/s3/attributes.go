package s3

import (
	"encoding/xml"
	"net/http"
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
	type partsXML struct {
		PartsCount int
	}
	var doc struct {
		XMLName      xml.Name  `xml:"http://s3.amazonaws.com/doc/2006-03-01/ GetObjectAttributesResponse"`
		ETag         string    `xml:",omitempty"`
		Checksum     *sumsXML  `xml:",omitempty"`
		ObjectParts  *partsXML `xml:",omitempty"`
		StorageClass string    `xml:",omitempty"`
		ObjectSize   *int64    `xml:",omitempty"`
	}
	if wanted["ETag"] {
		doc.ETag = v.ETag // without quotes, alone of all answers
	}
	if wanted["Checksum"] && len(v.Checksums) > 0 {
		_, kind := checksumLabels(v)
		doc.Checksum = &sumsXML{checksumsOf(v.Checksums), kind}
	}
	if wanted["ObjectParts"] && len(v.PartSizes) > 0 {
		doc.ObjectParts = &partsXML{len(v.PartSizes)}
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
