package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// printReport is the table at the end of a run that went well.
func (d *demo) printReport() {
	r := d.report
	identical := "all identical by SHA-256"
	rows := []row{
		{"regions, routers", fmt.Sprintf("%d, %d", r.Regions, r.Routers), "each joined with one token"},
		{"ping Hangzhou ─▶ Querétaro", fmt.Sprintf("%.1f ms", r.PingMS), fmt.Sprintf("underlay %.1f ms", r.UnderlayMS)},
		{"objects", thousands(r.Objects), identical},
		{"bytes", size(r.Bytes), identical},
		{"to the last byte in Querétaro", fmt.Sprintf("%.1f s", r.SecondsToLastByte), "from the first byte in Hangzhou"},
	}
	rows = append(rows, d.remarks...)
	rows = append(rows,
		row{"a path was cut", fmt.Sprintf("%.1f ms", r.ReroutedMS), gapRemark},
		row{"a control process was killed", fmt.Sprint(r.ControlKillLostPackets), "packets lost"},
		row{"a router was killed", fmt.Sprint(r.AcknowledgedLost), "acknowledged objects lost"},
	)
	var b strings.Builder
	printTable(&b, indent, rows)
	d.screen.write("\n" + strings.TrimRight(b.String(), "\n"))
}

// printKeep tells what can be tried while the lab is left running.
func (d *demo) printKeep() {
	bin := relative(d.bin)
	var others []string
	for _, r := range d.routers[min(1, len(d.routers)):] {
		others = append(others, r.place.name)
	}
	lines := []string{"", "It all keeps running until Ctrl-C here. From another terminal, in this directory:", "",
		"  export GALLEON_SOCKET=" + d.work.path(hangzhou.name, "run", "galleon.sock"),
		"  # the same path with another name is another router: " + strings.Join(others, ", "),
		"",
		fmt.Sprintf("  %s/galleon router list", bin),
		fmt.Sprintf("  %s/galleon path show cn-hangzhou mx-queretaro", bin),
		fmt.Sprintf("  %s/galleon route list", bin),
		fmt.Sprintf("  %s/galleon cluster status", bin),
		fmt.Sprintf("  %s/galleon replication status", bin),
		"",
		fmt.Sprintf("  %s/demo link cn-hangzhou ap-tokyo cut          # then heal; or loss=5%%, rtt=300ms, rate=20mbit", bin),
		fmt.Sprintf("  %s/demo exec cn-hangzhou-host -- sh            # on the server in Hangzhou, whose S3 endpoint is http://%s", bin, hangzhou.s3()),
		fmt.Sprintf("  %s/demo exec mx-queretaro -- cat /proc/net/dev # on the router in Querétaro", bin),
	}
	if d.store != nil {
		lines = append(lines, "", fmt.Sprintf("  export AWS_ACCESS_KEY_ID=%s AWS_SECRET_ACCESS_KEY=%s  # for those endpoints", d.store.key.ID, d.store.key.Secret))
	}
	lines = append(lines, "", "  logs: "+d.work.logs(), "")
	d.screen.write(strings.Join(lines, "\n"))
}

// relative is a path as one would type it from here.
func relative(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	rel, err := filepath.Rel(here, path)
	if err != nil || strings.HasPrefix(rel, "..") {
		return path
	}
	return rel
}
