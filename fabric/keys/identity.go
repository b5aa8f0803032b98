package keys

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/galleon-net/galleon/fabric/topo"
)

// Identity is who a certificate says its holder is.
type Identity struct {
	Cluster     string        // the trust domain
	Incarnation uint32        // counts restores from a backup, from 1
	Region      topo.Region   //
	Zone        topo.Zone     //
	Router      topo.RouterID //
}

// maxCluster bounds a cluster's name, so that an identity fits a line.
const maxCluster = 40

// CheckCluster refuses a cluster name that is not lower-case letters, digits and inner hyphens.
func CheckCluster(name string) error {
	if name == "" || len(name) > maxCluster {
		return fmt.Errorf("cluster name %q: want 1 to %d characters", name, maxCluster)
	}
	for i, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-' && i > 0 && i < len(name)-1:
		default:
			return fmt.Errorf("cluster name %q: want lower-case letters, digits and inner hyphens", name)
		}
	}
	return nil
}

// Check refuses an identity that could not stand in a certificate.
func (id Identity) Check() error {
	if err := CheckCluster(id.Cluster); err != nil {
		return err
	}
	if id.Incarnation == 0 {
		return fmt.Errorf("identity of %v: incarnation 0, they count from 1", id.Router)
	}
	if id.Router == 0 {
		return fmt.Errorf("identity in cluster %s: router 0 is no router", id.Cluster)
	}
	if err := topo.CheckRegion(id.Region); err != nil {
		return err
	}
	return topo.CheckZone(id.Region, id.Zone)
}

// URI gives the form that certificates carry.
func (id Identity) URI() string {
	return fmt.Sprintf("spiffe://%s/inc/%d/region/%s/zone/%s/router/%d",
		id.Cluster, id.Incarnation, id.Region, id.Zone, uint32(id.Router))
}

// String gives the form that people read: r7 (mx-queretaro-a).
func (id Identity) String() string { return fmt.Sprintf("%v (%s)", id.Router, id.Zone) }

// ParseIdentity reads the form that URI gives, and only that: what it accepts it would print the same.
func ParseIdentity(uri string) (Identity, error) {
	bad := func(why string) (Identity, error) {
		return Identity{}, fmt.Errorf("identity %.200q: %s", uri, why)
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "spiffe" {
		return bad("not a spiffe URI")
	}
	p := strings.Split(u.Path, "/")
	if len(p) != 9 || p[0] != "" || p[1] != "inc" || p[3] != "region" || p[5] != "zone" || p[7] != "router" {
		return bad("want spiffe://<cluster>/inc/<n>/region/<region>/zone/<zone>/router/<n>")
	}
	inc, err1 := strconv.ParseUint(p[2], 10, 32)
	router, err2 := strconv.ParseUint(p[8], 10, 32)
	if err1 != nil || err2 != nil {
		return bad("incarnation and router must be numbers")
	}
	id := Identity{Cluster: u.Host, Incarnation: uint32(inc), Region: topo.Region(p[4]), Zone: topo.Zone(p[6]), Router: topo.RouterID(router)}
	if err := id.Check(); err != nil {
		return bad(err.Error())
	}
	if id.URI() != uri {
		return bad("not in its plain form: " + id.URI())
	}
	return id, nil
}
