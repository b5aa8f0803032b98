package s3

import (
	"encoding/xml"
	"net/http"
	"time"

	"github.com/galleon-net/galleon/replication/object"
)

// ownerID is the one owner of everything: rights are the policy of access keys, not of objects.
const ownerID = "galleon"

// timeXML is how S3 writes times in documents: to the millisecond, UTC.
func timeXML(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func (c *call) createBucket() error {
	if err := c.refuseUnsupported(); err != nil {
		return err
	}
	if c.header.Get("X-Amz-Bucket-Object-Lock-Enabled") == "true" {
		return notImplemented("object lock")
	}
	ack, err := object.ParseAck(c.header.Get("X-Galleon-Ack"))
	if err != nil {
		return apiErr("InvalidArgument", "x-galleon-ack: %v", err)
	}
	var doc struct {
		XMLName            xml.Name `xml:"CreateBucketConfiguration"`
		LocationConstraint string
		Tags               *struct{} `xml:"Tags"`
		Location, Bucket   *struct{}
	}
	if err := c.readXML(&doc, maxForm, true); err != nil {
		return err
	}
	switch {
	case doc.Tags != nil:
		return notImplemented("bucket tags")
	case doc.Location != nil || doc.Bucket != nil:
		return notImplemented("directory buckets")
	}
	if l := doc.LocationConstraint; l != "" && l != c.h.cfg.Region && !c.alsoRegion(l) {
		return apiErr("IllegalLocationConstraintException",
			"the location %q is not this endpoint's: it is %q, and a policy says where objects go", l, c.h.cfg.Region)
	}
	b := object.Bucket{Name: c.bucket, Created: c.h.cfg.Now().UTC(), Ack: ack}
	if err := c.h.cfg.Backend.CreateBucket(c.ctx, b); err != nil {
		return err
	}
	c.w.Header().Set("Location", "/"+c.bucket)
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
	if err := c.h.cfg.Backend.DeleteBucket(c.ctx, c.bucket); err != nil {
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

func (c *call) getLocation() error {
	if _, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket); err != nil {
		return err
	}
	return c.writeXML(http.StatusOK, struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ LocationConstraint"`
		Region  string   `xml:",chardata"`
	}{Region: c.h.cfg.Region})
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
	if b.Versioning {
		doc.Status = "Enabled"
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
		return apiErr("MalformedXML", "the versioning status must be Enabled or Suspended")
	}
	if err := c.h.cfg.Backend.SetVersioning(c.ctx, c.bucket, doc.Status == "Enabled"); err != nil {
		return err
	}
	c.empty(http.StatusOK)
	return nil
}

// getACL answers what is true of everything here: its owner may do all, nobody else anything.
func (c *call) getACL() error {
	if c.key != "" {
		if _, err := c.version(); err != nil {
			return err
		}
	} else if _, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket); err != nil {
		return err
	}
	type grantee struct {
		Xsi  string `xml:"xmlns:xsi,attr"`
		Type string `xml:"xsi:type,attr"`
		ownerXML
	}
	type grant struct {
		Grantee    grantee
		Permission string
	}
	return c.writeXML(http.StatusOK, struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ AccessControlPolicy"`
		Owner   ownerXML
		Grants  []grant `xml:"AccessControlList>Grant"`
	}{Owner: owner, Grants: []grant{{
		Grantee:    grantee{Xsi: "http://www.w3.org/2001/XMLSchema-instance", Type: "CanonicalUser", ownerXML: owner},
		Permission: "FULL_CONTROL",
	}}})
}

// empty answers with a status and nothing else.
func (c *call) empty(status int) {
	if status != http.StatusNoContent && status != http.StatusNotModified {
		c.w.Header().Set("Content-Length", "0")
	}
	c.w.WriteHeader(status)
}
