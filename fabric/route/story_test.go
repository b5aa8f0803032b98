package route

import (
	"bufio"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/galleon-net/galleon/fabric/topo"
)

// TestStories computes routes in small networks and prints them.
//
//	network            lines: link a-b RTT [loss=ppm from a] [mtu=] [rate=] [price=] [p95=ms] [down=r1] [silent=r1]
//	                          announce r1 prefix [metric=] [segment=]
//	                          drain r1 | undrain r1
//	                          site r1 region zone
//	                          risk r1-r2 name...
//	                          rule name [prefix=] [segment=] [between=region,region] never=region,region
//	                   A network command adds to what is there; "network fresh" starts anew.
//	routes from=r1 [class=bulk] [avoid=1] [mtu=1400]
//	explain from=r1 to=r2 [class=] [avoid=]
//	egress from=r1 prefix=
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		net := story{Input: Input{Draining: map[topo.RouterID]bool{}}}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "network":
				if d.HasArg("fresh") {
					net = story{Input: Input{Draining: map[topo.RouterID]bool{}}}
				}
				for lines := bufio.NewScanner(strings.NewReader(d.Input)); lines.Scan(); {
					if err := net.change(strings.Fields(lines.Text())); err != nil {
						d.Fatalf(t, "%s: %v", lines.Text(), err)
					}
				}
				return net.compile()
			case "routes", "explain", "egress":
				in := net.Input
				var from, class string
				avoid := 0
				d.ScanArgs(t, "from", &from)
				in.Self = router(from)
				d.MaybeScanArgs(t, "mtu", &in.FabricMTU)
				d.MaybeScanArgs(t, "class", &class)
				d.MaybeScanArgs(t, "avoid", &avoid)
				switch class {
				case "bulk":
					in.Cost = CostFor(topo.ClassBulk)
				case "control":
					in.Cost = CostFor(topo.ClassControl)
				}
				r := Compute(in)
				plane := topo.Plane{Class: topo.ClassInteractive, Avoid: topo.Avoid(avoid)}
				switch d.Cmd {
				case "routes":
					return routesText(r, plane)
				case "explain":
					var to string
					d.ScanArgs(t, "to", &to)
					return explainText(r.engine.Explain(plane, router(to)))
				}
				var prefix string
				d.ScanArgs(t, "prefix", &prefix)
				x, _ := r.engine.ExplainPrefix(topo.SegPrefix{Prefix: netip.MustParsePrefix(prefix)})
				return egressText(x)
			}
			d.Fatalf(t, "unknown command %q", d.Cmd)
			return ""
		})
	})
}

func router(s string) topo.RouterID {
	id, err := topo.ParseRouterID(s)
	if err != nil {
		panic(err)
	}
	return id
}

// story is a network and what its operator wants.
type story struct {
	Input
	sites map[topo.RouterID]Site
	risks map[topo.Pair][]string
	rules []Rule
}

// compile makes the intent, and tells what is wrong with it.
func (in *story) compile() string {
	var err error
	if in.Intent, err = NewIntent(in.sites, in.risks, in.rules); err != nil {
		return err.Error() + "\n"
	}
	return ""
}

func (in *story) change(f []string) error {
	switch f[0] {
	case "site":
		if in.sites == nil {
			in.sites = map[topo.RouterID]Site{}
		}
		in.sites[router(f[1])] = Site{topo.Region(f[2]), topo.Zone(f[3])}
	case "risk":
		if in.risks == nil {
			in.risks = map[topo.Pair][]string{}
		}
		a, b, _ := strings.Cut(f[1], "-")
		in.risks[topo.PairOf(router(a), router(b))] = f[2:]
	case "rule":
		r := Rule{Name: f[1]}
		for _, o := range f[2:] {
			k, v, _ := strings.Cut(o, "=")
			switch k {
			case "never":
				for _, n := range strings.Split(v, ",") {
					r.Never = append(r.Never, topo.Region(n))
				}
			case "between":
				a, b, _ := strings.Cut(v, ",")
				r.Between = [2]topo.Region{topo.Region(a), topo.Region(b)}
			case "prefix":
				r.Prefix.Prefix = netip.MustParsePrefix(v)
			case "segment":
				n, _ := strconv.Atoi(v)
				s := topo.SegmentID(n)
				r.Segment = &s
			}
		}
		in.rules = append(in.rules, r)
	case "drain":
		in.Draining[router(f[1])] = true
	case "undrain":
		delete(in.Draining, router(f[1]))
	case "announce":
		a := Announcement{Router: router(f[1]), Prefix: topo.SegPrefix{Prefix: netip.MustParsePrefix(f[2])}}
		for _, o := range f[3:] {
			k, v, _ := strings.Cut(o, "=")
			n, err := strconv.Atoi(v)
			if err != nil {
				return err
			}
			if k == "metric" {
				a.Metric = uint32(n)
			} else {
				a.Prefix.Segment = topo.SegmentID(n)
			}
		}
		in.Announcements = append(in.Announcements, a)
	case "link":
		as, bs, _ := strings.Cut(f[1], "-")
		a, b := router(as), router(bs)
		rtt, err := time.ParseDuration(f[2])
		if err != nil {
			return err
		}
		ab := Link{From: a, To: b, RTT: rtt, Up: true}
		ba := Link{From: b, To: a, RTT: rtt, Up: true}
		silent := topo.RouterID(0)
		for _, o := range f[3:] {
			k, v, _ := strings.Cut(o, "=")
			n, _ := strconv.Atoi(v)
			switch k {
			case "loss":
				ab.LossPPM = uint32(n)
			case "price":
				ab.Price, ba.Price = uint32(n), uint32(n)
			case "p95":
				ab.RTT95, ba.RTT95 = time.Duration(n)*time.Millisecond, time.Duration(n)*time.Millisecond
			case "mtu":
				ab.MTU, ba.MTU = n, n
			case "rate":
				ab.RateMbps, ba.RateMbps = uint32(n), uint32(n)
			case "down":
				ab.Up, ba.Up = router(v) != a, router(v) != b
			case "silent":
				silent = router(v)
			default:
				return fmt.Errorf("unknown option %q", k)
			}
		}
		// A later line about the same link replaces the earlier one.
		var keep []Link
		for _, l := range in.Links {
			if topo.PairOf(l.From, l.To) != topo.PairOf(a, b) {
				keep = append(keep, l)
			}
		}
		for _, l := range []Link{ab, ba} {
			if l.From != silent {
				keep = append(keep, l)
			}
		}
		in.Links = keep
	default:
		return fmt.Errorf("unknown %q", f[0])
	}
	return nil
}

