package s3

import (
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
)

// maxBuckets bounds a page of buckets.
const maxBuckets = 10_000

type ownerXML struct {
	ID          string
	DisplayName string
}

var owner = ownerXML{ID: ownerID, DisplayName: ownerID}

type bucketXML struct {
	Name         string
	CreationDate string
	BucketRegion string
}

func (c *call) listBuckets() error {
	limit := maxBuckets
	if s, ok := c.query.Get("max-buckets"); ok {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxBuckets {
			return badArgument("max-buckets", s, "Argument max-buckets must be an integer between 1 and %d.", maxBuckets)
		}
		limit = n
	}
	prefix, _ := c.query.Get("prefix")
	after := ""
	if t, ok := c.query.Get("continuation-token"); ok {
		var err error
		if after, err = decodeToken(t); err != nil {
			return err
		}
	}
	all, err := c.h.cfg.Backend.ListBuckets(c.ctx)
	if err != nil {
		return err
	}
	var doc struct {
		XMLName           xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListAllMyBucketsResult"`
		Owner             ownerXML
		Buckets           []bucketXML `xml:"Buckets>Bucket"`
		Prefix            string      `xml:",omitempty"`
		ContinuationToken string      `xml:",omitempty"`
	}
	doc.Owner, doc.Prefix = owner, prefix
	for _, b := range all {
		if b.Name <= after || !strings.HasPrefix(b.Name, prefix) {
			continue
		}
		if len(doc.Buckets) == limit {
			doc.ContinuationToken = encodeToken(doc.Buckets[limit-1].Name)
			break
		}
		doc.Buckets = append(doc.Buckets, bucketXML{b.Name, timeXML(b.Created), c.h.cfg.Region})
	}
	return c.writeXML(http.StatusOK, doc)
}
