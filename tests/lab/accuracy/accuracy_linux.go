// Package accuracy measures the lab's wide-area network against what it promises: an emulator that lies
// makes every number a lie. The lab's tests and `galleon-lab check` run the same measurements.
package accuracy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/galleon-net/galleon/tests/lab"
	"github.com/galleon-net/galleon/tests/lab/wan"
)

// Row is one promise and what was measured.
type Row struct {
	Name    string `json:"name"`
	Set     string `json:"set"`     // what the network was told
	Got     string `json:"got"`     // what was measured
	Allowed string `json:"allowed"` // how far apart they may be
	OK      bool   `json:"ok"`
}

// String is a line of the report.
func (r Row) String() string {
	verdict := "ok"
	if !r.OK {
		verdict = "NOT AS PROMISED"
	}
	return fmt.Sprintf("%-52s %14s %16s %22s  %s", r.Name, r.Set, r.Got, r.Allowed, verdict)
}

// Heading stands above the lines of a report.
const Heading = "                                                                set         measured                allowed"

// bench is two sites, a and b, with nothing set on the links between them.
type bench struct {
	*lab.Lab
	a, b *lab.NS
	err  error // the first of stats
}

// Addresses of the two sites, from the ranges that are set aside for measurements (RFC 2544, RFC 5180).
var (
	a4, b4 = netip.MustParseAddr("198.18.1.1"), netip.MustParseAddr("198.18.2.1")
	a6, b6 = netip.MustParseAddr("2001:2:0:1::1"), netip.MustParseAddr("2001:2:0:2::1")
)

// ip4, ip6 and udp are header lengths in bytes.
const ip4, ip6, udp = 20, 40, 8

func newBench() (*bench, error) {
	l, err := lab.New(lab.Topology{Seed: 1, Sites: []lab.SiteSpec{
		{Name: "a", Addresses: []netip.Addr{a4, a6}},
		{Name: "b", Addresses: []netip.Addr{b4, b6}},
	}})
	if err != nil {
		return nil, err
	}
	return &bench{Lab: l, a: l.Site("a").Router, b: l.Site("b").Router}, nil
}

// stats keeps an error for Do, so that a measurement reads as one.
func (b *bench) stats() wan.Stats {
	st, err := b.Network().Stats()
	if err != nil {
		b.err = err
		st.Sites = make([]wan.SiteStats, 2)
	}
	return st
}

// set makes both directions a perfect wire but for the change.
func (b *bench) set(change string) error {
	const perfect = "heal delay=0s rate=unlimited queue=0 mtu=0 loss=0% duplicate=0% reorder=0% late=0s "
	return b.Network().SetBoth("a", "b", perfect+change)
}

// Check is one measurement.
type Check struct {
	Name string
	Run  func(ctx context.Context, b *bench) ([]Row, error)
}

// Checks are all of them, in the order of the report.
func Checks() []Check {
	return []Check{
		{"round-trip time", roundTrip},
		{"loss", loss},
		{"rate", rate},
		{"queue", queue},
		{"reordering and duplication", reorder},
		{"cut and heal", cut},
		{"black hole", blackHole},
		{"super-packets", superPackets},
		{"1 Gbit/s over 200 ms", oceanTCP},
		{"single packets", singles},
	}
}

// Do runs one check on a network of its own.
func (c Check) Do(ctx context.Context) ([]Row, error) {
	b, err := newBench()
	if err != nil {
		return nil, err
	}
	rows, err := c.Run(ctx, b)
	if err = errors.Join(err, b.err, b.Close()); err != nil {
		err = fmt.Errorf("measure %s: %w", c.Name, err)
	}
	return rows, err
}

// near makes a row for a duration that may differ by so much.
func near(name string, set, got, allowed time.Duration) Row {
	return Row{name, set.String(), got.Round(10 * time.Microsecond).String(), "± " + allowed.String(), (got - set).Abs() <= allowed}
}

// between makes a row for a number.
func between(name, set string, got, least, most float64, unit string) Row {
	return Row{name, set, fmt.Sprintf("%.4g%s", got, unit), fmt.Sprintf("%.4g to %.4g%s", least, most, unit), got >= least && got <= most}
}
