package lab

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Veth joins two namespaces with a cable: an interface of the given name in each, both up.
func Veth(a *NS, aName string, b *NS, bName string, mtu int) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = aName, mtu
	pair := netlink.NewVeth(attrs)
	pair.PeerName, pair.PeerMTU = bName, uint32(mtu)
	pair.PeerNamespace = netlink.NsFd(b.file.Fd())
	if err := a.link.LinkAdd(pair); err != nil {
		return fmt.Errorf("join %s in %s and %s in %s: %w", aName, a.name, bName, b.name, err)
	}
	if err := a.Up(aName); err != nil {
		return err
	}
	return b.Up(bName)
}

// Up brings an interface up.
func (n *NS) Up(ifname string) error { return n.on("bring up", ifname, n.link.LinkSetUp) }

// Down takes an interface down.
func (n *NS) Down(ifname string) error { return n.on("take down", ifname, n.link.LinkSetDown) }

// SetMTU sets the largest packet of an interface, in bytes.
func (n *NS) SetMTU(ifname string, mtu int) error {
	return n.on("set the MTU of", ifname, func(l netlink.Link) error { return n.link.LinkSetMTU(l, mtu) })
}

// SetQueue sets how many packets an interface may hold for who reads them.
func (n *NS) SetQueue(ifname string, packets int) error {
	return n.on("set the queue of", ifname, func(l netlink.Link) error { return n.link.LinkSetTxQLen(l, packets) })
}

// AddAddress gives an interface an address, ready at once (without IPv6's duplicate detection).
func (n *NS) AddAddress(ifname string, prefix netip.Prefix) error {
	return n.on("add "+prefix.String()+" to", ifname, func(l netlink.Link) error {
		return n.link.AddrAdd(l, &netlink.Addr{IPNet: ipNet(prefix), Flags: unix.IFA_F_NODAD})
	})
}

// AddRoute sends a prefix through an interface, by way of a gateway there unless the zero Addr is given.
func (n *NS) AddRoute(prefix netip.Prefix, ifname string, via netip.Addr) error {
	return n.on("route "+prefix.String()+" through", ifname, func(l netlink.Link) error {
		r := &netlink.Route{LinkIndex: l.Attrs().Index, Dst: ipNet(prefix)}
		if via.IsValid() {
			r.Gw = via.AsSlice()
		}
		return n.link.RouteAdd(r)
	})
}

// Dropped counts the packets that an interface had to drop on the way out, because nobody read them in time.
func (n *NS) Dropped(ifname string) (packets uint64, err error) {
	err = n.on("read the counters of", ifname, func(l netlink.Link) error {
		if s := l.Attrs().Statistics; s != nil {
			packets = s.TxDropped
		}
		return nil
	})
	return packets, err
}

func (n *NS) on(what, ifname string, f func(netlink.Link) error) error {
	l, err := n.link.LinkByName(ifname)
	if err == nil {
		err = f(l)
	}
	if err != nil {
		return fmt.Errorf("%s %s in %s: %w", what, ifname, n.name, err)
	}
	return nil
}

// DefaultRoutes are everything, of either family.
var defaultV4, defaultV6 = netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")

func defaultFor(a netip.Addr) netip.Prefix {
	if a.Is4() {
		return defaultV4
	}
	return defaultV6
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
