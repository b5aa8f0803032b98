package lifecycle

import (
	"time"

	"github.com/galleon-net/galleon/replication/object"
)

// Place is where a version stands among those of its key.
type Place struct {
	// Latest says that nothing is newer.
	Latest bool
	// Alone says that there is no other version of the key that clients see.
	Alone bool
	// Replaced is when the next newer one came, of versions that are not the latest.
	Replaced time.Time
	// Newer is how many noncurrent versions are newer.
	Newer int
}

// due is when something of a time is so many days old, by S3's count.
func due(from time.Time, days int) time.Time {
	return from.UTC().Truncate(24*time.Hour).AddDate(0, 0, days+1)
}

// Expires says whether a version shall go, at a time, and by which rule: the latest by a delete, another or a lone
// delete marker for good.
func (c *Config) Expires(v *object.Version, p Place, now time.Time) (rule string, yes bool) {
	for i := range c.Rules {
		r := &c.Rules[i]
		if r.Status == "Enabled" && r.conditions().has(v) && r.expires(v, p, now) {
			return r.ID, true
		}
	}
	return "", false
}

func (r *Rule) expires(v *object.Version, p Place, now time.Time) bool {
	if !p.Latest {
		n := r.NoncurrentVersionExpiration
		return n != nil && !now.Before(due(p.Replaced, *n.NoncurrentDays)) && (n.NewerNoncurrentVersions == nil || p.Newer >= *n.NewerNoncurrentVersions)
	}
	e := r.Expiration
	if e == nil {
		return false
	}
	if v.DeleteMarker {
		// A marker that hides nothing any more. Days count for it too, as S3 has it.
		return p.Alone && (e.ExpiredObjectDeleteMarker != nil && *e.ExpiredObjectDeleteMarker || e.Days != nil && !now.Before(due(v.Modified, *e.Days)))
	}
	return !e.at(v.Modified).IsZero() && !now.Before(e.at(v.Modified))
}

// at is when an object of a time expires, zero for never.
func (e *Expiration) at(modified time.Time) time.Time {
	switch {
	case e.Days != nil:
		return due(modified, *e.Days)
	case e.Date != nil:
		t, _ := date(*e.Date) // Parse has read it
		return t
	}
	return time.Time{}
}

// Expiry says when the latest version will expire and by which rule, for the header x-amz-expiration. The earliest
// rule wins.
func (c *Config) Expiry(v *object.Version) (at time.Time, rule string) {
	for i := range c.Rules {
		r := &c.Rules[i]
		if r.Status != "Enabled" || r.Expiration == nil || !r.conditions().has(v) {
			continue
		}
		if t := r.Expiration.at(v.Modified); !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at, rule = t, r.ID
		}
	}
	return at, rule
}

// Aborts says whether an unfinished upload shall go.
func (c *Config) Aborts(key string, initiated, now time.Time) bool {
	for i := range c.Rules {
		r := &c.Rules[i]
		a := r.AbortIncompleteMultipartUpload
		if r.Status == "Enabled" && a != nil && r.conditions().prefixOf(key) && !now.Before(due(initiated, *a.DaysAfterInitiation)) {
			return true
		}
	}
	return false
}

// Acts says whether any rule is on.
func (c *Config) Acts() bool {
	for i := range c.Rules {
		if c.Rules[i].Status == "Enabled" {
			return true
		}
	}
	return false
}
