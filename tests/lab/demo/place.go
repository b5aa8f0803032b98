package main

import (
	"fmt"
	"net/netip"

	"github.com/galleon-net/galleon/tests/lab"
)

// place is a data centre of the story: a router, and a host behind it.
type place struct {
	name   string // of the site, the log and the directory: the region, or the zone where a region has two
	region string
	zone   string
	number int // gives the addresses
}

// The places in the order in which they open.
var (
	hangzhou  = place{"cn-hangzhou", "cn-hangzhou", "cn-hangzhou-a", 1}
	singapore = place{"ap-singapore", "ap-singapore", "ap-singapore-a", 2}
	tokyo     = place{"ap-tokyo", "ap-tokyo", "ap-tokyo-a", 3}
	frankfurt = place{"eu-frankfurt", "eu-frankfurt", "eu-frankfurt-a", 4}
	queretaro = place{"mx-queretaro", "mx-queretaro", "mx-queretaro-a", 5}
	bangkokA  = place{"ap-bangkok-a", "ap-bangkok", "ap-bangkok-a", 6}
	bangkokB  = place{"ap-bangkok-b", "ap-bangkok", "ap-bangkok-b", 7}

	firstPlaces = []place{hangzhou, singapore, tokyo, frankfurt}
)

// s3Port is where every router has its object endpoint.
const s3Port = 9000

// wan is the router's address on the wide-area network, from the range for tests of networks (RFC 2544).
func (p place) wan() netip.Addr { return netip.AddrFrom4([4]byte{198, 18, byte(p.number), 1}) }

// wan6 is the same in IPv6, from the range for documentation (RFC 3849).
func (p place) wan6() netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("2001:db8:%d::1", p.number))
}

// prefix is the data centre's network, which the router announces.
func (p place) prefix() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(p.number), 0, 0}), 24)
}

// prefix6 is the same in IPv6, a unique local range (RFC 4193).
func (p place) prefix6() netip.Prefix {
	return netip.MustParsePrefix(fmt.Sprintf("fd9a:%d::/64", p.number))
}

// host and host6 are the addresses of the server in the data centre.
func (p place) host() netip.Addr  { return netip.AddrFrom4([4]byte{10, byte(p.number), 0, 10}) }
func (p place) host6() netip.Addr { return netip.MustParseAddr(fmt.Sprintf("fd9a:%d::10", p.number)) }

// lan is the router's address towards its host, which uses it as its default route.
func (p place) lan() netip.Addr { return p.prefix().Addr().Next() }

// s3 is where the region's clients find the object endpoint.
func (p place) s3() string { return netip.AddrPortFrom(p.lan(), s3Port).String() }

// prefixes are what the router announces.
func (p place) prefixes(v6 bool) []netip.Prefix {
	if !v6 {
		return []netip.Prefix{p.prefix()}
	}
	return []netip.Prefix{p.prefix(), p.prefix6()}
}

// site is what the lab builds of it.
func (p place) site(v6 bool) lab.SiteSpec {
	s := lab.SiteSpec{
		Name: p.name, Zone: p.zone, Addresses: []netip.Addr{p.wan()},
		Hosts: []lab.HostSpec{{Name: hostName, Addresses: []netip.Prefix{netip.PrefixFrom(p.host(), p.prefix().Bits())}}},
	}
	if v6 {
		s.Addresses = append(s.Addresses, p.wan6())
		s.Hosts[0].Addresses = append(s.Hosts[0].Addresses, netip.PrefixFrom(p.host6(), p.prefix6().Bits()))
	}
	return s
}

// hostName is that of the server behind every router.
const hostName = "host"
