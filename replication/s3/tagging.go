package s3

import (
	"encoding/xml"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/galleon-net/galleon/replication/object"
	"github.com/galleon-net/galleon/replication/s3/sigv4"
)

// Bounds of tags, as S3 has them, in characters.
const (
	maxObjectTags = 10
	maxBucketTags = 50
	maxTagKey     = 128
	maxTagValue   = 256
)

type tagXML struct {
	Key   *string
	Value *string
}

type taggingXML struct {
	XMLName xml.Name `xml:"Tagging"`
	Xmlns   string   `xml:"xmlns,attr,omitempty"`
	TagSet  *struct {
		Tags []tagXML `xml:"Tag"`
	}
}

// tags judges the tags of a document.
func (d taggingXML) tags(most int) ([]object.Tag, error) {
	if d.TagSet == nil {
		return nil, refuse("MalformedXML")
	}
	out := make([]object.Tag, 0, len(d.TagSet.Tags))
	for _, t := range d.TagSet.Tags {
		if t.Key == nil || t.Value == nil {
			return nil, refuse("MalformedXML")
		}
		out = append(out, object.Tag{Key: *t.Key, Value: *t.Value})
	}
	return out, checkTags(out, most)
}

// checkTags refuses tags that S3 does not take.
func checkTags(tags []object.Tag, most int) error {
	if len(tags) > most {
		if most == maxBucketTags {
			return apiErr("BadRequest", "Bucket tag count cannot be greater than %d", most)
		}
		return apiErr("BadRequest", "Object tags cannot be greater than %d", most)
	}
	seen := map[string]bool{}
	for _, t := range tags {
		bad := func(message string) error {
			return apiErr("InvalidTag", "%s", message).with("TagKey", t.Key).with("TagValue", t.Value)
		}
		switch {
		case t.Key == "" || !taggable(t.Key, maxTagKey):
			return bad("The TagKey you have provided is invalid")
		case !taggable(t.Value, maxTagValue):
			return bad("The TagValue you have provided is invalid")
		case seen[t.Key]:
			return apiErr("InvalidTag", "Cannot provide multiple Tags with the same key").with("TagKey", t.Key)
		}
		seen[t.Key] = true
	}
	return nil
}

// taggable says whether a text has the characters that tags may have: letters, digits, spaces and + - = . _ : / @.
func taggable(s string, most int) bool {
	return utf8.ValidString(s) && utf8.RuneCountInString(s) <= most && !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsNumber(r) && !unicode.IsSpace(r) && !strings.ContainsRune("+-=._:/@", r)
	})
}

func tagsXML(tags []object.Tag) taggingXML {
	d := taggingXML{Xmlns: xmlns}
	d.TagSet = &struct {
		Tags []tagXML `xml:"Tag"`
	}{}
	for i := range tags {
		d.TagSet.Tags = append(d.TagSet.Tags, tagXML{&tags[i].Key, &tags[i].Value})
	}
	return d
}

// taggingHeader reads the tags that a write comes with: a query string.
func (c *call) taggingHeader() ([]object.Tag, error) {
	raw := c.header.Get("X-Amz-Tagging")
	if raw == "" {
		return nil, nil
	}
	q, err := sigv4.ParseQuery(raw)
	if err != nil {
		return nil, badTagging(raw)
	}
	out := make([]object.Tag, len(q))
	for i, p := range q {
		if p.Name == "" {
			return nil, badTagging(raw)
		}
		out[i] = object.Tag{Key: p.Name, Value: p.Value}
	}
	return out, checkTags(out, maxObjectTags)
}

func badTagging(raw string) *apiError {
	return badArgument("x-amz-tagging", raw,
		"The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag name duplicates.")
}

// amend changes a version's attributes and names it in the answer.
func (c *call) amend(change func(*object.Version) error) (object.Version, error) {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return object.Version{}, err
	}
	id, err := c.versionOfBucket(b)
	if err != nil {
		return object.Version{}, err
	}
	v, err := c.h.cfg.Backend.AmendVersion(c.ctx, c.bucket, c.key, id, func(v *object.Version) error {
		if v.DeleteMarker {
			return c.isMarker(*v, id)
		}
		return change(v)
	})
	if err == nil {
		c.showVersion(b, v)
	}
	return v, err
}

func (c *call) putObjectTagging() error {
	var doc taggingXML
	if err := c.readXML(&doc, maxForm, false); err != nil {
		return err
	}
	tags, err := doc.tags(maxObjectTags)
	if err != nil {
		return err
	}
	if _, err := c.amend(func(v *object.Version) error { v.Attributes.Tags = tags; return nil }); err != nil {
		return err
	}
	c.empty(http.StatusOK)
	return nil
}

func (c *call) getObjectTagging() error {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	v, err := c.version(b)
	if err != nil {
		return err
	}
	c.showVersion(b, v)
	return c.writeXML(http.StatusOK, tagsXML(v.Attributes.Tags))
}

func (c *call) deleteObjectTagging() error {
	if _, err := c.amend(func(v *object.Version) error { v.Attributes.Tags = nil; return nil }); err != nil {
		return err
	}
	c.empty(http.StatusNoContent)
	return nil
}

func (c *call) putBucketTagging() error {
	var doc taggingXML
	if _, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket); err != nil {
		return err
	}
	if err := c.readXML(&doc, maxForm, false); err != nil {
		return err
	}
	tags, err := doc.tags(maxBucketTags)
	if err != nil {
		return err
	}
	if err := c.keepXML(object.SettingTags, tagsXML(tags)); err != nil {
		return err
	}
	c.empty(http.StatusNoContent)
	return nil
}
