package s3

import (
	"encoding/xml"
	"net/http"
	"strconv"
	"time"

	"github.com/galleon-net/galleon/replication/object"
)

// Bounds of a bucket's default retention, as S3 has them.
const (
	maxRetentionDays  = 36500
	maxRetentionYears = 100
)

type defaultRetentionXML struct {
	Mode  object.Mode
	Days  *int `xml:",omitempty"`
	Years *int `xml:",omitempty"`
}

type lockXML struct {
	XMLName           xml.Name `xml:"ObjectLockConfiguration"`
	Xmlns             string   `xml:"xmlns,attr,omitempty"`
	ObjectLockEnabled string
	Rule              *struct {
		DefaultRetention *defaultRetentionXML
	} `xml:",omitempty"`
}

// check refuses what S3 does not take.
func (d lockXML) check() error {
	if d.ObjectLockEnabled != "Enabled" {
		return refuse("MalformedXML")
	}
	if d.Rule == nil {
		return nil
	}
	r := d.Rule.DefaultRetention
	if r == nil || !isMode(r.Mode) || (r.Days == nil) == (r.Years == nil) {
		return refuse("MalformedXML")
	}
	for _, n := range []struct {
		name string
		n    *int
		most int
	}{{"Days", r.Days, maxRetentionDays}, {"Years", r.Years, maxRetentionYears}} {
		switch {
		case n.n == nil:
		case *n.n <= 0:
			return badArgument(n.name, strconv.Itoa(*n.n), "Default retention period must be a positive integer value.")
		case *n.n > n.most:
			return badArgument(n.name, strconv.Itoa(*n.n), "Default retention period too large.")
		}
	}
	return nil
}

func isMode(m object.Mode) bool { return m == object.Governance || m == object.Compliance }

func (c *call) putLockConfiguration() error {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	raw, err := c.document(maxForm, false)
	if err != nil {
		return err
	}
	if len(raw) == 0 {
		return refuse("MissingRequestBodyError")
	}
	var doc lockXML
	if err := decodeXML(raw, &doc); err != nil {
		return err
	}
	if err := doc.check(); err != nil {
		return err
	}
	if !b.Versioning {
		return apiErr("InvalidBucketState", "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration")
	}
	doc.Xmlns = xmlns
	text, err := xml.Marshal(doc)
	if err != nil {
		return err
	}
	change := BucketChange{Lock: true, Settings: map[object.Setting]string{object.SettingLock: string(text)}}
	if err := c.h.cfg.Backend.UpdateBucket(c.ctx, c.bucket, change); err != nil {
		return err
	}
	c.empty(http.StatusOK)
	return nil
}

func (c *call) getLockConfiguration() error {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	switch {
	case err != nil:
		return err
	case b.Settings[object.SettingLock] != "":
		return c.writeRaw("application/xml", xml.Header+b.Settings[object.SettingLock])
	case b.Locked:
		return c.writeXML(http.StatusOK, lockXML{Xmlns: xmlns, ObjectLockEnabled: "Enabled"})
	}
	return refuse("ObjectLockConfigurationNotFoundError")
}

// lockHeaders reads the retention and hold that a write comes with, or what the bucket has for writes that say
// nothing. A write to a locked bucket must be one whose bytes were checked on the way.
func (c *call) lockHeaders(b object.Bucket, a *object.Attributes) error {
	mode, until, hold := c.header.Get("X-Amz-Object-Lock-Mode"), c.header.Get("X-Amz-Object-Lock-Retain-Until-Date"), c.header.Get("X-Amz-Object-Lock-Legal-Hold")
	switch {
	case hold == "" || hold == "OFF":
	case hold == "ON":
		a.Hold = true
	default:
		return badArgument("x-amz-object-lock-legal-hold", hold, "Legal Hold must be either of 'ON' or 'OFF'")
	}
	missing := mode+until+hold != "" && !b.Locked
	if mode == "" && until == "" {
		if missing {
			return bucketUnlocked()
		}
		a.Retention = c.defaultRetention(b)
		return nil
	}
	const both = "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied."
	switch {
	case until == "":
		return badArgument("x-amz-object-lock-retain-until-date", "", both)
	case mode == "":
		return badArgument("x-amz-object-lock-mode", "", both)
	}
	t, err := c.retainUntil(until)
	if err != nil {
		return err
	}
	if !isMode(object.Mode(mode)) {
		return badArgument("x-amz-object-lock-mode", mode, "Unknown wormMode directive.")
	}
	if missing {
		return bucketUnlocked()
	}
	a.Retention = object.Retention{Mode: object.Mode(mode), Until: t}
	return nil
}

func bucketUnlocked() *apiError {
	return apiErr("InvalidRequest", "Bucket is missing ObjectLockConfiguration")
}

// retainUntil reads a date that must lie ahead.
func (c *call) retainUntil(s string) (time.Time, error) {
	const name = "x-amz-object-lock-retain-until-date"
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		if t, err = time.Parse("20060102T150405Z", s); err != nil {
			return t, badArgument(name, s, "The retain until date must be provided in ISO 8601 format")
		}
	}
	if !t.After(c.h.cfg.Now()) {
		return t, badArgument(name, s, "The retain until date must be in the future!")
	}
	return t.UTC().Truncate(time.Millisecond), nil
}

func (c *call) defaultRetention(b object.Bucket) (r object.Retention) {
	doc := b.Settings[object.SettingLock]
	if doc == "" {
		return r
	}
	var d lockXML
	if xml.Unmarshal([]byte(doc), &d) != nil || d.Rule == nil || d.Rule.DefaultRetention == nil {
		return r
	}
	r.Mode, r.Until = d.Rule.DefaultRetention.Mode, c.h.cfg.Now().UTC().Truncate(time.Millisecond)
	if n := d.Rule.DefaultRetention.Days; n != nil {
		r.Until = r.Until.AddDate(0, 0, *n)
	}
	if n := d.Rule.DefaultRetention.Years; n != nil {
		r.Until = r.Until.AddDate(*n, 0, 0)
	}
	return r
}

// showLock writes what protects a version into the answer's header.
func (c *call) showLock(v object.Version) {
	h := c.w.Header()
	if r := v.Attributes.Retention; !r.IsZero() {
		h["x-amz-object-lock-mode"] = []string{string(r.Mode)}
		h["x-amz-object-lock-retain-until-date"] = []string{timeXML(r.Until)}
	}
	if v.Attributes.Hold {
		h["x-amz-object-lock-legal-hold"] = []string{"ON"}
	} else if !v.Attributes.HoldAt.IsZero() {
		h["x-amz-object-lock-legal-hold"] = []string{"OFF"}
	}
	if n := len(v.Attributes.Tags); n > 0 {
		h["x-amz-tagging-count"] = []string{strconv.Itoa(n)}
	}
}
