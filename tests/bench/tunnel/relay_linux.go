package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/galleon-net/galleon/tests/lab"
)

// relay measures a flow through a relay and one without, in one cluster:
//
//	┌ a ──────────┐  veth  ┌ b ──────────────────────┐  veth  ┌ c ──────────┐
//	│ 198.18.0.1 ─┼────────┼─ 198.18.0.2  198.18.1.2 ┼────────┼─ 198.18.1.3 │
//	└─────────────┘        └─────────────────────────┘        └─────────────┘
//
// a has no route to c's network, nor c to a's, and b's kernel does not forward: what goes from a to c is relayed by b's galleond,
// which does not open it.
func (b *bench) relay(ctx context.Context) (err error) {
	s := &system{name: sysGalleon, env: b.environment}
	defer func() { err = errors.Join(err, s.close()) }()
	c, err := s.startThree(ctx)
	if err != nil {
		return fmt.Errorf("set up the relay: %w", err)
	}
	for _, x := range []struct {
		figure string
		to     *end
	}{{"relay_direct", s.b}, {"relay", c}} {
		if err := s.iperfServer(ctx, x.to); err != nil {
			return err
		}
		mbps, _, err := s.tcp(ctx, s.a, x.to, 1)
		if err != nil {
			return fmt.Errorf("measure %s: %w%s", x.figure, err, s.logs())
		}
		b.results.put(sysGalleon, x.figure, mbps)
		b.say("  %-12s %8.0f Mbit/s", x.figure, mbps)
	}
	return nil
}

// startThree makes a cluster of three routers in a row, and waits until the outer two reach each other.
func (s *system) startThree(ctx context.Context) (*end, error) {
	const toC = "eth1"
	if err := s.cable(); err != nil {
		return nil, err
	}
	c, err := s.namespace("c")
	if err != nil {
		return nil, err
	}
	if err := lab.Veth(s.b.ns, toC, c.ns, cableEnd, underMTU); err != nil {
		return nil, err
	}
	err = errors.Join(s.b.ns.AddAddress(toC, netip.PrefixFrom(underB2, underBits)), c.ns.AddAddress(cableEnd, netip.PrefixFrom(underC, underBits)))
	if err != nil {
		return nil, err
	}
	s.a.addr, s.b.addr, c.addr = overA, overB, overC
	var routers []*router
	for _, x := range []struct {
		at   *end
		name string
	}{{s.b, "b"}, {s.a, "a"}, {c, "c"}} {
		r, err := s.router(ctx, x.at, x.name)
		if err != nil {
			return nil, err
		}
		if routers = append(routers, r); len(routers) == 1 {
			err = r.found(ctx)
		} else {
			err = r.join(ctx, routers[0])
		}
		if err != nil {
			return nil, err
		}
	}
	if err := s.answers(ctx, s.b); err != nil {
		return nil, err
	}
	return c, s.answers(ctx, c)
}
