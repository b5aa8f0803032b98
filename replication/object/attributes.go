package object

import (
	"slices"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Tag is a name and a value that a client attached.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Mode is how a retention binds.
type Mode string

// Governance may be lifted by those who may bypass it, compliance by nobody.
const (
	Governance Mode = "GOVERNANCE"
	Compliance Mode = "COMPLIANCE"
)

// Retention keeps a version from being removed until a time. The zero value keeps nothing.
type Retention struct {
	Mode  Mode      `json:"mode,omitempty"`
	Until time.Time `json:"until,omitzero"`
}

// IsZero says whether there is none.
func (r Retention) IsZero() bool { return r == Retention{} }

// Change says when, by which router and in which region an attribute was last changed. The zero value is "as it
// was written".
type Change struct {
	VersionID
	Region topo.Region `json:"region,omitempty"`
}

// Attributes are what may change of a version after it was written. Each has a Change of its own, so that regions
// that change different ones at the same time all end with both changes.
type Attributes struct {
	Tags        []Tag     `json:"tags,omitempty"`
	TagsAt      Change    `json:"tags_at,omitzero"`
	Retention   Retention `json:"retention,omitzero"`
	RetentionAt Change    `json:"retention_at,omitzero"`
	Hold        bool      `json:"hold,omitempty"`
	HoldAt      Change    `json:"hold_at,omitzero"`
}

// IsZero says whether there is nothing to say.
func (a Attributes) IsZero() bool {
	return len(a.Tags) == 0 && !a.Hold && a.Retention.IsZero() && !a.Changed()
}

// Changed says whether anything was changed after the version was written.
func (a Attributes) Changed() bool {
	return !a.TagsAt.IsZero() || !a.RetentionAt.IsZero() || !a.HoldAt.IsZero()
}

// ChangedIn says whether something is as a region left it, so that the region answers for its being known.
func (a Attributes) ChangedIn(r topo.Region) bool {
	return r != "" && (a.TagsAt.Region == r || a.RetentionAt.Region == r || a.HoldAt.Region == r)
}

// Merge gives what two regions' knowledge of one version comes to, in whatever order they meet: of tags and holds
// the later change. A compliance retention wins over anything else and the longer over the shorter, since
// nobody may lift one; of other retentions the later change wins.
func (a Attributes) Merge(b Attributes) Attributes {
	if a.TagsAt.Less(b.TagsAt.VersionID) {
		a.Tags, a.TagsAt = b.Tags, b.TagsAt
	}
	if a.HoldAt.Less(b.HoldAt.VersionID) {
		a.Hold, a.HoldAt = b.Hold, b.HoldAt
	}
	if a.retentionLess(b) {
		a.Retention, a.RetentionAt = b.Retention, b.RetentionAt
	}
	return a
}

// retentionLess orders retentions totally, so that Merge does not depend on an order of arrival.
func (a Attributes) retentionLess(b Attributes) bool {
	ca, cb := a.Retention.Mode == Compliance, b.Retention.Mode == Compliance
	if ca != cb {
		return cb
	}
	if ca {
		if d := a.Retention.Until.Compare(b.Retention.Until); d != 0 {
			return d < 0
		}
	}
	return a.RetentionAt.Less(b.RetentionAt.VersionID)
}

// Equal says whether two are the same.
func (a Attributes) Equal(b Attributes) bool {
	return slices.Equal(a.Tags, b.Tags) && a.TagsAt == b.TagsAt && a.Retention.Mode == b.Retention.Mode &&
		a.Retention.Until.Equal(b.Retention.Until) && a.RetentionAt == b.RetentionAt && a.Hold == b.Hold && a.HoldAt == b.HoldAt
}

// Protected says whether the version may not be removed at a time; bypass lifts governance.
func (a Attributes) Protected(now time.Time, bypass bool) bool {
	if a.Hold {
		return true
	}
	if !now.Before(a.Retention.Until) {
		return false
	}
	return a.Retention.Mode == Compliance || a.Retention.Mode == Governance && !bypass
}

// NullVersion stands for the null version of a key where a VersionID is asked for; no version has it.
var NullVersion = VersionID{Time: ^HLC(0), Origin: ^topo.RouterID(0)}
