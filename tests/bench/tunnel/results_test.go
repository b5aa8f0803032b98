package main

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
)

// The last line has every key that its readers look for, and null for what was not measured.
func TestSummary(t *testing.T) {
	r := newResults()
	for i, mbps := range []float64{3000, 1000, 2000} {
		r.put(sysGalleon, figTCP1, mbps)
		r.put(sysWireGuard, figTCP1, mbps/4)
		r.put(sysGalleon, "relay_direct", 1000+float64(i))
		r.put(sysGalleon, "relay", 600)
	}
	r.put(sysNebula, figTCP1, 99.51234)
	r.drop(sysNebula, "it broke")
	b, err := json.Marshal(r.summary())
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"bench":"tunnel","raw_mbps":null,"galleon_mbps":2000,"wireguard_go_mbps":500,"nebula_mbps":null,"ratio_wireguard_go":4,` +
		`"ratio_4_flows":null,"ratio_udp_1200":null,"ratio_udp_64":null,"ratio_relay":0.599,"ratio_rtt_p99_idle":null,"ratio_rtt_p99_loaded":null,` +
		`"cpu_per_gbit_ratio":null,"galleon_rss_mib":null}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
	table := r.table(allSystems)
	for _, line := range []string{"missing: nebula: it broke", "1000/2000/3000", "reached", "not measured"} {
		if !strings.Contains(table, line) {
			t.Errorf("no %q in\n%s", line, table)
		}
	}
}

func TestNumber(t *testing.T) {
	for in, want := range map[float64]string{
		12345.678: "12346", 99.51234: "99.512", 0.5494: "0.549", 0: "0", math.NaN(): "null", math.Inf(1): "null",
	} {
		if b, err := json.Marshal(number(in)); err != nil || string(b) != want {
			t.Errorf("%v: %s, want %s (%v)", in, b, want, err)
		}
	}
}

// A bar that asks for at least something is missed below it, one that asks for at most something above.
func TestBars(t *testing.T) {
	r := newResults()
	r.put(sysGalleon, figUDP64, 14)
	r.put(sysWireGuard, figUDP64, 10)
	r.put(sysGalleon, "rtt_idle_p99", 11)
	r.put(sysWireGuard, "rtt_idle_p99", 10)
	table := r.table(allSystems)
	for title, verdict := range map[string]string{"UDP 64 octets over": "MISSED", "RTT p99 idle over": "reached", "relayed over direct": "not measured"} {
		found := false
		for line := range strings.Lines(table) {
			found = found || strings.HasPrefix(line, title) && strings.Contains(line, verdict)
		}
		if !found {
			t.Errorf("%s: not %s in\n%s", title, verdict, table)
		}
	}
}
