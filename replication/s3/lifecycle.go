package s3

import (
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/galleon-net/galleon/replication/lifecycle"
	"github.com/galleon-net/galleon/replication/object"
)

// maxLifecycle bounds a lifecycle's document, in bytes.
const maxLifecycle = object.MaxSetting

func (c *call) putLifecycle() error {
	if _, err := c.h.cfg.Backend.GetBucket(c.ctx, c.bucket); err != nil {
		return err
	}
	raw, err := c.document(maxLifecycle, true)
	if err != nil {
		return err
	}
	cfg, err := lifecycle.Parse(raw)
	switch {
	case errors.Is(err, lifecycle.ErrNotSupported):
		return notImplemented("lifecycle transitions: " + err.Error())
	case err != nil:
		return refuse("MalformedXML").because(err)
	}
	for i := range cfg.Rules {
		if cfg.Rules[i].ID == "" {
			cfg.Rules[i].ID = requestID() // S3 names rules that come without a name
		}
	}
	cfg.XMLName, cfg.Xmlns = xml.Name{Local: "LifecycleConfiguration"}, xmlns
	if err := c.keepXML(object.SettingLifecycle, cfg); err != nil {
		return err
	}
	c.empty(http.StatusOK)
	return nil
}

// showExpiry says when the object will expire by the bucket's rules.
func (c *call) showExpiry(b object.Bucket, v object.Version) {
	doc := b.Settings[object.SettingLifecycle]
	if doc == "" {
		return
	}
	cfg, err := c.h.lifecycles.get(doc, func() (*lifecycle.Config, error) { return lifecycle.Parse([]byte(doc)) })
	if err != nil {
		return
	}
	if at, rule := cfg.Expiry(&v); !at.IsZero() {
		c.w.Header()["x-amz-expiration"] = []string{fmt.Sprintf(`expiry-date="%s", rule-id="%s"`, at.UTC().Format(http.TimeFormat), url.QueryEscape(rule))}
	}
}
