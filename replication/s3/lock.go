package s3

import (
	"encoding/xml"
	"net/http"
	"strconv"
	"strings"
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

// bypasses says whether the request lifts governance retention, which takes a right of its own.
func (c *call) bypasses() (bool, error) {
	if !strings.EqualFold(c.header.Get("X-Amz-Bypass-Governance-Retention"), "true") {
		return false, nil
	}
	if err := c.authorize("s3:BypassGovernanceRetention", c.bucket, c.key); err != nil {
		return false, err
	}
	return true, nil
}

// lockedBucket gives the bucket, which must have object lock.
func (c *call) lockedBucket() (object.Bucket, error) {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err == nil && !b.Locked {
		err = apiErr("InvalidRequest", "Bucket is missing Object Lock Configuration")
	}
	return b, err
}

// lockedVersion gives the version that is asked for, in a bucket with object lock.
func (c *call) lockedVersion() (object.Version, error) {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return object.Version{}, err
	}
	v, err := c.version(b)
	if err == nil && !b.Locked {
		_, err = c.lockedBucket()
	}
	return v, err
}

type retentionXML struct {
	XMLName         xml.Name `xml:"Retention"`
	Xmlns           string   `xml:"xmlns,attr,omitempty"`
	Mode            object.Mode
	RetainUntilDate string
}

func (c *call) putRetention() error {
	if _, err := c.lockedBucket(); err != nil {
		return err
	}
	var doc retentionXML
	if err := c.readXML(&doc, maxForm, false); err != nil {
		return err
	}
	var want object.Retention
	if doc.Mode != "" || doc.RetainUntilDate != "" { // an empty document takes the retention away
		until, err := time.Parse(time.RFC3339, doc.RetainUntilDate)
		if err != nil || !isMode(doc.Mode) {
			return refuse("MalformedXML")
		}
		if !until.After(c.h.cfg.Now()) {
			return badArgument("x-amz-object-lock-retain-until-date", doc.RetainUntilDate, "The retain until date must be in the future!")
		}
		want = object.Retention{Mode: doc.Mode, Until: until.UTC().Truncate(time.Millisecond)}
	}
	bypass, err := c.bypasses()
	if err != nil {
		return err
	}
	if _, err := c.amend(func(v *object.Version) error { return setRetention(&v.Attributes, want, bypass, c.h.cfg.Now()) }); err != nil {
		return err
	}
	c.empty(http.StatusOK)
	return nil
}

// setRetention judges a change of a retention: compliance is only ever lengthened, governance is loosened by those
// who may bypass it.
func setRetention(a *object.Attributes, want object.Retention, bypass bool, now time.Time) error {
	have := a.Retention
	tighter := !want.Until.Before(have.Until) && (want.Mode == have.Mode || have.Mode == "") && want.Mode != ""
	switch {
	case tighter:
	case have.Mode == object.Compliance, have.Mode == object.Governance && now.Before(have.Until) && !bypass:
		return ErrProtected
	}
	a.Retention = want
	return nil
}

func (c *call) getRetention() error {
	v, err := c.lockedVersion()
	if err != nil {
		return err
	}
	r := v.Attributes.Retention
	if r.IsZero() {
		return refuse("NoSuchObjectLockConfiguration")
	}
	return c.writeXML(http.StatusOK, retentionXML{Xmlns: xmlns, Mode: r.Mode, RetainUntilDate: timeXML(r.Until)})
}

type holdXML struct {
	XMLName xml.Name `xml:"LegalHold"`
	Xmlns   string   `xml:"xmlns,attr,omitempty"`
	Status  string
}

func (c *call) putLegalHold() error {
	if _, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket); err != nil {
		return err
	}
	var doc holdXML
	if err := c.readXML(&doc, maxForm, false); err != nil {
		return err
	}
	if doc.Status != "ON" && doc.Status != "OFF" {
		return refuse("MalformedXML")
	}
	if _, err := c.lockedBucket(); err != nil {
		return err
	}
	if _, err := c.amend(func(v *object.Version) error { v.Attributes.Hold = doc.Status == "ON"; return nil }); err != nil {
		return err
	}
	c.empty(http.StatusOK)
	return nil
}

func (c *call) getLegalHold() error {
	v, err := c.lockedVersion()
	if err != nil {
		return err
	}
	doc := holdXML{Xmlns: xmlns, Status: "OFF"}
	switch {
	case v.Attributes.Hold:
		doc.Status = "ON"
	case v.Attributes.HoldAt.IsZero():
		return refuse("NoSuchObjectLockConfiguration")
	}
	return c.writeXML(http.StatusOK, doc)
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
