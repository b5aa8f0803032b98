package s3

import (
	"encoding/xml"
	"net/http"

	"golang.org/x/sync/errgroup"

	"github.com/galleon-net/galleon/replication/object"
)

func (c *call) deleteObject() error {
	for _, n := range []string{"X-Amz-If-Match-Size", "X-Amz-If-Match-Last-Modified-Time"} {
		if c.header.Get(n) != "" {
			return notImplemented(n) // a condition that is ignored deletes what should stay
		}
	}
	b, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket)
	if err != nil {
		return err
	}
	id, err := c.versionOf()
	if err != nil {
		return err
	}
	cond, err := c.writeConditions()
	if err != nil {
		return err
	}
	d, err := c.h.cfg.Backend.DeleteObject(c.ctx, c.bucket, c.key, id, cond)
	if err != nil {
		return err
	}
	if d.DeleteMarker {
		c.w.Header()["x-amz-delete-marker"] = []string{"true"}
	}
	c.showVersion(b, d.ID)
	c.empty(http.StatusNoContent)
	return nil
}

type deletedXML struct {
	Key                   string
	VersionID             string `xml:"VersionId,omitempty"`
	DeleteMarker          bool   `xml:",omitempty"`
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
		return apiErr("MalformedXML", "a request deletes 1 to %d objects and this one names %d", maxKeys, len(doc.Objects))
	}
	var out struct {
		XMLName xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ DeleteResult"`
		Deleted []deletedXML
		Errors  []deleteErrorXML `xml:"Error"`
	}
	for _, o := range doc.Objects {
		if o.LastModifiedTime != "" || o.Size != "" {
			return notImplemented("deleting on the condition of a size or a time")
		}
	}
	done := make([]Deleted, len(doc.Objects))
	errs := make([]error, len(doc.Objects))
	var g errgroup.Group
	g.SetLimit(deletesAtOnce)
	for i, o := range doc.Objects {
		g.Go(func() error {
			errs[i] = guarded(func() (err error) {
				done[i], err = c.deleteOne(o.Key, o.VersionID, unquote(o.ETag))
				return err
			})
			return nil
		})
	}
	_ = g.Wait() // each has its own error
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
		x := deletedXML{Key: o.Key, VersionID: o.VersionID, DeleteMarker: d.DeleteMarker}
		if d.DeleteMarker && b.Versioning {
			x.DeleteMarkerVersionID = FormatVersionID(d.ID)
		}
		out.Deleted = append(out.Deleted, x)
	}
	return c.writeXML(http.StatusOK, out)
}

// deleteOne deletes one key of a list: each is checked as if it came alone.
func (c *call) deleteOne(key, version, etag string) (Deleted, error) {
	if key == "" {
		return Deleted{}, apiErr("InvalidArgument", "the key is empty")
	}
	if err := checkKey(key); err != nil {
		return Deleted{}, err
	}
	var id object.VersionID
	id, err := ParseVersionID(version)
	if err != nil {
		return Deleted{}, err
	}
	if err := c.authorize("s3:DeleteObject", c.bucket, key); err != nil {
		return Deleted{}, err
	}
	return c.h.cfg.Backend.DeleteObject(c.ctx, c.bucket, key, id, Conditions{IfMatch: etag})
}
