package s3

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/galleon-net/galleon/replication/object"
)

// ownerID is the one owner of everything: rights are the policy of access keys, not of objects.
const ownerID = "galleon"

// timeXML is how S3 writes times in documents: to the millisecond, UTC.
func timeXML(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func (c *call) createBucket() error {
	if err := c.bucketACLHeaders(); err != nil {
		return err
	}
	ack, err := object.ParseAck(c.header.Get("X-Galleon-Ack"))
	if err != nil {
		return badArgument("x-galleon-ack", c.header.Get("X-Galleon-Ack"), "x-galleon-ack: %v", err)
	}
	var doc struct {
		XMLName            xml.Name `xml:"CreateBucketConfiguration"`
		LocationConstraint string
		Tags               struct {
			Tags []tagXML `xml:"Tag"`
		}
		Location, Bucket *struct{}
	}
	if err := c.readXML(&doc, maxForm, true); err != nil {
		return err
	}
	if doc.Location != nil || doc.Bucket != nil {
		return notImplemented("directory buckets")
	}
	// In us-east-1 the constraint is the empty one, and S3 refuses the name.
	if l := doc.LocationConstraint; l != "" && (l != c.h.cfg.Region && !c.alsoRegion(l) || c.h.cfg.Region == firstRegion) {
		return refuse("InvalidLocationConstraint").with("LocationConstraint", l).
			because(fmt.Errorf("this endpoint's location is %q, and a policy says where objects go", c.h.cfg.Region))
	}
	b := object.Bucket{Name: c.bucket, Created: c.h.cfg.Now().UTC(), Ack: ack}
	if tags := doc.Tags.Tags; len(tags) > 0 {
		set := taggingXML{}
		set.TagSet = &struct {
			Tags []tagXML `xml:"Tag"`
		}{tags}
		list, err := set.tags(maxBucketTags)
		if err != nil {
			return err
		}
		text, err := xml.Marshal(tagsXML(list))
		if err != nil {
			return err
		}
		b.Settings = map[object.Setting]string{object.SettingTags: string(text)}
	}
	if strings.EqualFold(c.header.Get("X-Amz-Bucket-Object-Lock-Enabled"), "true") {
		b.Locked, b.Versioning = true, true
	}
	if err := c.h.cfg.Backend.CreateBucket(c.ctx, b); err != nil {
		return err
	}
	c.w.Header().Set("Location", "/"+c.bucket)
	c.w.Header()["x-amz-bucket-arn"] = []string{"arn:aws:s3:::" + c.bucket}
	c.empty(http.StatusOK)
	return nil
}

func (c *call) alsoRegion(name string) bool {
	for _, r := range c.h.cfg.AlsoRegions {
		if r == name {
			return true
		}
	}
	return false
}

func (c *call) deleteBucket() error {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	if err := c.h.cfg.Backend.DeleteBucket(c.ctx, c.bucket); err != nil {
		if errors.Is(err, ErrBucketNotEmpty) && !unversioned(b) {
			return apiErr("BucketNotEmpty", "The bucket you tried to delete is not empty. You must delete all versions in the bucket.").because(err)
		}
		return err
	}
	c.empty(http.StatusNoContent)
	return nil
}

func (c *call) headBucket() error {
	if _, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket); err != nil {
		return err
	}
	c.w.Header()["x-amz-bucket-region"] = []string{c.h.cfg.Region}
	c.empty(http.StatusOK)
	return nil
}

// firstRegion is the region of S3 that has no name where a bucket's location is told.
const firstRegion = "us-east-1"

func (c *call) getLocation() error {
	if _, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket); err != nil {
		return err
	}
	region := c.h.cfg.Region
	if region == firstRegion {
		region = ""
	}
	return c.writeXML(http.StatusOK, struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
		Region  string   `xml:",chardata"`
	}{Region: region})
}

type versioningXML struct {
	XMLName   xml.Name `xml:"VersioningConfiguration"`
	Xmlns     string   `xml:"xmlns,attr,omitempty"`
	Status    string   `xml:",omitempty"`
	MFADelete string   `xml:"MfaDelete,omitempty"`
}

func (c *call) getVersioning() error {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	doc := versioningXML{Xmlns: xmlns}
	switch {
	case b.Versioning:
		doc.Status = "Enabled"
	case b.Suspended:
		doc.Status = "Suspended"
	}
	return c.writeXML(http.StatusOK, doc)
}

func (c *call) putVersioning() error {
	var doc versioningXML
	if err := c.readXML(&doc, maxForm, false); err != nil {
		return err
	}
	if doc.MFADelete == "Enabled" {
		return notImplemented("MFA delete")
	}
	if doc.Status != "Enabled" && doc.Status != "Suspended" {
		return refuse("MalformedXML")
	}
	on := doc.Status == "Enabled"
	if err := c.h.cfg.Backend.UpdateBucket(c.ctx, c.bucket, BucketChange{Versioning: &on}); err != nil {
		return err
	}
	c.empty(http.StatusOK)
	return nil
}

// empty answers with a status and nothing else.
func (c *call) empty(status int) {
	if status != http.StatusNoContent && status != http.StatusNotModified {
		c.w.Header().Set("Content-Length", "0")
	}
	c.w.WriteHeader(status)
}
