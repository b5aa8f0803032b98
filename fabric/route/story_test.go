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
//	network            lines: link a-b RTT [ab-loss=ppm] [mtu=] [rate=] [down=r1] [silent=r1]
//	                          announce r1 prefix [metric=] [segment=]
//	                          drain r1 | undrain r1
//	                   A network command adds to what is there; "network fresh" starts anew.
//	routes from=r1 [class=bulk] [mtu=1400]
//	explain from=r1 to=r2
//	egress from=r1 prefix=
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		net := Input{Draining: map[topo.RouterID]bool{}}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "network":
				if d.HasArg("fresh") {
					net = Input{Draining: map[topo.RouterID]bool{}}
				}
				for lines := bufio.NewScanner(strings.NewReader(d.Input)); lines.Scan(); {
					if err := change(&net, strings.Fields(lines.Text())); err != nil {
						d.Fatalf(t, "%s: %v", lines.Text(), err)
					}
				}
				return ""
			case "routes", "explain", "egress":
				in := net
				var from, class string
				d.ScanArgs(t, "from", &from)
				in.Self = router(from)
				d.MaybeScanArgs(t, "mtu", &in.FabricMTU)
				d.MaybeScanArgs(t, "class", &class)
				if class == "bulk" {
					in.Cost = CostFor(topo.ClassBulk)
				}
				r := Compute(in)
				switch d.Cmd {
				case "routes":
					return routesText(r)
				case "explain":
					var to string
					d.ScanArgs(t, "to", &to)
					return explainText(r.Explain(router(to)))
				}
				var prefix string
				d.ScanArgs(t, "prefix", &prefix)
				var b strings.Builder
				for _, e := range r.Egresses(topo.SegPrefix{Prefix: netip.MustParsePrefix(prefix)}) {
					fmt.Fprintf(&b, "%s metric=%d cost=%d draining=%v reachable=%v\n", e.Router, e.Metric, e.Cost, e.Draining, e.Reachable)
				}
				return b.String()
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

func change(in *Input, f []string) error {
	switch f[0] {
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

func routesText(r *Result) string {
	var b strings.Builder
	for _, id := range r.graph.ids {
		h, ok := r.Hops[id]
		if !ok {
			continue
		}
		fmt.Fprintf(&b, "%s: via %s cost %d path %s", id, h.Next, h.Cost, pathText(h.Path))
		if h.MTU > 0 {
			fmt.Fprintf(&b, " mtu %d", h.MTU)
		}
		if h.Backup != 0 {
			fmt.Fprintf(&b, "; backup %s cost %d path %s", h.Backup, h.BackupCost, pathText(h.BackupPath))
		}
		b.WriteByte('\n')
	}
	seen := map[topo.SegPrefix]bool{}
	for _, a := range r.in.Announcements {
		if e, ok := r.Prefixes[a.Prefix]; ok && !seen[a.Prefix] {
			seen[a.Prefix] = true
			fmt.Fprintf(&b, "%s: %s\n", a.Prefix, e)
		}
	}
	return b.String()
}

func explainText(ex Explanation) string {
	var b strings.Builder
	if !ex.Reachable {
		fmt.Fprintf(&b, "%s cannot be reached\n", ex.To)
	}
	for _, s := range ex.Steps {
		fmt.Fprintf(&b, "%s>%s rtt %s loss %d cost %d\n", s.Link.From, s.Link.To, s.Link.RTT, s.Link.LossPPM, s.Cost)
	}
	for _, a := range ex.Alternatives {
		fmt.Fprintf(&b, "  %-10s via %s", a.Verdict, a.Next)
		if a.Path != nil {
			fmt.Fprintf(&b, " cost %d path %s", a.Cost, pathText(a.Path))
		}
		fmt.Fprintf(&b, ": %s\n", a.Why)
	}
	return b.String()
}
