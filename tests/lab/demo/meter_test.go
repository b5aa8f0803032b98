package main

import (
	"testing"
	"time"
)

// TestMeter is an upload that starts, runs, stalls and ends.
func TestMeter(t *testing.T) {
	t0 := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	at := func(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }
	m := meter{what: "uploaded", unit: "files", items: 11478, bytes: 100 << 20}
	for _, step := range []struct {
		at           float64
		items, bytes int64
		want         string
	}{
		{0, 0, 0, "uploaded 0 of 11,478 files, 0 B of 100.0 MiB  0 %"},
		{1, 1000, 10 << 20, "uploaded 1,000 of 11,478 files, 10.0 MiB of 100.0 MiB  10 %  10.0 MiB/s  11 s left"},
		{2, 2000, 20 << 20, "uploaded 2,000 of 11,478 files, 20.0 MiB of 100.0 MiB  20 %  10.0 MiB/s  10 s left"},
		{12, 2000, 20 << 20, "uploaded 2,000 of 11,478 files, 20.0 MiB of 100.0 MiB  20 %  0 B/s"},
		{13, 11478, 100 << 20, "uploaded 11,478 of 11,478 files, 100.0 MiB of 100.0 MiB  100 %  7.3 MiB/s  1 s left"},
	} {
		m.observe(at(step.at), step.items, step.bytes)
		if got := m.String(); got != step.want {
			t.Errorf("at %v s:\n got %s\nwant %s", step.at, got, step.want)
		}
	}
	if got := m.stalled(at(20)); got != 7*time.Second {
		t.Errorf("stalled for %v, want 7s", got)
	}
}

func TestMeterKeepsLittle(t *testing.T) {
	var m meter
	t0 := time.Unix(0, 0)
	for i := range 10000 {
		m.observe(t0.Add(time.Duration(i)*100*time.Millisecond), int64(i), int64(i))
	}
	if n := len(m.samples); n > 60 {
		t.Errorf("%d samples kept for %v", n, rateWindow)
	}
}

func TestNumbersForPeople(t *testing.T) {
	for got, want := range map[string]string{
		size(0): "0 B", size(1023): "1023 B", size(1536): "1.5 KiB", size(256 << 20): "256.0 MiB",
		thousands(7): "7", thousands(1234567): "1,234,567", thousands(-1000): "-1,000", thousands(-100): "-100",
		short(0): "1 s", short(61 * time.Second): "1 min 01 s", millis(202345 * time.Microsecond): "202.3 ms",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
