package kernel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/galleon-net/galleon/netcfg/plan"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Apply makes one change.
func (k *Real) Apply(ctx context.Context, c plan.Change) error {
	err := ctx.Err()
	if err == nil {
		err = k.before("apply")
	}
	if err == nil {
		err = k.apply(c)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EEXIST):
		err = fmt.Errorf("%w: %w", ErrTaken, err)
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO), errors.Is(err, unix.EADDRNOTAVAIL),
		errors.Is(err, unix.ENOENT):
		err = fmt.Errorf("%w: %w", ErrGone, err)
	case errors.Is(err, os.ErrPermission):
		err = fmt.Errorf("%w (needs CAP_NET_ADMIN)", err)
	}
	return fmt.Errorf("%s: %w", c, err)
}

func (k *Real) apply(c plan.Change) error {
	switch c := c.(type) {
	case plan.SetMTU:
		return k.route.LinkSetMTU(byIndex(c.Index), c.MTU)
	case plan.SetUp:
		return k.route.LinkSetUp(byIndex(c.Index))
	case plan.Address:
		return k.address(c)
	case plan.RouteStep:
		return k.routeStep(c)
	case plan.RuleStep:
		return k.ruleStep(c)
	case plan.SetFilter:
		return k.setFilter(c.Filter)
	}
	panic(fmt.Sprintf("kernel: unknown change %T", c))
}

// byIndex names a link for a request. The index, not the name: a device that came back is another one.
func byIndex(i int) netlink.Link { return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: i}} }

func (k *Real) address(c plan.Address) error {
	a := &netlink.Addr{IPNet: ipnet(c.Address)}
	if c.Remove {
		return k.route.AddrDel(byIndex(c.Index), a)
	}
	if c.Address.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD // nobody else can be on a point-to-point device
	}
	return k.route.AddrAdd(byIndex(c.Index), a)
}

func (k *Real) routeStep(c plan.RouteStep) error {
	e := c.Entry
	r := &netlink.Route{
		Dst: ipnet(e.Prefix), Priority: e.Metric, Protocol: netlink.RouteProtocol(e.Protocol), Table: c.Table,
		Family: unix.AF_INET6,
	}
	v4 := e.Prefix.Addr().Is4()
	if v4 {
		r.Family = unix.AF_INET
	}
	switch e.Kind {
	case plan.Unreachable:
		r.Type = unix.RTN_UNREACHABLE
	case plan.Throw:
		r.Type = unix.RTN_THROW
	case plan.Unicast:
		r.Type, r.LinkIndex = unix.RTN_UNICAST, e.Link
		if v4 {
			r.Scope = unix.RT_SCOPE_LINK
		}
	}
	if c.Verb == plan.Delete {
		r.Scope = netlink.Scope(e.Scope) // as found: IPv4 compares it
		return k.route.RouteDel(r)
	}
	r.MTU = e.MTU
	if e.Source.IsValid() {
		r.Src = net.IP(e.Source.AsSlice())
	}
	if c.Verb == plan.Replace {
		return k.route.RouteReplace(r)
	}
	return k.route.RouteAdd(r)
}

func (k *Real) ruleStep(c plan.RuleStep) error {
	r := netlink.NewRule()
	r.Family = unix.AF_INET
	if c.Rule.V6 {
		r.Family = unix.AF_INET6
	}
	r.Priority, r.Table, r.Protocol = c.Rule.Priority, c.Rule.Table, uint8(c.Rule.Protocol)
	if c.Rule.NotMark != 0 {
		whole := ^uint32(0)
		r.Mark, r.Mask, r.Invert = c.Rule.NotMark, &whole, true
	}
	if c.Remove {
		return k.route.RuleDel(r)
	}
	return k.route.RuleAdd(r)
}
