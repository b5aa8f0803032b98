package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"

	"github.com/galleon-net/galleon/tests/lab/wan"
)

// Settings of every namespace. The socket buffers let one TCP connection fill 1 Gbit/s over 200 ms; a user
// namespace cannot raise the limits of setsockopt (net.core.rmem_max), but TCP's own tuning does not heed those.
var (
	hostV4 = map[string]string{
		"net.ipv4.tcp_rmem": "4096 131072 67108864",
		"net.ipv4.tcp_wmem": "4096 65536 67108864",
		// A path that was cut and healed must not be judged by what TCP remembers of it.
		"net.ipv4.tcp_no_metrics_save": "1",
	}
	hostV6 = map[string]string{
		"net.ipv6.conf.all.disable_ipv6":      "0",
		"net.ipv6.conf.default.disable_ipv6":  "0",
		"net.ipv6.conf.default.accept_ra":     "0",
		"net.ipv6.conf.default.addr_gen_mode": "1", // no link-local addresses, hence no chatter on the wide-area network
	}
	routerV4 = with(hostV4, "net.ipv4.ip_forward", "1", "net.ipv4.conf.all.rp_filter", "0", "net.ipv4.conf.default.rp_filter", "0")
	routerV6 = with(hostV6, "net.ipv6.conf.all.forwarding", "1")
)

func with(m map[string]string, more ...string) map[string]string {
	m = maps.Clone(m)
	for i := 0; i < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	return m
}

// build makes a site's namespaces, cables and device.
func (s *Site) build() error {
	var err error
	if s.Router, err = newNS(s.Spec.Name, routerV4, routerV6); err != nil {
		return err
	}
	if err := s.buildWAN(); err != nil {
		return err
	}
	for i, spec := range s.Spec.Hosts {
		ns, err := newNS(s.Spec.Name+"/"+spec.Name, hostV4, hostV6)
		if err != nil {
			return err
		}
		h := &Host{NS: ns, Addresses: spec.Addresses}
		s.Hosts = append(s.Hosts, h)
		if err := s.cable(h, fmt.Sprint(LANInterface, i)); err != nil {
			return err
		}
	}
	return nil
}

// newNS makes a namespace with settings; IPv6's are left out where the kernel has no IPv6.
func newNS(name string, v4, v6 map[string]string) (*NS, error) {
	ns, err := NewNS(name)
	if err != nil {
		return nil, err
	}
	err = ns.Sysctl(v4)
	if _, missing := ns.ReadSysctl("net.ipv6.conf.all.forwarding"); err == nil && !errors.Is(missing, fs.ErrNotExist) {
		err = ns.Sysctl(v6)
	}
	if err != nil {
		ns.Close()
		return nil, err
	}
	return ns, nil
}

// buildWAN makes the router's way to all other sites: its default route, as a router on the Internet has one.
// What should go through a tunnel and does not, goes there.
func (s *Site) buildWAN() error {
	r := s.Router
	err := r.Do(func() (err error) {
		s.device, err = wan.OpenDevice(WANInterface, wan.UDPOffload)
		return err
	})
	if err != nil {
		return err
	}
	mtu := s.Spec.MTU
	if mtu == 0 {
		mtu = defaultMTU
	}
	if err := errors.Join(r.SetMTU(WANInterface, mtu), r.SetQueue(WANInterface, wanQueue), r.Up(WANInterface)); err != nil {
		return err
	}
	routed := map[netip.Prefix]bool{}
	for _, a := range s.Spec.Addresses {
		if err := r.AddAddress(WANInterface, netip.PrefixFrom(a, a.BitLen())); err != nil {
			return err
		}
		if all := defaultFor(a); !routed[all] {
			routed[all] = true
			if err := r.AddRoute(all, WANInterface, netip.Addr{}); err != nil {
				return err
			}
		}
	}
	return nil
}

// cable joins a host to its router.
func (s *Site) cable(h *Host, routerIface string) error {
	if err := Veth(s.Router, routerIface, h.NS, HostIface, defaultMTU); err != nil {
		return err
	}
	for _, a := range h.Addresses {
		via := gateway(a)
		if err := errors.Join(
			s.Router.AddAddress(routerIface, netip.PrefixFrom(via, a.Bits())),
			h.AddAddress(HostIface, a),
		); err != nil {
			return err
		}
		if err := h.AddRoute(defaultFor(a.Addr()), HostIface, via); err != nil {
			return err
		}
	}
	return nil
}

// close ends what runs in the site. The device is the network's once it is attached; closing it again does no harm.
func (s *Site) close() error {
	var err error
	for _, h := range s.Hosts {
		err = errors.Join(err, h.Close())
	}
	if s.Router != nil {
		err = errors.Join(err, s.Router.Close())
	}
	if s.device != nil {
		s.device.Close()
	}
	return err
}
