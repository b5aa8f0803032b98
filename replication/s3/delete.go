package s3

import (
	"encoding/xml"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/galleon-net/galleon/replication/object"
)

func (c *call) deleteObject() error {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	id, err := c.versionOfBucket(b)
	if err != nil {
		return err
	}
	var o DeleteOptions
	if o.Conditions, err = c.writeConditions(); err != nil {
		return err
	}
	if err := o.more(c.header.Get("X-Amz-If-Match-Size"), c.header.Get("X-Amz-If-Match-Last-Modified-Time")); err != nil {
		return err
	}
	if o.BypassGovernance, err = c.bypasses(); err != nil {
		return err
	}
	d, err := c.h.cfg.Backend.DeleteObject(c.ctx, c.bucket, c.key, id, o)
	if err != nil {
		return o.whichFailed(err)
	}
	if d.DeleteMarker {
		c.w.Header()["x-amz-delete-marker"] = []string{"true"}
	}
	c.showVersion(b, d.version())
	if asked := c.value("versionId"); asked != "" {
		c.w.Header()["x-amz-version-id"] = []string{asked}
	}
	c.empty(http.StatusNoContent)
	return nil
}

// more reads the conditions that deletes alone may have.
func (o *DeleteOptions) more(size, modified string) error {
	if size != "" {
		n, err := strconv.ParseInt(size, 10, 64)
		if err != nil || n < 0 {
			return badArgument("x-amz-if-match-size", size, "x-amz-if-match-size must be a size in bytes")
		}
		o.IfMatchSize = &n
	}
	if modified != "" {
		t, ok := httpDate(modified)
		if !ok {
			var err error
			if t, err = time.Parse(time.RFC3339, modified); err != nil {
				return badArgument("x-amz-if-match-last-modified-time", modified, "x-amz-if-match-last-modified-time must be a date")
			}
		}
		o.IfMatchModified = t
	}
	return nil
}

// whichFailed names the condition that did not hold, where there is one that it can have been.
func (o *DeleteOptions) whichFailed(err error) error {
	if !errors.Is(err, ErrPrecondition) {
		return err
	}
	switch {
	case o.IfMatch != "":
		return failed("If-Match").because(err)
	case o.IfMatchSize != nil:
		return failed("If-Match-Size").because(err)
	case !o.IfMatchModified.IsZero():
		return failed("If-Match-Last-Mod-Time").because(err)
	}
	return err
}

// version gives what was made or removed, as far as it has a name.
func (d Deleted) version() object.Version {
	return object.Version{ID: d.ID, Null: d.Null, DeleteMarker: d.DeleteMarker}
}

type deletedXML struct {
	Key                   string
	VersionID             string `xml:"VersionId,omitempty"`
	DeleteMarker          *bool  `xml:",omitempty"`
	DeleteMarkerVersionID string `xml:"DeleteMarkerVersionId,omitempty"`
}

type deleteErrorXML struct {
	Key       string
	VersionID string `xml:"VersionId,omitempty"`
	Code      string
	Message   string
}

// deletesAtOnce is how many deletes of one request run at a time: they wait for the disk, and together
// share its syncs.
const deletesAtOnce = 16

func (c *call) deleteObjects() error {
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	var doc struct {
		XMLName xml.Name `xml:"Delete"`
		Quiet   bool
		Objects []struct {
			Key              string
			VersionID        string `xml:"VersionId"`
			ETag             string
			LastModifiedTime string
			Size             string
		} `xml:"Object"`
	}
	if err := c.readXML(&doc, maxManifest, false); err != nil {
		return err
	}
	if len(doc.Objects) == 0 || len(doc.Objects) > maxKeys {
		return refuse("MalformedXML")
	}
	var out struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
		Deleted []deletedXML
		Errors  []deleteErrorXML `xml:"Error"`
	}
	bypass, err := c.bypasses()
	if err != nil {
		return err
	}
	done := make([]Deleted, len(doc.Objects))
	errs := make([]error, len(doc.Objects))
	var g errgroup.Group
	g.SetLimit(deletesAtOnce)
	for i, o := range doc.Objects {
		g.Go(func() error {
			errs[i] = guarded(func() (err error) {
				opts := DeleteOptions{Conditions: Conditions{IfMatch: unquote(o.ETag)}, BypassGovernance: bypass}
				if err = opts.more(o.Size, o.LastModifiedTime); err == nil {
					done[i], err = c.deleteOne(b, o.Key, o.VersionID, opts)
				}
				return opts.whichFailed(err)
			})
			return nil
		})
	}
	_ = g.Wait() // each has its own error
	if c.anonymous() && !slices.ContainsFunc(errs, func(err error) bool { return err == nil || asAPIError(err).Code != "AccessDenied" }) {
		return refuse("AccessDenied") // a stranger who may delete none of them is not told which there are
	}
	for i, o := range doc.Objects {
		d := done[i]
		if errs[i] != nil {
			e := asAPIError(errs[i])
			out.Errors = append(out.Errors, deleteErrorXML{o.Key, o.VersionID, e.Code, e.Message})
			continue
		}
		if doc.Quiet {
			continue
		}
		x := deletedXML{Key: o.Key, VersionID: o.VersionID}
		if d.DeleteMarker || o.VersionID != "" {
			x.DeleteMarker = &d.DeleteMarker
		}
		if d.DeleteMarker && !unversioned(b) {
			x.DeleteMarkerVersionID = versionName(b, d.version())
		}
		out.Deleted = append(out.Deleted, x)
	}
	return c.writeXML(http.StatusOK, out)
}

// deleteOne deletes one key of a list: each is checked as if it came alone.
func (c *call) deleteOne(b object.Bucket, key, version string, o DeleteOptions) (Deleted, error) {
	if key == "" {
		return Deleted{}, badArgument("Key", "", "the key is empty")
	}
	if err := checkKey(key); err != nil {
		return Deleted{}, err
	}
	id, err := ParseVersionID(version)
	if err != nil {
		return Deleted{}, err
	}
	action := "s3:DeleteObject"
	if version != "" {
		action = "s3:DeleteObjectVersion"
	}
	if err := c.authorize(action, c.bucket, key); err != nil {
		return Deleted{}, err
	}
	if id == object.NullVersion && unversioned(b) {
		id = object.VersionID{}
	}
	return c.h.cfg.Backend.DeleteObject(c.ctx, c.bucket, key, id, o)
}
