package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"text/tabwriter"
)

// rows are the table's, in order: a figure, its name, its unit.
var rows = []struct{ figure, title, unit string }{
	{figTCP1, "one TCP flow", "Mbit/s"},
	{figTCP4, "four TCP flows", "Mbit/s"},
	{figTCP1 + cpuSuffix, "CPU per gigabit, one flow", "s"},
	{figTCP4 + cpuSuffix, "CPU per gigabit, four flows", "s"},
	{figUDP1200, "UDP 1,200 octets, loss < 0.1 %", "packets/s"},
	{figUDP1200 + saturatedSuffix, "UDP 1,200 octets, saturated", "packets/s"},
	{figUDP64, "UDP 64 octets, loss < 0.1 %", "packets/s"},
	{figUDP64 + saturatedSuffix, "UDP 64 octets, saturated", "packets/s"},
	{"rtt_idle_p50", "RTT idle, p50", "µs"},
	{"rtt_idle_p99", "RTT idle, p99", "µs"},
	{"rtt_loaded_p50", "RTT beside a flow, p50", "µs"},
	{"rtt_loaded_p99", "RTT beside a flow, p99", "µs"},
	{"rtt_loaded_lost", "echoes lost beside a flow", "%"},
	{"relay_direct", "one flow, a to b of three routers", "Mbit/s"},
	{"relay", "one flow, a to c, relayed by b", "Mbit/s"},
	{"rss_forward", "resident with 100 idle peers, forward", "MiB"},
	{"rss_control", "resident with 100 idle peers, control", "MiB"},
	{"rss_all", "resident with 100 idle peers, all", "MiB"},
	{"rss_pss", "the same, pages in common counted once", "MiB"},
	{"busy", "processors busy elsewhere, before", "%"},
	{"stolen", "processors' time taken by the host", "%"},
}

// bar is what a figure of the summary must reach.
type bar struct {
	title string
	value func(summary) number
	least bool // it must be at least that much, and not at most
	limit float64
}

var bars = []bar{
	{"one TCP flow over wireguard-go", func(s summary) number { return s.RatioWireGuard }, true, 2.2},
	{"four TCP flows over wireguard-go", func(s summary) number { return s.Ratio4Flows }, true, 2.4},
	{"UDP 1,200 octets over wireguard-go", func(s summary) number { return s.RatioUDP1200 }, true, 1.5},
	{"UDP 64 octets over wireguard-go", func(s summary) number { return s.RatioUDP64 }, true, 1.5},
	{"RTT p99 idle over wireguard-go", func(s summary) number { return s.RatioRTTIdle }, false, 1.1},
	{"RTT p99 beside a flow over wireguard-go", func(s summary) number { return s.RatioRTTLoaded }, false, 0.7},
	{"CPU per gigabit over wireguard-go", func(s summary) number { return s.RatioCPUPerGbit }, false, 0.5},
	{"relayed over direct", func(s summary) number { return s.RatioRelay }, true, 0.55},
	{"MiB with 100 idle peers, pages in common once", func(s summary) number { return s.GalleonRSSMebi }, false, 80},
}

// table prints all figures as min / median / max over the rounds, and the bars.
func (r results) table(systems []string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "min/median/max\tunit\t%s\n", strings.Join(systems, "\t"))
	for _, row := range rows {
		cells := []string{row.title, row.unit}
		any := false
		for _, s := range systems {
			x := r.of(s, row.figure)
			any = any || len(x) > 0
			cells = append(cells, spread(x))
		}
		if any {
			fmt.Fprintln(w, strings.Join(cells, "\t"))
		}
	}
	fmt.Fprintln(w)
	sum := r.summary()
	fmt.Fprintln(w, "bar\twant\tis\t")
	for _, x := range bars {
		sign, verdict, value := "≤", "", float64(x.value(sum))
		if x.least {
			sign = "≥"
		}
		switch {
		case math.IsNaN(value):
			verdict = "not measured"
		case x.least == (value >= x.limit) || value == x.limit:
			verdict = digits(value) + "\treached"
		default:
			verdict = digits(value) + "\tMISSED"
		}
		fmt.Fprintf(w, "%s\t%s %s\t%s\n", x.title, sign, digits(x.limit), verdict)
	}
	w.Flush()
	for _, s := range slices.Sorted(maps.Keys(r.missing)) {
		fmt.Fprintf(&b, "missing: %s: %s\n", s, r.missing[s])
	}
	return b.String()
}

// spread is min/median/max, or one value when there is one.
func spread(s samples) string {
	switch len(s) {
	case 0:
		return "-"
	case 1:
		return digits(s[0])
	}
	least, most := s.bounds()
	return digits(least) + "/" + digits(s.median()) + "/" + digits(most)
}

// digits prints three of them, or all before the point.
func digits(x float64) string {
	if math.Abs(x) >= 100 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.3g", x)
}
