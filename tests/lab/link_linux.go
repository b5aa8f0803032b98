package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

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
	if err := errors.Join(a.Up(aName), b.Up(bName)); err != nil {
		return err
	}
	return errors.Join(a.carrier(aName), b.carrier(bName))
}

// carrier waits until the kernel knows that the other end is up too, which it learns a moment later in a work queue.
func (n *NS) carrier(ifname string) error {
	return within(func() (up bool, err error) {
		err = n.on("wait for the carrier of", ifname, func(l netlink.Link) error {
			up = l.Attrs().OperState == netlink.OperUp
			return nil
		})
		return up, err
	})
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

// AddAddress gives an interface an address, which is ready when this returns, without IPv6's duplicate detection.
func (n *NS) AddAddress(ifname string, prefix netip.Prefix) error {
	if prefix.Addr().Is6() {
		err := n.Do(func() error {
			return os.WriteFile("/proc/sys/net/ipv6/conf/"+ifname+"/accept_dad", []byte("0"), 0)
		})
		if err != nil {
			return fmt.Errorf("turn off duplicate address detection on %s in %s: %w", ifname, n.name, err)
		}
	}
	return n.on("add "+prefix.String()+" to", ifname, func(l netlink.Link) error {
		if err := n.link.AddrAdd(l, &netlink.Addr{IPNet: ipNet(prefix)}); err != nil {
			return err
		}
		up := l.Attrs().Flags&net.FlagUp != 0 && l.Attrs().OperState != netlink.OperDown
		if !up || !prefix.Addr().Is6() {
			return nil
		}
		return within(func() (bool, error) { return n.settled(l, prefix) })
	})
}

// settled says whether the kernel, in a work queue of its own, has come to join the multicast group in which neighbours
// look for an IPv6 address. Until then the address is marked as tentative, and a neighbour who asks in vain asks again only
// after a second.
func (n *NS) settled(l netlink.Link, prefix netip.Prefix) (bool, error) {
	addrs, err := n.link.AddrList(l, netlink.FAMILY_V6)
	for _, a := range addrs {
		if ip, ok := netip.AddrFromSlice(a.IP); ok && ip == prefix.Addr() {
			return a.Flags&unix.IFA_F_TENTATIVE == 0, err
		}
	}
	return false, err
}

// Limits of the wait for what the kernel does in its work queues.
const (
	settleWithin = 10 * time.Second
	settlePoll   = time.Millisecond
)

// within waits until ok.
func within(ok func() (bool, error)) error {
	for deadline := time.Now().Add(settleWithin); ; time.Sleep(settlePoll) {
		if done, err := ok(); done || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not ready within %v", settleWithin)
		}
	}
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
