package s3

import (
	"encoding/xml"
	"net/http"
	"strconv"

	"github.com/galleon-net/galleon/replication/object"
)

// Settings are documents that clients put on buckets (tagging.go, cors.go, lock.go, lifecycle.go, access.go). Each is
// read whole, judged, and kept as this package writes it, so that what is given back is what is acted upon.

// noSetting is the code that says that a bucket has no such document.
var noSetting = map[object.Setting]string{
	object.SettingCORS: "NoSuchCORSConfiguration", object.SettingLifecycle: "NoSuchLifecycleConfiguration",
	object.SettingLock: "ObjectLockConfigurationNotFoundError", object.SettingOwnership: "OwnershipControlsNotFoundError",
	object.SettingPolicy: "NoSuchBucketPolicy", object.SettingPublicAccess: "NoSuchPublicAccessBlockConfiguration",
	object.SettingTags: "NoSuchTagSet",
}

// document gives a bucket's document of a name, or the error that says that there is none.
func (c *call) setting(name object.Setting) (object.Bucket, string, error) {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return b, "", err
	}
	doc := b.Settings[name]
	if doc == "" {
		return b, "", refuse(noSetting[name])
	}
	return b, doc, nil
}

// keep puts a document on the bucket; the empty one removes what is there.
func (c *call) keep(name object.Setting, doc string) error {
	return c.h.cfg.Backend.UpdateBucket(c.ctx, c.bucket, BucketChange{Settings: map[object.Setting]string{name: doc}})
}

// keepXML writes a document and keeps it.
func (c *call) keepXML(name object.Setting, v any) error {
	b, err := xml.Marshal(v)
	if err != nil {
		return err
	}
	if len(b) > object.MaxSetting {
		return refuse("MaxMessageLengthExceeded").with("MaxMessageLengthBytes", strconv.Itoa(object.MaxSetting))
	}
	return c.keep(name, string(b))
}

// getSetting makes the operation that gives a document back as it is kept.
func getSetting(name object.Setting) func(*call) error {
	return func(c *call) error {
		_, doc, err := c.setting(name)
		if err != nil {
			return err
		}
		return c.writeRaw("application/xml", xml.Header+doc)
	}
}

// deleteSetting makes the operation that removes a document. One that is not there is removed just as well.
func deleteSetting(name object.Setting) func(*call) error {
	return func(c *call) error {
		b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
		if err != nil {
			return err
		}
		if b.Settings[name] != "" {
			if err := c.keep(name, ""); err != nil {
				return err
			}
		}
		c.empty(http.StatusNoContent)
		return nil
	}
}

// writeRaw answers with a document that is written already.
func (c *call) writeRaw(kind, doc string) error { return c.writeRawStatus(http.StatusOK, kind, doc) }

func (c *call) writeRawStatus(status int, kind, doc string) error {
	c.w.Header().Set("Content-Type", kind)
	c.w.Header().Set("Content-Length", strconv.Itoa(len(doc)))
	c.w.WriteHeader(status)
	_, _ = c.w.Write([]byte(doc)) // the status is out: nobody is left to be told
	return nil
}
