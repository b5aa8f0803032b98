package lifecycle

import (
	"encoding/xml"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/galleon-net/galleon/replication/object"
)

func rules(s string) []byte {
	return []byte(`<LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` + s + `</LifecycleConfiguration>`)
}

func must(t *testing.T, s string) *Config {
	t.Helper()
	c, err := Parse(rules(s))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestParseRefuses(t *testing.T) {
	const good = `<Rule><Filter/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>`
	must(t, good)
	for name, doc := range map[string]string{
		"no rules":           ``,
		"another status":     strings.Replace(good, "Enabled", "On", 1),
		"no filter":          strings.Replace(good, "<Filter/>", "", 1),
		"filter and prefix":  strings.Replace(good, "<Filter/>", "<Filter/><Prefix>a</Prefix>", 1),
		"no days":            strings.Replace(good, "1", "0", 1),
		"days and date":      strings.Replace(good, "<Days>", "<Date>2030-01-01</Date><Days>", 1),
		"not midnight":       strings.Replace(good, "<Days>1</Days>", "<Date>2030-01-01T12:00:00Z</Date>", 1),
		"nothing to do":      strings.Replace(good, "<Expiration><Days>1</Days></Expiration>", "", 1),
		"marker by tag":      `<Rule><Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter><Status>Enabled</Status><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>`,
		"uploads by tag":     `<Rule><Filter><Tag><Key>k</Key><Value>v</Value></Tag></Filter><Status>Enabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>1</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>`,
		"noncurrent at once": `<Rule><Filter/><Status>Enabled</Status><NoncurrentVersionExpiration><NoncurrentDays>0</NoncurrentDays></NoncurrentVersionExpiration></Rule>`,
		"one ID twice":       strings.Repeat(strings.Replace(good, "<Rule>", "<Rule><ID>a</ID>", 1), 2),
		"no XML":             `<Rule>`,
	} {
		if _, err := Parse(rules(doc)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	_, err := Parse(rules(`<Rule><Filter/><Status>Enabled</Status><Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition></Rule>`))
	if !errors.Is(err, ErrNotSupported) {
		t.Errorf("a transition: %v", err)
	}
}

func TestExpires(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) // a Monday
	c := must(t, `<Rule><ID>logs</ID><Filter><And><Prefix>logs/</Prefix><Tag><Key>keep</Key><Value>no</Value></Tag><ObjectSizeGreaterThan>10</ObjectSizeGreaterThan></And></Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>
<Rule><ID>off</ID><Filter/><Status>Disabled</Status><Expiration><Days>1</Days></Expiration></Rule>
<Rule><ID>old</ID><Prefix>old/</Prefix><Status>Enabled</Status><NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays><NewerNoncurrentVersions>1</NewerNoncurrentVersions></NoncurrentVersionExpiration><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration></Rule>
<Rule><ID>day</ID><Filter><Prefix>day/</Prefix></Filter><Status>Enabled</Status><Expiration><Date>2026-12-01T00:00:00Z</Date></Expiration></Rule>
<Rule><ID>up</ID><Filter><Prefix>up/</Prefix></Filter><Status>Enabled</Status><AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>`)
	log := object.Version{Key: "logs/a", Size: 11, Modified: noon, Attributes: object.Attributes{Tags: []object.Tag{{Key: "x", Value: "y"}, {Key: "keep", Value: "no"}}}}
	small, tagless, marker := log, log, object.Version{Key: "old/m", DeleteMarker: true, Modified: noon}
	small.Size = 10
	tagless.Attributes.Tags = nil
	wednesday := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	latest := Place{Latest: true}
	for name, x := range map[string]struct {
		v    object.Version
		p    Place
		at   time.Time
		rule string
	}{
		"a moment before":       {log, latest, wednesday.Add(-1), ""},
		"on Wednesday":          {log, latest, wednesday, "logs"},
		"too small":             {small, latest, wednesday, ""},
		"without the tag":       {tagless, latest, wednesday, ""},
		"not the latest":        {log, Place{Replaced: noon}, wednesday, ""},
		"before the date":       {object.Version{Key: "day/x"}, latest, time.Date(2026, 11, 30, 23, 0, 0, 0, time.UTC), ""},
		"on the date":           {object.Version{Key: "day/x"}, latest, time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), "day"},
		"replaced, first":       {object.Version{Key: "old/x"}, Place{Replaced: noon, Newer: 0}, wednesday.AddDate(1, 0, 0), ""},
		"replaced, second":      {object.Version{Key: "old/x"}, Place{Replaced: noon, Newer: 1}, wednesday.AddDate(0, 0, 1), "old"},
		"replaced, a day early": {object.Version{Key: "old/x"}, Place{Replaced: noon, Newer: 1}, wednesday, ""},
		"a lone marker":         {marker, Place{Latest: true, Alone: true}, noon, "old"},
		"a marker that hides":   {marker, latest, wednesday, ""},
	} {
		if rule, yes := c.Expires(&x.v, x.p, x.at); rule != x.rule || yes != (x.rule != "") {
			t.Errorf("%s: rule %q, %v; want %q", name, rule, yes, x.rule)
		}
	}
	if at, rule := c.Expiry(&log); !at.Equal(wednesday) || rule != "logs" {
		t.Errorf("expires %v by %q", at, rule)
	}
	if c.Aborts("up/x", noon, noon.AddDate(0, 0, 7)) || !c.Aborts("up/x", noon, noon.AddDate(0, 0, 8)) || c.Aborts("other", noon, noon.AddDate(1, 0, 0)) {
		t.Error("uploads go after seven whole days, under their prefix")
	}
}

// FuzzParse: a document that is accepted is accepted again as it is written, and judges without a panic.
func FuzzParse(f *testing.F) {
	f.Add(rules(`<Rule><Filter/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule>`))
	f.Add(rules(`<Rule><Prefix>a</Prefix><Status>Enabled</Status><NoncurrentVersionExpiration><NoncurrentDays>3</NoncurrentDays></NoncurrentVersionExpiration></Rule>`))
	f.Fuzz(func(t *testing.T, doc []byte) {
		c, err := Parse(doc)
		if err != nil {
			return
		}
		v := object.Version{Key: "k", Modified: time.Unix(0, 0)}
		c.Expires(&v, Place{Latest: true}, time.Unix(1e9, 0))
		c.Expires(&v, Place{}, time.Unix(1e9, 0))
		c.Expiry(&v)
		c.XMLName = xml.Name{Local: "LifecycleConfiguration"}
		again, err := xml.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(again); err != nil {
			t.Errorf("%s: %v", again, err)
		}
	})
}
