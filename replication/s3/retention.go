package s3

import (
	"encoding/xml"
	"net/http"
	"strings"
	"time"

	"github.com/galleon-net/galleon/replication/object"
)

// Retention and legal hold of one version (lock.go has what a bucket says of them).

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
