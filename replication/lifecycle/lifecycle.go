// Package lifecycle is the language of a bucket's lifecycle ("Managing the lifecycle of objects", S3 user guide): rules
// that say when versions, markers and unfinished uploads go. It is pure: it reads documents, and answers what the
// rules say of one version at one time. Who carries that out is upstairs.
//
// Times count from midnight UTC after the day in which something happened, as S3 counts them, so that all that
// expires in a day expires at once: an object of Monday noon with one day to live goes on Wednesday at 00:00.
package lifecycle

import (
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/galleon-net/galleon/replication/object"
)

// Bounds, as S3 has them.
const (
	MaxRules = 1000
	maxID    = 255
	// maxNewer bounds the noncurrent versions that a rule may keep.
	maxNewer = 100
)

// Config is what a bucket's document says.
type Config struct {
	XMLName xml.Name `xml:"LifecycleConfiguration"`
	Xmlns   string   `xml:"xmlns,attr,omitempty"`
	Rules   []Rule   `xml:"Rule"`
}

// Rule is one rule.
type Rule struct {
	ID string `xml:",omitempty"`
	// Prefix is where the filter stood before there were filters.
	Prefix                         *string `xml:",omitempty"`
	Filter                         *Filter `xml:",omitempty"`
	Status                         string
	Expiration                     *Expiration           `xml:",omitempty"`
	NoncurrentVersionExpiration    *NoncurrentExpiration `xml:",omitempty"`
	AbortIncompleteMultipartUpload *AbortIncomplete      `xml:",omitempty"`
	Transitions                    []struct{}            `xml:"Transition,omitempty"`
	NoncurrentTransitions          []struct{}            `xml:"NoncurrentVersionTransition,omitempty"`
}

// Filter says which objects a rule is for; one of its parts, or And.
type Filter struct {
	Prefix                *string     `xml:",omitempty"`
	Tag                   *Tag        `xml:",omitempty"`
	ObjectSizeGreaterThan *int64      `xml:",omitempty"`
	ObjectSizeLessThan    *int64      `xml:",omitempty"`
	And                   *Conditions `xml:",omitempty"`
}

// Conditions must all hold.
type Conditions struct {
	Prefix                *string `xml:",omitempty"`
	Tags                  []Tag   `xml:"Tag"`
	ObjectSizeGreaterThan *int64  `xml:",omitempty"`
	ObjectSizeLessThan    *int64  `xml:",omitempty"`
}

// Tag is a tag that an object must have.
type Tag struct{ Key, Value string }

// Expiration is of the latest version.
type Expiration struct {
	Days                      *int    `xml:",omitempty"`
	Date                      *string `xml:",omitempty"`
	ExpiredObjectDeleteMarker *bool   `xml:",omitempty"`
}

// NoncurrentExpiration is of versions that were replaced.
type NoncurrentExpiration struct {
	NoncurrentDays          *int `xml:",omitempty"`
	NewerNoncurrentVersions *int `xml:",omitempty"`
}

// AbortIncomplete is of uploads that were not finished.
type AbortIncomplete struct {
	DaysAfterInitiation *int
}

// ErrNotSupported says that a document asks for what is not done here.
var ErrNotSupported = errors.New("there is one storage class here: nothing is moved to another")

// Parse reads and judges a document.
func Parse(b []byte) (*Config, error) {
	c := &Config{}
	if err := xml.Unmarshal(b, c); err != nil {
		return nil, err
	}
	if len(c.Rules) == 0 || len(c.Rules) > MaxRules {
		return nil, fmt.Errorf("%d rules, want 1 to %d", len(c.Rules), MaxRules)
	}
	seen := map[string]bool{}
	for i := range c.Rules {
		r := &c.Rules[i]
		if err := r.check(); err != nil {
			return nil, fmt.Errorf("rule %d: %w", i+1, err)
		}
		if r.ID != "" && seen[r.ID] {
			return nil, fmt.Errorf("rule %d has the ID %q of another", i+1, r.ID)
		}
		seen[r.ID] = true
	}
	return c, nil
}

