package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// report is what was measured: the last line of the output, and the table above it.
type report struct {
	Demo                   string  `json:"demo"`
	Regions                int     `json:"regions"`
	Routers                int     `json:"routers"`
	PingMS                 float64 `json:"ping_ms"`
	UnderlayMS             float64 `json:"underlay_ms"`
	Objects                int64   `json:"objects"`
	Bytes                  int64   `json:"bytes"`
	Identical              bool    `json:"identical"`
	SecondsToLastByte      float64 `json:"seconds_to_last_byte"`
	ReroutedMS             float64 `json:"rerouted_ms"`
	ControlKillLostPackets int     `json:"control_kill_lost_packets"`
	AcknowledgedLost       int64   `json:"acknowledged_lost"`
}

// broken is the last line of a run that failed.
type broken struct {
	Demo     string `json:"demo"`
	Step     string `json:"step"`
	Expected string `json:"expected"`
	Got      string `json:"got"`
	Logs     string `json:"logs"`
}

// jsonLine is one line of JSON.
func jsonLine(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode the report %+v: %v", v, err))
	}
	return string(b)
}

// row is a line of the table.
type row struct{ what, measured, remark string }

// printTable writes rows in columns: names to the left, figures to the right.
func printTable(w io.Writer, indent string, rows []row) {
	var wide [3]int
	for _, r := range rows {
		for i, c := range []string{r.what, r.measured, r.remark} {
			wide[i] = max(wide[i], utf8.RuneCountInString(c))
		}
	}
	line := indent + strings.Repeat("─", wide[0]+wide[1]+wide[2]+4)
	fmt.Fprintln(w, line)
	for _, r := range rows {
		text := indent + padRight(r.what, wide[0]) + "  " + padLeft(r.measured, wide[1]) + "  " + r.remark
		fmt.Fprintln(w, strings.TrimRight(text, " "))
	}
	fmt.Fprintln(w, line)
}

func padRight(s string, n int) string {
	return s + strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s)))
}

func padLeft(s string, n int) string {
	return strings.Repeat(" ", max(0, n-utf8.RuneCountInString(s))) + s
}
