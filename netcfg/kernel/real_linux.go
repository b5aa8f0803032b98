package kernel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"time"

	"github.com/galleon-net/galleon/netcfg/plan"
	"github.com/google/nftables"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	// answerTimeout is how long the kernel may take for one answer; the library's own 60 s would stop the loop.
	answerTimeout = 5 * time.Second
	// maxDumps is how often an interrupted dump is asked for.
	maxDumps = 30
)

// Options of Open.
type Options struct {
	// NetNS is an open descriptor of the network namespace to work in, kept open until Close; 0 is the
	// process's own. A process whose threads are in several must name one.
	NetNS int
}

// Real is the Linux kernel.
type Real struct {
	route *netlink.Handle
	nft   *nftables.Conn
	nftNo error // why there is no nft
	ns    int   // Options.NetNS

	// before is called ahead of every exchange with the kernel, with its name; an error is taken for the
	// exchange's own. Tests make every exchange fail in turn.
	before func(call string) error
}

// Open opens the sockets. It needs no privileges; changing anything needs CAP_NET_ADMIN in the user
// namespace that owns the network namespace.
func Open(o Options) (*Real, error) {
	// The sockets belong to the namespace of the thread that opens them.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	k := &Real{ns: o.NetNS, before: func(string) error { return nil }}
	var err error
	if o.NetNS != 0 {
		k.route, err = netlink.NewHandleAt(netns.NsHandle(o.NetNS), unix.NETLINK_ROUTE)
	} else {
		k.route, err = netlink.NewHandle(unix.NETLINK_ROUTE)
	}
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	if err := k.route.SetSocketTimeout(answerTimeout); err != nil {
		k.route.Close()
		return nil, fmt.Errorf("set timeout of netlink socket: %w", err)
	}
	// nftables gets a socket per exchange: after an error, answers that nobody read would otherwise be taken
	// for those of the next question.
	var options []nftables.ConnOption
	if o.NetNS != 0 {
		options = append(options, nftables.WithNetNSFd(o.NetNS))
	}
	k.nft, k.nftNo = nftables.New(options...)
	return k, nil
}

// Close frees the sockets.
func (k *Real) Close() error {
	k.route.Close()
	return nil
}

// dump asks until the answer is whole.
func dump[T any](ctx context.Context, k *Real, what string, ask func() ([]T, error)) ([]T, error) {
	var list []T
	var err error
	for range maxDumps {
		if err = ctx.Err(); err != nil {
			break
		}
		if err = k.before(what); err == nil {
			list, err = ask()
		}
		if err == nil {
			return list, nil
		}
		if !errors.Is(err, netlink.ErrDumpInterrupted) && !errors.Is(err, unix.EINTR) {
			break
		}
	}
	return nil, fmt.Errorf("list %s: %w", what, err)
}

// Observe reads device, addresses, routes, rules and filter.
func (k *Real) Observe(ctx context.Context, s plan.Scope) (f plan.Found, err error) {
	if f.Device, err = k.device(ctx, s.Device); err != nil {
		return plan.Found{}, err
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		routes, err := dump(ctx, k, "routes", func() ([]netlink.Route, error) { return k.routes(family, s.Table) })
		if err != nil {
			return plan.Found{}, err
		}
		for _, r := range routes {
			f.Routes = append(f.Routes, entry(r, family))
		}
		rules, err := dump(ctx, k, "rules", func() ([]netlink.Rule, error) { return k.route.RuleList(family) })
		if family == unix.AF_INET6 && errors.Is(err, unix.EAFNOSUPPORT) { // the one dump that says so
			f.NoV6 = err.Error()
			continue
		}
		if err != nil {
			return plan.Found{}, err
		}
		for _, r := range rules {
			if r.Priority == s.RulePriority || r.Table == s.Table && int(r.Protocol) == s.Protocol {
				f.Rules = append(f.Rules, rule(r, family))
			}
		}
	}
	if f.Filter, err = k.filter(); errors.Is(err, ErrNoFilter) {
		f.NoFilter, err = err.Error(), nil
	}
	if err != nil {
		return plan.Found{}, err
	}
	return f, nil
}