func pathText(p []topo.RouterID) string {
	var s []string
	for _, r := range p {
		s = append(s, r.String())
	}
	return strings.Join(s, ">")
}

func routesText(r *Result, plane topo.Plane) string {
	var b strings.Builder
	for id := range r.engine.Ways(plane) {
		h, _ := r.engine.Hop(plane, id)
		fmt.Fprintf(&b, "%s: via %s cost %d path %s", id, h.Next, h.Cost, pathText(h.Path))
		if h.MTU > 0 {
			fmt.Fprintf(&b, " mtu %d", h.MTU)
		}
		if len(h.Shares) > 0 {
			b.WriteString("; shared by")
			for _, s := range h.Shares {
				fmt.Fprintf(&b, " %s:%d", s.Next, s.Mbps)
			}
		}
		if h.Backup != 0 {
			fmt.Fprintf(&b, "; backup %s cost %d path %s", h.Backup, h.BackupCost, pathText(h.BackupPath))
			if h.Guard.SharesRisk {
				b.WriteString(" shares a risk")
			}
		}
		b.WriteByte('\n')
	}
	for _, p := range r.engine.Prefixes() {
		fmt.Fprintf(&b, "%s: ", p.SegPrefix)
		if p.Egress == 0 {
			fmt.Fprintf(&b, "none (%s)\n", p.Why)
			continue
		}
		b.WriteString(p.Egress.String())
		if p.Standby != 0 {
			fmt.Fprintf(&b, ", standby %s", p.Standby)
		}
		if p.Avoid != 0 {
			fmt.Fprintf(&b, ", avoiding set %d", p.Avoid)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func egressText(x PrefixExplanation) string {
	var b strings.Builder
	for _, e := range x.Egresses {
		fmt.Fprintf(&b, "%s metric=%d cost=%d draining=%v reachable=%v", e.Router, e.Metric, e.Cost, e.Draining, e.Reachable)
		if e.Barred {
			b.WriteString(" barred")
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "chosen %s, standby %s: %s\n", x.Choice.Egress, x.Choice.Standby, x.Choice.Why)
	if len(x.Rules) > 0 {
		fmt.Fprintf(&b, "rules %s: never through %s\n", strings.Join(x.Rules, ", "), names(x.Never))
	}
	return b.String()
}

func explainText(ex Explanation) string {
	var b strings.Builder
	if !ex.Reachable {
		fmt.Fprintf(&b, "%s cannot be reached\n", ex.To)
	}
	for _, s := range ex.Steps {
		fmt.Fprintf(&b, "%s>%s rtt %s loss %d cost %d", s.Link.From, s.Link.To, s.Link.RTT, s.Link.LossPPM, s.Cost)
		if len(s.Risks) > 0 {
			fmt.Fprintf(&b, " risks %s", strings.Join(s.Risks, ","))
		}
		b.WriteByte('\n')
	}
	for _, a := range ex.Alternatives {
		fmt.Fprintf(&b, "  %-10s via %s", a.Verdict, a.Next)
		if a.Path != nil {
			fmt.Fprintf(&b, " cost %d path %s", a.Cost, pathText(a.Path))
		}
		fmt.Fprintf(&b, ": %s\n", a.Why)
	}
	if ex.Tunnel != nil {
		fmt.Fprintf(&b, "  a tunnel over %s to %s would be a backup\n", ex.Tunnel.Next, ex.Tunnel.Through)
	}
	for _, s := range ex.Switches {
		fmt.Fprintf(&b, "  %s from %s to %s: %s\n", s.At.UTC().Format(time.TimeOnly), s.Was, s.Is, s.Cause)
	}
	return b.String()
}