func (r *Rule) check() error {
	switch {
	case len(r.ID) > maxID:
		return fmt.Errorf("its ID has more than %d characters", maxID)
	case r.Status != "Enabled" && r.Status != "Disabled":
		return fmt.Errorf("status %q", r.Status)
	case len(r.Transitions)+len(r.NoncurrentTransitions) > 0:
		return ErrNotSupported
	case r.Filter == nil && r.Prefix == nil:
		return errors.New("it has no filter")
	case r.Filter != nil && r.Prefix != nil:
		return errors.New("it has a filter and a prefix")
	case r.Expiration == nil && r.NoncurrentVersionExpiration == nil && r.AbortIncompleteMultipartUpload == nil:
		return errors.New("it does nothing")
	}
	f := r.conditions()
	if err := f.check(); err != nil {
		return err
	}
	narrow := len(f.Tags) > 0 || f.ObjectSizeGreaterThan != nil || f.ObjectSizeLessThan != nil
	if a := r.AbortIncompleteMultipartUpload; a != nil && (a.DaysAfterInitiation == nil || *a.DaysAfterInitiation < 1 || narrow) {
		return errors.New("uploads go after a positive number of days, and have no tags or size to be chosen by")
	}
	if n := r.NoncurrentVersionExpiration; n != nil {
		if n.NoncurrentDays == nil || *n.NoncurrentDays < 1 || n.NewerNoncurrentVersions != nil && (*n.NewerNoncurrentVersions < 1 || *n.NewerNoncurrentVersions > maxNewer) {
			return errors.New("noncurrent versions go after a positive number of days, or with 1 to 100 newer ones")
		}
	}
	return r.Expiration.check(narrow)
}

func (e *Expiration) check(narrow bool) error {
	if e == nil {
		return nil
	}
	n := 0
	if e.Days != nil {
		n++
		if *e.Days < 1 {
			return errors.New("days must be positive")
		}
	}
	if e.Date != nil {
		n++
		t, err := date(*e.Date)
		if err != nil || !t.Equal(t.Truncate(24*time.Hour)) {
			return errors.New("a date is a midnight in UTC")
		}
	}
	if e.ExpiredObjectDeleteMarker != nil {
		n++
		if narrow {
			return errors.New("delete markers have no tags and no size to be chosen by")
		}
	}
	if n != 1 {
		return errors.New("an expiration has days, a date or ExpiredObjectDeleteMarker")
	}
	return nil
}

// conditions gives a rule's filter in one form.
func (r *Rule) conditions() Conditions {
	f := r.Filter
	switch {
	case f == nil:
		return Conditions{Prefix: r.Prefix}
	case f.And != nil:
		return *f.And
	}
	c := Conditions{Prefix: f.Prefix, ObjectSizeGreaterThan: f.ObjectSizeGreaterThan, ObjectSizeLessThan: f.ObjectSizeLessThan}
	if f.Tag != nil {
		c.Tags = []Tag{*f.Tag}
	}
	return c
}

func (c Conditions) check() error {
	for _, n := range []*int64{c.ObjectSizeGreaterThan, c.ObjectSizeLessThan} {
		if n != nil && *n < 0 {
			return errors.New("a size is negative")
		}
	}
	seen := map[string]bool{}
	for _, t := range c.Tags {
		if t.Key == "" || seen[t.Key] {
			return errors.New("a tag has no key, or one of another")
		}
		seen[t.Key] = true
	}
	return nil
}

// has says whether an object is one of those.
func (c Conditions) has(v *object.Version) bool {
	if !c.prefixOf(v.Key) || c.ObjectSizeGreaterThan != nil && v.Size <= *c.ObjectSizeGreaterThan ||
		c.ObjectSizeLessThan != nil && v.Size >= *c.ObjectSizeLessThan {
		return false
	}
	for _, want := range c.Tags {
		found := false
		for _, t := range v.Attributes.Tags {
			found = found || t.Key == want.Key && t.Value == want.Value
		}
		if !found {
			return false
		}
	}
	return true
}

func (c Conditions) prefixOf(key string) bool {
	return c.Prefix == nil || strings.HasPrefix(key, *c.Prefix)
}

func date(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t, err = time.Parse("2006-01-02", s)
	}
	return t.UTC(), err
}
