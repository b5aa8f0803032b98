package config

import (
	"fmt"
	"net/netip"

	"go.yaml.in/yaml/v3"
)

// Endpoint is an address and a port whose error says where in the file it is.
type Endpoint struct{ netip.AddrPort }

// UnmarshalYAML reads 192.0.2.1:4700 or [2001:db8::1]:4700.
func (e *Endpoint) UnmarshalYAML(n *yaml.Node) error {
	a, err := netip.ParseAddrPort(n.Value)
	if err != nil {
		return fmt.Errorf("line %d: %q is not an address and a port, like 192.0.2.1:4700 or [::]:4700", n.Line, n.Value)
	}
	e.AddrPort = a
	return nil
}

// AddrPorts takes the wrapping off.
func AddrPorts(list []Endpoint) []netip.AddrPort {
	out := make([]netip.AddrPort, len(list))
	for i, e := range list {
		out[i] = e.AddrPort
	}
	return out
}

// Prefix is an address range whose error says where in the file it is.
type Prefix struct{ netip.Prefix }

// UnmarshalYAML reads 10.8.0.0/24.
func (p *Prefix) UnmarshalYAML(n *yaml.Node) error {
	v, err := netip.ParsePrefix(n.Value)
	if err != nil {
		return fmt.Errorf("line %d: %q is not a prefix, like 10.8.0.0/24", n.Line, n.Value)
	}
	p.Prefix = v
	return nil
}
