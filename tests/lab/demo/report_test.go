package main

import (
	"strings"
	"testing"
)

// TestReportKeys: programs read this line; its keys and their order are fixed.
func TestReportKeys(t *testing.T) {
	r := report{
		Demo: "ok", Regions: 6, Routers: 7, PingMS: 203.1, UnderlayMS: 202.3, Objects: 11479, Bytes: 433000000, Identical: true,
		SecondsToLastByte: 61.5, ReroutedMS: 212.4,
	}
	want := `{"demo":"ok","regions":6,"routers":7,"ping_ms":203.1,"underlay_ms":202.3,"objects":11479,"bytes":433000000,"identical":true,` +
		`"seconds_to_last_byte":61.5,"rerouted_ms":212.4,"control_kill_lost_packets":0,"acknowledged_lost":0}`
	if got := jsonLine(r); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestTableIsAligned(t *testing.T) {
	var b strings.Builder
	printTable(&b, "  ", []row{
		{"ping to Querétaro", "203.1 ms", "underlay 202.3 ms"},
		{"objects", "11,479", ""},
	})
	want := `  ──────────────────────────────────────────────
  ping to Querétaro  203.1 ms  underlay 202.3 ms
  objects              11,479
  ──────────────────────────────────────────────
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
