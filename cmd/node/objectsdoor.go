package node

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/replication/s3"
)

// s3Header marks a request on an authenticated stream as one for the object endpoint, passed on by a
// router of the same region.
const s3Header = ownHeaders + "Object-Request"

// Bounds on connections to the object endpoint.
const (
	maxObjectConns           = 1024
	maxObjectConnsPerAddress = 256
	signingCache             = time.Minute
)

// objectHandler makes the object endpoint. Requests for buckets that another router owns are passed on to
// it, unless this one is where they were passed on to.
func (c *Control) objectHandler(m *member, passOn bool) http.Handler {
	cfg := s3.Config{
		Backend: backend{c, m}, Keys: servingKeys{s3.CacheKeys(signer{c, m}, signingCache, time.Now), c, m}, Region: string(m.id.Region),
		AlsoRegions: []string{clientRegion}, Emit: emit[s3.Event](c.log, "s3"),
	}
	if passOn {
		cfg.Owner = func(context.Context, string) (http.RoundTripper, error) { return c.ownerOf(m) }
	}
	return s3.New(cfg)
}

// ownerOf gives the way to the router that owns this region's buckets, nil when it is this one.
func (c *Control) ownerOf(m *member) (http.RoundTripper, error) {
	o := m.consensus.View().Owners[m.id.Region]
	if o.Router == m.id.Router {
		return nil, nil
	}
	if o.Router == 0 {
		return nil, s3.ErrUnavailable
	}
	return passedOn{c.peerTransport(o.Router), o.Router}, nil
}

// passedOn marks requests on their way to the owner.
type passedOn struct {
	http.RoundTripper
	to topo.RouterID
}

func (p passedOn) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.WithContext(r.Context()) // a copy: a RoundTripper leaves the request that it is given as it is
	out.Header = r.Header.Clone()
	out.Header.Set(s3Header, "1")
	return p.RoundTripper.RoundTrip(out)
}

// serveS3 opens the object endpoint. The port is open for as long as the daemon lives, so until the router
// belongs to a cluster somebody has to say that it does not.
func (c *Control) serveS3() {
	if c.env.S3 == nil {
		return
	}
	c.serve(s3.LimitListener(c.env.S3, maxObjectConns, maxObjectConnsPerAddress), s3.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if m := c.current(); m != nil {
			m.front.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/xml")
		w.Header().Set("Retry-After", "10")
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintf(w, "%s<Error><Code>ServiceUnavailable</Code><Message>%s</Message></Error>", xml.Header, ErrNotMember.Message)
	})))
}

// serveOwned answers an object request that a router of this region passed on.
func (c *Control) serveOwned(w http.ResponseWriter, r *http.Request) {
	m := c.current()
	if m == nil {
		http.Error(w, ErrNotMember.Message, http.StatusServiceUnavailable)
		return
	}
	from := m.consensus.View().Routers[peerOf(r.Context())]
	if from.Region != m.id.Region || from.Revoked != nil {
		http.Error(w, "only routers of the region pass requests on", http.StatusForbidden)
		return
	}
	r.Header.Del(s3Header)
	m.owned.ServeHTTP(w, r)
}
