package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"

	"go.yaml.in/yaml/v3"
)

// Topology is a lab as a file describes it.
type Topology struct {
	// Seed decides what the links lose, reorder and double.
	Seed uint64 `yaml:"seed"`
	// Links is how every link is set, on top of the delays that the table of round-trip times gives: text as
	// wan.Params.Apply reads it, like "rate=1gbit queue=8MB".
	Links string `yaml:"links"`
	// Sites are the data centres, each with one router.
	Sites []SiteSpec `yaml:"sites"`
	// Paths says what is different on some links, in order.
	Paths []PathSpec `yaml:"paths"`
}

// SiteSpec is a router and the hosts behind it.
type SiteSpec struct {
	Name string `yaml:"name"`
	// Zone is the region or zone whose round-trip times the site has; Name when empty. A site in neither has
	// links without delay until Paths says otherwise.
	Zone string `yaml:"zone"`
	// Addresses are the router's on the wide-area network, IPv4, IPv6 or both.
	Addresses []netip.Addr `yaml:"addresses"`
	// MTU is that of the router's interface to the wide-area network, in bytes; 1500 when 0.
	MTU int `yaml:"mtu"`
	// Hosts stand behind the router, each on a cable of its own.
	Hosts []HostSpec `yaml:"hosts"`
}

// HostSpec is a host behind a router.
type HostSpec struct {
	Name string `yaml:"name"`
	// Addresses are the host's, each with the length of its network's prefix. The router has the first
	// address of that network and is the host's default route.
	Addresses []netip.Prefix `yaml:"addresses"`
}

// PathSpec changes the link From one site To another, or both directions Between two.
type PathSpec struct {
	From    string    `yaml:"from"`
	To      string    `yaml:"to"`
	Between [2]string `yaml:"between"`
	Set     string    `yaml:"set"`
}

// Bounds of a topology: a lab is one machine.
const (
	maxTopologyFile = 1 << 20
	maxSites        = 64
	maxHosts        = 16 // per site
)

// LoadTopology reads a topology file (YAML). Unknown keys are refused.
func LoadTopology(path string) (Topology, error) {
	f, err := os.Open(path)
	if err != nil {
		return Topology{}, fmt.Errorf("read topology: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTopologyFile+1))
	if err == nil && len(b) > maxTopologyFile {
		err = fmt.Errorf("longer than %d bytes", maxTopologyFile)
	}
	if err != nil {
		return Topology{}, fmt.Errorf("read topology %s: %w", path, err)
	}
	t, err := ParseTopology(b)
	if err != nil {
		return t, fmt.Errorf("topology %s: %w", path, err)
	}
	return t, nil
}

// ParseTopology reads the text of a topology file.
func ParseTopology(b []byte) (Topology, error) {
	var t Topology
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&t); err != nil && !errors.Is(err, io.EOF) {
		return t, err
	}
	return t, t.Check()
}

// Check refuses a topology that cannot be built, as far as can be said without building it.
func (t Topology) Check() error {
	if len(t.Sites) > maxSites {
		return fmt.Errorf("%d sites: a lab has at most %d", len(t.Sites), maxSites)
	}
	seen := map[string]bool{}
	for _, s := range t.Sites {
		if err := s.Check(); err != nil {
			return err
		}
		for _, a := range s.Addresses {
			if seen[a.String()] {
				return fmt.Errorf("site %s: address %v is another site's too", s.Name, a)
			}
			seen[a.String()] = true
		}
		if seen[s.Name] {
			return fmt.Errorf("two sites are named %s", s.Name)
		}
		seen[s.Name] = true
	}
	for _, p := range t.Paths {
		for _, name := range p.ends() {
			if !seen[name] {
				return fmt.Errorf("path %q: no site %q", p.Set, name)
			}
		}
	}
	return nil
}

// Check refuses a site that cannot be built.
func (s SiteSpec) Check() error {
	switch {
	case s.Name == "":
		return errors.New("a site has no name")
	case len(s.Addresses) == 0:
		return fmt.Errorf("site %s has no address", s.Name)
	case len(s.Hosts) > maxHosts:
		return fmt.Errorf("site %s has %d hosts: at most %d", s.Name, len(s.Hosts), maxHosts)
	case s.MTU != 0 && (s.MTU < 576 || s.MTU > 65535):
		return fmt.Errorf("site %s: mtu %d: want 576 to 65535", s.Name, s.MTU)
	}
	if _, ok := PlaceOf(s.Zone); s.Zone != "" && !ok {
		return fmt.Errorf("site %s: there are no round-trip times for zone %q", s.Name, s.Zone)
	}
	for _, h := range s.Hosts {
		if h.Name == "" || len(h.Addresses) == 0 {
			return fmt.Errorf("site %s: a host lacks a name or an address", s.Name)
		}
		for _, a := range h.Addresses {
			if a.Addr() == gateway(a) || a.IsSingleIP() || a.Addr() == a.Masked().Addr() {
				return fmt.Errorf("site %s: host %s: %v leaves no address for the router", s.Name, h.Name, a)
			}
		}
	}
	return nil
}

// where is the zone or region that the table knows the site by.
func (s SiteSpec) where() string {
	if s.Zone != "" {
		return s.Zone
	}
	return s.Name
}

// ends names the sites of a path: two for one direction, two for both.
func (p PathSpec) ends() [2]string {
	if p.From != "" || p.To != "" {
		return [2]string{p.From, p.To}
	}
	return p.Between
}

// gateway is the router's address on a host's network: the first.
func gateway(host netip.Prefix) netip.Addr { return host.Masked().Addr().Next() }
