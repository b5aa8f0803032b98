package plan

import (
	"bufio"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
)

// TestStories prints plans.
//
//	want    lines: device NAME | mtu N | address P | route P [src A] [mtu N] | guard P | local P | underlay NAME | clamp | mark N
//	found   lines: device INDEX [mtu N] [up] [foreign KIND] | address P |
//	               entry KIND P metric N [proto N] [link N] [src A] [mtu N] [odd] |
//	               rule [v6] [priority N] [table N] [proto N] [notmark N] [odd] |
//	               filter UNDERLAY,… OVERLAY,… [LOCAL,…] [clamp DEVICE] [broken] | nofilter WHY | nov6 WHY
//	check   prints what Config.Check says
//	diff    prints the plan
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var want Config
		var found Found
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "want":
				want = readWant(d.Input)
			case "found":
				found = readFound(d.Input)
			case "check":
				if err := want.Check(); err != nil {
					return err.Error()
				}
				return "ok"
			case "diff":
				if err := want.Check(); err != nil {
					return "refused: " + err.Error()
				}
				return planText(Diff(want, found))
			default:
				d.Fatalf(t, "unknown command %q", d.Cmd)
			}
			return ""
		})
	})
}

func planText(p Plan) string {
	var b strings.Builder
	for _, c := range p.Changes {
		fmt.Fprintln(&b, c)
	}
	for _, c := range p.Conflicts {
		fmt.Fprintln(&b, "conflict:", c)
	}
	if p.More > 0 {
		fmt.Fprintln(&b, "more:", p.More)
	}
	if b.Len() == 0 {
		return "nothing to do"
	}
	return b.String()
}

func number(s string) int {
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		panic(err)
	}
	return int(n)
}

func prefixes(s string) (ps []netip.Prefix) {
	for f := range strings.SplitSeq(s, ",") {
		if f != "" && f != "-" {
			ps = append(ps, netip.MustParsePrefix(f))
		}
	}
	return ps
}

func readWant(in string) (c Config) {
	for lines := bufio.NewScanner(strings.NewReader(in)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		switch f[0] {
		case "device":
			c.Device = f[1]
		case "mtu":
			c.MTU = number(f[1])
		case "address":
			c.Addresses = append(c.Addresses, netip.MustParsePrefix(f[1]))
		case "route":
			r := Route{Prefix: netip.MustParsePrefix(f[1])}
			for i := 2; i < len(f); i += 2 {
				if f[i] == "src" {
					r.Source = netip.MustParseAddr(f[i+1])
				} else {
					r.MTU = number(f[i+1])
				}
			}
			c.Routes = append(c.Routes, r)
		case "guard":
			c.Guards = append(c.Guards, netip.MustParsePrefix(f[1]))
		case "local":
			c.Local = append(c.Local, netip.MustParsePrefix(f[1]))
		case "underlay":
			c.Underlay = append(c.Underlay, f[1])
		case "clamp":
			c.Clamp = true
		case "mark":
			c.Mark = uint32(number(f[1]))
		default:
			panic(f[0])
		}
	}
	return c
}

func readFound(in string) (found Found) {
	for lines := bufio.NewScanner(strings.NewReader(in)); lines.Scan(); {
		f := strings.Fields(lines.Text())
		opt := func(name string, or int) int {
			if i := slices.Index(f, name); i > 0 {
				return number(f[i+1])
			}
			return or
		}
		switch f[0] {
		case "device":
			found.Device = Device{Index: number(f[1]), MTU: opt("mtu", 1500), Up: slices.Contains(f, "up")}
			if i := slices.Index(f, "foreign"); i > 0 {
				found.Device.Foreign = f[i+1]
			}
		case "address":
			found.Device.Addresses = append(found.Device.Addresses, netip.MustParsePrefix(f[1]))
		case "entry":
			e := Entry{Key: Key{netip.MustParsePrefix(f[2]), opt("metric", 0)}, Link: opt("link", 0), MTU: opt("mtu", 0),
				Protocol: opt("proto", DefaultProtocol), Odd: slices.Contains(f, "odd")}
			e.Kind = map[string]Kind{"unicast": Unicast, "unreachable": Unreachable, "throw": Throw, "other": Other}[f[1]]
			if i := slices.Index(f, "src"); i > 0 {
				e.Source = netip.MustParseAddr(f[i+1])
			}
			found.Routes = append(found.Routes, e)
		case "rule":
			found.Rules = append(found.Rules, Rule{V6: slices.Contains(f, "v6"), Priority: opt("priority", DefaultRulePriority),
				Table: opt("table", DefaultTable), Protocol: opt("proto", DefaultProtocol), NotMark: uint32(opt("notmark", 0)), Odd: slices.Contains(f, "odd")})
		case "filter":
			found.Filter = &Filter{Overlay: Ranges(prefixes(f[2])), Broken: slices.Contains(f, "broken")}
			if f[1] != "-" {
				found.Filter.Underlay = strings.Split(f[1], ",")
			}
			if i := slices.Index(f, "clamp"); i > 0 {
				found.Filter.Clamp = f[i+1]
			}
			if len(f) > 3 && f[3] != "broken" && f[3] != "clamp" {
				found.Filter.Local = Ranges(prefixes(f[3]))
			}
		case "nov6":
			found.NoV6 = f[1]
		case "nofilter":
			found.NoFilter = f[1]
		default:
			panic(f[0])
		}
	}
	return found
}
