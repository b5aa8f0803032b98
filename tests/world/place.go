package world

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/galleon-net/galleon/fabric/topo"
	"github.com/galleon-net/galleon/tests/lab"
)

// Zones of the seven routers of the stories, in the order in which they come to the cluster.
const (
	Hangzhou  topo.Zone = "cn-hangzhou-a"
	Singapore topo.Zone = "ap-singapore-a"
	Tokyo     topo.Zone = "ap-tokyo-a"
	Frankfurt topo.Zone = "eu-frankfurt-a"
	Queretaro topo.Zone = "mx-queretaro-a"
	BangkokA  topo.Zone = "ap-bangkok-a"
	BangkokB  topo.Zone = "ap-bangkok-b"
)

// RegionOf takes the zone's letter off.
func RegionOf(z topo.Zone) topo.Region {
	return topo.Region(z[:strings.LastIndexByte(string(z), '-')])
}

// rtt is the round-trip time between two zones, from the lab's table.
func rtt(a, b topo.Zone) time.Duration {
	d, ok := lab.LookupRTT(string(a), string(b))
	if !ok {
		panic(fmt.Sprintf("world: the table of round-trip times has no row from %s to %s", a, b))
	}
	return d.Duration
}

// Ports of every router, as in the daemon's default configuration.
const (
	forwardPort = 4700
	controlPort = 4701
	objectPort  = 9000
)

// The n-th site of a world, counted from 1, is at 192.0.2.n and fronts 10.n.0.0/24; its own address there
// is 10.n.0.1, that of a host behind it 10.n.0.7.
var underlayNet = netip.MustParsePrefix("192.0.2.0/24")

func underlayAddr(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}) }
func insideAddr(n int) netip.Addr   { return netip.AddrFrom4([4]byte{10, byte(n), 0, 1}) }
func hostAddr(n int) netip.Addr     { return netip.AddrFrom4([4]byte{10, byte(n), 0, 7}) }

func sitePrefix(n int) topo.SegPrefix {
	return topo.SegPrefix{Segment: topo.DefaultSegment, Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n), 0, 0}), 24)}
}
