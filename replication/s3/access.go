package s3

import (
	"encoding/xml"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/s3/policy"
)

// Who may do what: bucket policies, the public access block, and what remains of access control lists where the
// bucket's owner owns every object, which is the one kind of ownership here: there is one account.

// ownerEnforced is S3's name of that.
const ownerEnforced = "BucketOwnerEnforced"

var (
	ownerships = []string{ownerEnforced, "BucketOwnerPreferred", "ObjectWriter"}
	cannedACLs = []string{"private", "public-read", "public-read-write", "authenticated-read", "aws-exec-read", "bucket-owner-read", "bucket-owner-full-control", "log-delivery-write"}
)

func (c *call) putPolicy() error {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	raw, err := c.document(policy.MaxDocument, false)
	if err != nil {
		return err
	}
	p, err := policy.Parse(raw, c.bucket, c.isKey)
	var refused policy.Error
	switch {
	case errors.As(err, &refused):
		return apiErr("MalformedPolicy", "%s", string(refused))
	case err != nil:
		return err
	case p.Public() && publicAccessOf(b).blockPolicy:
		return refuse("AccessDenied").because(errors.New("the bucket's public access block refuses public policies"))
	}
	if err := c.keep(object.SettingPolicy, string(raw)); err != nil {
		return err
	}
	c.empty(http.StatusNoContent)
	return nil
}

// isKey says whether an access key exists. When nobody can say, it may.
func (c *call) isKey(name string) bool {
	_, err := c.h.cfg.Keys.SigningKey(c.ctx, name, c.h.cfg.Now().UTC().Format("20060102"), c.h.cfg.Region)
	return !errors.Is(err, ErrNoSuchAccessKey)
}

func (c *call) getPolicy() error {
	_, doc, err := c.setting(object.SettingPolicy)
	if err != nil {
		return err
	}
	return c.writeRaw("application/json", doc)
}

func (c *call) getPolicyStatus() error {
	b, doc, err := c.setting(object.SettingPolicy)
	if err != nil {
		return err
	}
	p, err := policy.Parse([]byte(doc), b.Name, anybody)
	if err != nil {
		return err
	}
	return c.writeXML(http.StatusOK, struct {
		XMLName  xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ PolicyStatus"`
		IsPublic bool
	}{IsPublic: p.Public()})
}

type publicAccessXML struct {
	XMLName               xml.Name `xml:"PublicAccessBlockConfiguration"`
	Xmlns                 string   `xml:"xmlns,attr,omitempty"`
	BlockPublicAcls       bool
	IgnorePublicAcls      bool
	BlockPublicPolicy     bool
	RestrictPublicBuckets bool
}

// publicAccess is what of the public access block acts here: there are no access control lists.
type publicAccess struct{ blockPolicy, restrict bool }

func publicAccessOf(b object.Bucket) publicAccess {
	var d publicAccessXML
	if doc := b.Settings[object.SettingPublicAccess]; doc != "" && xml.Unmarshal([]byte(doc), &d) != nil {
		return publicAccess{true, true} // what is not understood opens nothing
	}
	return publicAccess{d.BlockPublicPolicy, d.RestrictPublicBuckets}
}

func (c *call) putPublicAccess() error {
	if _, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket); err != nil {
		return err
	}
	var doc publicAccessXML
	if err := c.readXML(&doc, maxForm, false); err != nil {
		return err
	}
	doc.Xmlns = xmlns
	if err := c.keepXML(object.SettingPublicAccess, doc); err != nil {
		return err
	}
	c.empty(http.StatusOK)
	return nil
}

type ownershipXML struct {
	XMLName xml.Name `xml:"OwnershipControls"`
	Xmlns   string   `xml:"xmlns,attr,omitempty"`
	Rules   []struct {
		ObjectOwnership string
	} `xml:"Rule"`
}

func (c *call) getOwnership() error {
	if _, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket); err != nil {
		return err
	}
	doc := ownershipXML{Xmlns: xmlns}
	doc.Rules = append(doc.Rules, struct{ ObjectOwnership string }{ownerEnforced})
	return c.writeXML(http.StatusOK, doc)
}

func (c *call) putOwnership() error {
	if _, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket); err != nil {
		return err
	}
	var doc ownershipXML
	if err := c.readXML(&doc, maxForm, false); err != nil {
		return err
	}
	if len(doc.Rules) != 1 || !slices.Contains(ownerships, doc.Rules[0].ObjectOwnership) {
		return refuse("MalformedXML")
	}
	if doc.Rules[0].ObjectOwnership != ownerEnforced {
		return notImplemented("access control lists: the ownership " + doc.Rules[0].ObjectOwnership)
	}
	c.empty(http.StatusOK)
	return nil
}

func (c *call) deleteOwnership() error {
	if _, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket); err != nil {
		return err
	}
	return notImplemented("access control lists: a bucket without ownership controls")
}

// aclHeaders judges the access control list that a new bucket shall have.
func (c *call) bucketACLHeaders() error {
	ownership := c.header.Get("X-Amz-Object-Ownership")
	if ownership != "" && !slices.Contains(ownerships, ownership) {
		return apiErr("InvalidArgument", "Invalid x-amz-object-ownership header: %s", ownership).with("ArgumentName", "x-amz-object-ownership")
	}
	acl := c.header.Get("X-Amz-Acl")
	switch {
	case acl != "" && !slices.Contains(cannedACLs, acl):
		return badArgument("x-amz-acl", acl, "")
	case ownership != "" && ownership != ownerEnforced:
		return notImplemented("access control lists: the ownership " + ownership)
	case acl != "" && acl != "private" || c.hasGrants():
		return refuse("InvalidBucketAclWithObjectOwnership")
	}
	return nil
}

// hasGrants says whether a request grants something to somebody in its headers.
func (c *call) hasGrants() bool {
	for name := range c.header {
		if strings.HasPrefix(strings.ToLower(name), "x-amz-grant-") {
			return true
		}
	}
	return false
}

// putACL refuses all lists but the one that is true of everything.
func (c *call) putACL() error {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	if c.key != "" {
		if _, err := c.version(b); err != nil {
			return err
		}
	}
	if acl := c.header.Get("X-Amz-Acl"); acl == "bucket-owner-full-control" || c.key != "" && acl == "private" {
		c.empty(http.StatusOK)
		return nil
	}
	return refuse("AccessControlListNotSupported")
}

// getACL answers what is true of everything here: its owner may do all, nobody else anything.
func (c *call) getACL() error {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	if c.key != "" {
		if _, err := c.version(b); err != nil {
			return err
		}
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