// routes lists one table. Under strict checking the kernel itself picks the table, which matters beside a
// full BGP table; and then says ENOENT of a table that nothing was ever put in. The library's request for
// rules does not pass the check, hence only here.
func (k *Real) routes(family, table int) ([]netlink.Route, error) {
	strict := k.route.SetStrictCheck(true) == nil
	defer k.route.SetStrictCheck(false)
	list, err := k.route.RouteListFiltered(family, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
	if strict && errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	return list, err
}

func (k *Real) device(ctx context.Context, name string) (d plan.Device, err error) {
	if err := k.before("link"); err != nil {
		return d, fmt.Errorf("look up interface %s: %w", name, err)
	}
	link, err := k.route.LinkByName(name)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return plan.Device{}, nil
	}
	if err != nil {
		return d, fmt.Errorf("look up interface %s: %w", name, err)
	}
	at := link.Attrs()
	d = plan.Device{Index: at.Index, MTU: at.MTU, Up: at.Flags&net.FlagUp != 0}
	if link.Type() != "tuntap" && link.Type() != "tun" {
		d.Foreign = link.Type()
		return d, nil
	}
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		addrs, err := dump(ctx, k, "addresses", func() ([]netlink.Addr, error) { return k.route.AddrList(link, family) })
		if err != nil {
			return plan.Device{}, err
		}
		for _, a := range addrs {
			if p, ok := prefix(a.IPNet); ok && !p.Addr().IsLinkLocalUnicast() {
				d.Addresses = append(d.Addresses, p)
			}
		}
	}
	return d, nil
}

// prefix turns the library's form into ours.
func prefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	bits, size := n.Mask.Size()
	if !ok || size == 0 {
		return netip.Prefix{}, false
	}
	if size == 32 {
		a = a.Unmap()
	}
	return netip.PrefixFrom(a, bits), true
}

// ipnet turns our form into the library's.
func ipnet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func entry(r netlink.Route, family int) plan.Entry {
	e := plan.Entry{Link: r.LinkIndex, MTU: r.MTU, Protocol: int(r.Protocol), Scope: int(r.Scope)}
	e.Metric = r.Priority
	var ok bool
	if e.Prefix, ok = prefix(r.Dst); !ok { // the library leaves a default route without destination
		zero := netip.IPv4Unspecified()
		if family == unix.AF_INET6 {
			zero = netip.IPv6Unspecified()
		}
		e.Prefix = netip.PrefixFrom(zero, 0)
	}
	switch r.Type {
	case unix.RTN_UNICAST:
		e.Kind = plan.Unicast
	case unix.RTN_UNREACHABLE:
		e.Kind, e.Link = plan.Unreachable, 0
	case unix.RTN_THROW:
		e.Kind, e.Link = plan.Throw, 0
	default:
		e.Kind = plan.Other
	}
	if src, ok := netip.AddrFromSlice(r.Src); ok {
		e.Source = src.Unmap()
	}
	e.Odd = r.Gw != nil || len(r.MultiPath) > 0 || r.Encap != nil || r.Via != nil || r.Tos != 0
	return e
}

func rule(r netlink.Rule, family int) plan.Rule {
	out := plan.Rule{V6: family == unix.AF_INET6, Priority: r.Priority, Table: r.Table, Protocol: int(r.Protocol)}
	whole := r.Mask == nil || *r.Mask == ^uint32(0)
	switch {
	case r.Mark != 0 && r.Invert && whole:
		out.NotMark = r.Mark
	case r.Mark != 0 || r.Invert:
		out.Odd = true
	}
	if r.Src != nil || r.Dst != nil || r.IifName != "" || r.OifName != "" || r.Goto > 0 || r.Tos != 0 || r.IPProto != 0 ||
		r.Sport != nil || r.Dport != nil || r.UIDRange != nil || r.TunID != 0 || r.SuppressPrefixlen >= 0 || r.SuppressIfgroup >= 0 {
		out.Odd = true
	}
	return out
}
