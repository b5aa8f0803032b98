package fabric

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
)

func goodConfig() Config {
	return Config{
		Self: 1, Cluster: cluster, Incarnation: 1,
		Routers: []Router{{
			ID: 1, Name: "edge-1", Region: "ap-tokyo", Zone: "ap-tokyo-a", PublicKey: make([]byte, 32),
			Endpoints: []netip.AddrPort{addrOf(1)},
			Loopbacks: []topo.SegPrefix{prefix("100.64.0.1/32")},
			Grants:    []topo.SegPrefix{prefix("10.1.0.0/16"), prefix("fd00:1::/32")},
		}},
		Announce: []topo.SegPrefix{prefix("10.1.0.0/16")},
	}
}

func TestConfigCheck(t *testing.T) {
	if err := goodConfig().Check(); err != nil {
		t.Fatalf("a good config: %v", err)
	}
	for _, tt := range []struct {
		name  string
		spoil func(*Config)
		want  string
	}{
		{"no self", func(c *Config) { c.Self = 0 }, "set self"},
		{"self unknown", func(c *Config) { c.Self = 9 }, "r9 is not among"},
		{"MTU", func(c *Config) { c.FabricMTU = 1279 }, "want 1280 to"},
		{"rekey", func(c *Config) { c.RekeyAfter = time.Millisecond }, "want a second to"},
		{"rekey never", func(c *Config) { c.RekeyAfter = time.Hour }, "want a second to"},
		{"rekey packets", func(c *Config) { c.RekeyPackets = 1 << 30 }, "packets"},
		{"twice", func(c *Config) { c.Routers = append(c.Routers, c.Routers[0]) }, "twice"},
		{"no number", func(c *Config) { c.Routers = append(c.Routers, Router{}) }, "no number"},
		{"key", func(c *Config) { c.Routers[0].PublicKey = nil }, "public key has 0 octets"},
		{"endpoint", func(c *Config) { c.Routers[0].Endpoints = []netip.AddrPort{{}} }, "an address and a port"},
		{"loopback", func(c *Config) { c.Routers[0].Loopbacks = []topo.SegPrefix{prefix("100.64.0.0/24")} }, "single address"},
		{"grant", func(c *Config) { c.Routers[0].Grants = []topo.SegPrefix{prefix("10.1.2.3/16")} }, "no bits after"},
		{"announce", func(c *Config) { c.Announce = []topo.SegPrefix{{}} }, "announce"},
		{"too many", func(c *Config) { c.Announce = make([]topo.SegPrefix, MaxAnnounce+1) }, "announce larger"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := goodConfig()
			tt.spoil(&c)
			if err := c.Check(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestConfigTravelsAsJSON(t *testing.T) {
	c := goodConfig()
	b, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	var d Config
	if err := json.Unmarshal(b, &d); err != nil || !reflect.DeepEqual(c, d) {
		t.Errorf("%v: %s came back as %+v", err, b, d)
	}
}

func TestGranted(t *testing.T) {
	r := goodConfig().Routers[0]
	for p, want := range map[string]bool{
		"10.1.0.0/16": true, "10.1.5.0/24": true, "10.0.0.0/8": false, "10.2.0.0/16": false,
		"100.64.0.1/32": true, "100.64.0.2/32": false, "fd00:1:2::/48": true,
	} {
		if got := r.granted(prefix(p)); got != want {
			t.Errorf("%s: %v", p, got)
		}
	}
	if r.granted(topo.SegPrefix{Segment: 4, Prefix: netip.MustParsePrefix("10.1.0.0/16")}) {
		t.Error("a grant holds in another segment")
	}
	if !slices.Equal(r.Grants, goodConfig().Routers[0].Grants) {
		t.Error("the grants changed")
	}
}
