package s3

import (
	"encoding/xml"
	"net/http"
	"strconv"
)

type partXML struct {
	PartNumber   int
	LastModified string
	ETag         string
	Size         int64
	checksumsXML
}

func (c *call) listParts() error {
	u, err := c.upload()
	if err != nil {
		return err
	}
	l, err := c.listing("max-parts")
	if err != nil {
		return err
	}
	after := 0
	if s, ok := c.query.Get("part-number-marker"); ok && s != "" {
		n, err := strconv.ParseInt(s, 10, 32)
		if err != nil || n < 0 {
			return badLimit("part-number-marker", s)
		}
		after = int(n)
	}
	doc := struct {
		XMLName              xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListPartsResult"`
		Bucket               string
		Key                  string
		UploadID             string `xml:"UploadId"`
		Initiator            ownerXML
		Owner                ownerXML
		StorageClass         string
		PartNumberMarker     int
		NextPartNumberMarker int `xml:",omitempty"`
		MaxParts             int
		IsTruncated          bool
		ChecksumAlgorithm    string    `xml:",omitempty"`
		ChecksumType         string    `xml:",omitempty"`
		Parts                []partXML `xml:"Part"`
	}{
		Bucket: c.bucket, Key: l.name(c.key), UploadID: u.ID, Initiator: owner, Owner: owner, StorageClass: "STANDARD",
		PartNumberMarker: after, MaxParts: l.limit, ChecksumAlgorithm: u.Algorithm, ChecksumType: u.Type,
	}
	if l.limit > 0 {
		parts, more, err := c.h.cfg.Backend.ListParts(c.ctx, c.bucket, c.key, u.ID, after, l.limit)
		if err != nil {
			return err
		}
		for _, p := range parts {
			doc.Parts = append(doc.Parts, partXML{p.Number, timeXML(p.Modified), quote(p.ETag), p.Size, checksumsOf(p.Checksums)})
			doc.NextPartNumberMarker = p.Number
		}
		doc.IsTruncated = more
	}
	return c.writeXML(http.StatusOK, doc)
}
