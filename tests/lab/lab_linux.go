package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/galleon-net/galleon/tests/lab/wan"
)

// Names of the interfaces that every lab has.
const (
	WANInterface = "wan0" // a router's, to the wide-area network
	LANInterface = "lan"  // a router's, to its hosts: lan0, lan1, …
	HostIface    = "eth0" // a host's, to its router
)

// Sizes of interfaces.
const (
	defaultMTU = 1500
	// wanQueue is how many packets a kernel may hold for the network to read: 2 ms of 100-byte packets at
	// 4 Gbit/s, so that the network's thread may be kept waiting that long.
	wanQueue = 10000
)

// Lab is a running topology.
type Lab struct {
	links   string
	network *carrier

	mu    sync.Mutex
	sites map[string]*Site
}

// Site is one data centre: a router's namespace, and its hosts'.
type Site struct {
	Spec   SiteSpec
	Router *NS
	Hosts  []*Host // in the order of the spec
	device *wan.Device
}

// Host is a host's namespace and its addresses.
type Host struct {
	*NS
	Addresses []netip.Prefix
}

// Addr gives the host's first address of IPv4, or of IPv6.
func (h *Host) Addr(v6 bool) netip.Addr {
	for _, a := range h.Addresses {
		if a.Addr().Is6() == v6 {
			return a.Addr()
		}
	}
	return netip.Addr{}
}

// New builds a topology and starts its network, in a process of its own, so that packets do not wait for what
// this one is busy with. Call Enter before.
func New(t Topology) (*Lab, error) {
	if err := t.Check(); err != nil {
		return nil, err
	}
	if !Inside() {
		return nil, errors.New("build a lab: the program must call lab.Enter first")
	}
	network, err := startCarrier(t.Seed)
	if err != nil {
		return nil, err
	}
	l := &Lab{links: t.Links, network: network, sites: map[string]*Site{}}
	for _, s := range t.Sites {
		if _, err := l.AddSite(s); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	for _, p := range t.Paths {
		if err := l.setPath(p); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return l, nil
}

func (l *Lab) setPath(p PathSpec) error {
	ends := p.ends()
	if p.From != "" {
		_, err := l.network.Set(ends[0], ends[1], p.Set)
		return err
	}
	return l.network.SetBoth(ends[0], ends[1], p.Set)
}

// Network is the wide-area network, whose links may be changed at any time.
func (l *Lab) Network() *wan.Client { return l.network.Client }

// Site finds a site by name. It panics when there is none: a test's mistake.
func (l *Lab) Site(name string) *Site {
	l.mu.Lock()
	defer l.mu.Unlock()
	s, ok := l.sites[name]
	if !ok {
		panic(fmt.Sprintf("lab: no site %q", name))
	}
	return s
}

// Sites gives all sites in the order of their names.
func (l *Lab) Sites() []*Site {
	l.mu.Lock()
	defer l.mu.Unlock()
	sites := make([]*Site, 0, len(l.sites))
	for _, s := range l.sites {
		sites = append(sites, s)
	}
	slices.SortFunc(sites, func(a, b *Site) int {
		if a.Spec.Name < b.Spec.Name {
			return -1
		}
		return 1
	})
	return sites
}

// AddSite opens a new site while the lab runs. Its links have the measured delays, and the topology's Links.
func (l *Lab) AddSite(spec SiteSpec) (*Site, error) {
	if err := spec.Check(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.sites[spec.Name]; ok {
		return nil, fmt.Errorf("open site %s: there is one of that name", spec.Name)
	}
	s := &Site{Spec: spec}
	err := s.build()
	if err == nil {
		err = l.connect(s)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("open site %s: %w", spec.Name, err)
	}
	l.sites[spec.Name] = s
	return s, nil
}

// connect attaches a built site and sets its links.
func (l *Lab) connect(s *Site) error {
	prefixes := make([]netip.Prefix, len(s.Spec.Addresses))
	for i, a := range s.Spec.Addresses {
		prefixes[i] = netip.PrefixFrom(a, a.BitLen())
	}
	if err := l.network.Attach(s.Spec.Name, s.device, prefixes...); err != nil {
		return err
	}
	for _, o := range l.sites {
		for _, d := range [][2]*Site{{s, o}, {o, s}} {
			from, to := d[0].Spec, d[1].Spec
			set := l.links
			if rtt, ok := LookupRTT(from.where(), to.where()); ok {
				set = "rtt=" + rtt.Duration.String() + " " + set
			}
			if _, err := l.network.Set(from.Name, to.Name, set); err != nil {
				l.network.Detach(s.Spec.Name)
				return err
			}
		}
	}
	return nil
}

// RemoveSite takes a site off the network, kills what runs there and closes its namespaces.
func (l *Lab) RemoveSite(name string) error {
	s := l.Site(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.sites, name)
	return errors.Join(l.network.Detach(name), s.close())
}

// Isolate cuts a site off from all others, or brings all its links back.
func (l *Lab) Isolate(name string, cut bool) error {
	change := "heal"
	if cut {
		change = "cut"
	}
	for _, o := range l.Sites() {
		if o.Spec.Name == name {
			continue
		}
		if err := l.network.SetBoth(name, o.Spec.Name, change); err != nil {
			return err
		}
	}
	return nil
}

// Close ends everything in the lab.
func (l *Lab) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	for _, s := range l.sites {
		err = errors.Join(err, s.close())
	}
	l.sites = map[string]*Site{}
	return errors.Join(err, l.network.stop())
}
