package lab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestRTT(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     time.Duration
		measured bool
	}{
		{"cn-hangzhou", "mx-queretaro", 202200 * time.Microsecond, false},
		{"cn-hangzhou-a", "mx-queretaro-a", 202200 * time.Microsecond, false},
		{"ap-tokyo", "ap-singapore", 70500 * time.Microsecond, true},
		{"ap-singapore", "ap-tokyo", 70700 * time.Microsecond, true},
		{"ap-bangkok-a", "ap-bangkok-b", 1200 * time.Microsecond, false},
		{"ap-tokyo", "ap-bangkok-b", 98200 * time.Microsecond, false},
		{"ap-tokyo-a", "ap-tokyo-b", sameRegion, false},
		{"ap-tokyo-a", "ap-tokyo-a", sameZone, false},
	} {
		rtt, ok := LookupRTT(c.from, c.to)
		if !ok || rtt.Duration != c.want || strings.HasPrefix(rtt.Source, "measured") != c.measured {
			t.Errorf("%s to %s: %+v, want %v", c.from, c.to, rtt, c.want)
		}
	}
	// Every region that the project speaks of is there, both ways to every other.
	regions := strings.Fields(`cn-hangzhou ap-singapore ap-tokyo eu-frankfurt mx-queretaro ap-bangkok ap-seoul ap-hongkong ap-jakarta
		eu-london ap-mumbai sa-saopaulo ap-sydney us-virginia us-siliconvalley me-dubai cn-shanghai`)
	for _, a := range regions {
		for _, b := range regions {
			if rtt, ok := LookupRTT(a, b); !ok || rtt.Duration <= 0 || rtt.Duration > 500*time.Millisecond {
				t.Errorf("%s to %s: %+v, %v", a, b, rtt, ok)
			}
		}
	}
	for _, stranger := range []string{"", "tokyo", "mars-olympus", "ap-", "x-from"} {
		if _, ok := LookupRTT(stranger, "ap-tokyo"); ok {
			t.Errorf("%q has a round-trip time", stranger)
		}
	}
}

func TestTopology(t *testing.T) {
	top, err := LoadTopology("testdata/pacific.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(top.Sites) != 4 || top.Sites[0].Hosts[0].Name != "web" || top.Sites[3].MTU != 1400 || top.Paths[1].ends() != [2]string{"hangzhou", "bangkok-a"} {
		t.Errorf("%+v", top)
	}
	for text, want := range map[string]string{
		"site: []":                                             "field site not found",
		"sites: [{name: a}]":                                   "site a has no address",
		"sites: [{addresses: [1.2.3.4]}]":                      "a site has no name",
		"sites: [{name: a, addresses: [1.2.3]}]":               "1.2.3",
		"sites: [{name: a, addresses: [1.2.3.4], zone: mars}]": `no round-trip times for zone "mars"`,
		"sites: [{name: a, addresses: [1.2.3.4], mtu: 9}]":     "mtu 9: want 576 to 65535",
		"sites: [{name: a, addresses: [1.1.1.1]}, {name: a, addresses: [1.1.1.2]}]":              "two sites are named a",
		"sites: [{name: a, addresses: [1.1.1.1]}, {name: b, addresses: [1.1.1.1]}]":              "address 1.1.1.1 is another site's too",
		"paths: [{from: a, to: b, set: cut}]":                                                    `path "cut": no site "a"`,
		"sites: [{name: a, addresses: [1.1.1.1], hosts: [{name: h, addresses: [10.0.0.1/24]}]}]": "leaves no address for the router",
		"sites: [{name: a, addresses: [1.1.1.1], hosts: [{name: h}]}]":                           "a host lacks a name or an address",
	} {
		if _, err := ParseTopology([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
	long := filepath.Join(t.TempDir(), "long.yaml")
	if err := os.WriteFile(long, []byte(strings.Repeat("# \n", maxTopologyFile/2)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{long, "testdata/none.yaml"} {
		if _, err := LoadTopology(path); err == nil {
			t.Errorf("%s was read", path)
		}
	}
}
