package store

import (
	"encoding/binary"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/object"
)

// maxTags bounds a version's tags; S3 allows ten.
const maxTags = 50

// Attributes stand at the end of a version record:
//
//	uv number of tags, str key and str value each, change
//	byte retention (0 none, 1 governance, 2 compliance), uv until (ms since 1970; 0 for none), change
//	byte legal hold (0 or 1), change
//
// and a change is version (12), all ones for none, and str region.
func appendAttributes(b []byte, a *object.Attributes) []byte {
	b = binary.AppendUvarint(b, uint64(len(a.Tags)))
	for _, t := range a.Tags {
		b = appendString(appendString(b, t.Key), t.Value)
	}
	b = appendChange(b, a.TagsAt)
	var until uint64
	if !a.Retention.Until.IsZero() {
		until = uint64(a.Retention.Until.UnixMilli())
	}
	b = binary.AppendUvarint(append(b, modeByte(a.Retention.Mode)), until)
	b = appendChange(b, a.RetentionAt)
	if a.Hold {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return appendChange(b, a.HoldAt)
}

var modes = []object.Mode{"", object.Governance, object.Compliance}

func modeByte(m object.Mode) byte {
	for i := range modes {
		if modes[i] == m {
			return byte(i)
		}
	}
	return 0
}

func appendChange(b []byte, c object.Change) []byte {
	return appendString(appendVersionID(b, c.VersionID), string(c.Region))
}

func (d *decoder) attributes() (a object.Attributes) {
	if n := d.count(maxTags, 2); n > 0 {
		a.Tags = make([]object.Tag, n)
		for i := range a.Tags {
			a.Tags[i] = object.Tag{Key: d.string(), Value: d.string()}
		}
	}
	a.TagsAt = d.change()
	m := d.byte()
	if int(m) >= len(modes) {
		d.fail("retention mode")
		return a
	}
	a.Retention.Mode = modes[m]
	if until := d.uvarint(); until > 0 {
		a.Retention.Until = time.UnixMilli(int64(until)).UTC()
	}
	a.RetentionAt = d.change()
	hold := d.byte()
	if hold > 1 {
		d.fail("legal hold")
	}
	a.Hold = hold == 1
	a.HoldAt = d.change()
	return a
}

func (d *decoder) change() object.Change {
	return object.Change{VersionID: d.version(), Region: topo.Region(d.string())}
}

func appendStrings(b []byte, list []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

func (d *decoder) strings(most int) []string {
	n := d.count(most, 1)
	if n == 0 {
		return nil
	}
	out := make([]string, n)
	for i := range out {
		out[i] = d.string()
	}
	return out
}
