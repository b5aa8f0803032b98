package wan

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"
)

// TestLink tells stories of one link. Commands: link (a new one), set, send (at, size, segments, last), backlog, arrives,
// counters.
func TestLink(t *testing.T) {
	datadriven.Walk(t, "testdata/link", func(t *testing.T, path string) {
		var l *Link
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "link", "set":
				var p Params
				if l != nil && d.Cmd == "set" {
					p = l.Params()
				}
				p, err := p.Apply(d.Input)
				if err != nil {
					return err.Error()
				}
				if d.Cmd == "link" {
					var seed uint64
					d.MaybeScanArgs(t, "seed", &seed)
					l = NewLink(seed, p)
				} else {
					l.Set(p)
				}
				return p.String()
			case "send":
				return sendStory(t, l, d)
			case "backlog":
				return l.Backlog(at(t, d)).String()
			case "arrives":
				var cuts uint64
				d.ScanArgs(t, "cuts", &cuts)
				return fmt.Sprint(l.Arrives(uint32(cuts), 1))
			case "counters":
				return fmt.Sprintf("%+v", l.Counters())
			}
			d.Fatalf(t, "no command %s", d.Cmd)
			return ""
		})
	})
}

func at(t *testing.T, d *datadriven.TestData) Instant {
	var text string
	d.ScanArgs(t, "at", &text)
	v, err := time.ParseDuration(text)
	if err != nil {
		d.Fatalf(t, "%v", err)
	}
	return v
}

func sendStory(t *testing.T, l *Link, d *datadriven.TestData) string {
	size, segments, times := 1500, 1, 1
	d.MaybeScanArgs(t, "size", &size)
	d.MaybeScanArgs(t, "segments", &segments)
	d.MaybeScanArgs(t, "times", &times)
	last := size
	d.MaybeScanArgs(t, "last", &last)
	var b strings.Builder
	for range times {
		runs := l.Send(at(t, d), Burst{segments, size, last}, nil)
		for _, r := range runs {
			if segments == 1 {
				fmt.Fprintf(&b, "%v\n", r.At)
			} else {
				fmt.Fprintf(&b, "%d..%d at %v\n", r.First, r.First+r.Count-1, r.At)
			}
		}
		if len(runs) == 0 {
			fmt.Fprintln(&b, "nothing arrives")
		}
	}
	return b.String()
}

// TestEveryPacketHasOneFate: whatever is sent, the counters account for every packet; runs are in order and apart, but
// for duplicates; nothing arrives before the delay; and no more waits than the queue holds.
func TestEveryPacketHasOneFate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		share := rapid.Custom(func(t *rapid.T) Share {
			return Share(rapid.SampledFrom([]float64{0, 0, 0.01, 0.5, 1}).Draw(t, "share"))
		})
		p := Params{
			Delay: time.Duration(rapid.Int64Range(0, int64(time.Second)).Draw(t, "delay")),
			Rate:  Rate(rapid.SampledFrom([]uint64{0, 1e5, 1e6, 1e9, 1e11}).Draw(t, "rate")),
			Queue: Size(rapid.SampledFrom([]int64{0, 3000, 1e6}).Draw(t, "queue")),
			MTU:   Size(rapid.SampledFrom([]int64{0, 1000}).Draw(t, "mtu")),
			Loss:  share.Draw(t, "loss"), Reorder: share.Draw(t, "reorder"), Duplicate: share.Draw(t, "duplicate"),
		}
		l := NewLink(rapid.Uint64().Draw(t, "seed"), p)
		var now Instant
		var extra uint64
		for range rapid.IntRange(1, 30).Draw(t, "bursts") {
			now += time.Duration(rapid.Int64Range(0, int64(10*time.Millisecond)).Draw(t, "pause"))
			b := Burst{Segments: rapid.IntRange(1, 45).Draw(t, "segments"), Size: rapid.IntRange(60, 1500).Draw(t, "size")}
			b.Last = rapid.IntRange(60, b.Size).Draw(t, "last")
			if b.Segments == 1 {
				b.Last = b.Size
			}
			seen := make([]int, b.Segments)
			before := l.Counters()
			for _, r := range l.Send(now, b, nil) {
				if r.At < now+p.Delay {
					t.Fatalf("arrives at %v, sent at %v with a delay of %v", r.At, now, p.Delay)
				}
				for i := r.First; i < r.First+r.Count; i++ {
					seen[i]++
				}
			}
			c := l.Counters()
			for i, n := range seen {
				if n > 2 {
					t.Fatalf("segment %d arrives %d times", i, n)
				}
				extra += uint64(max(0, n-1))
			}
			lost := c.Lost + c.QueueFull + c.TooLarge - before.Lost - before.QueueFull - before.TooLarge
			var here uint64
			for _, n := range seen {
				here += uint64(min(1, n))
			}
			if here+lost != uint64(b.Segments) {
				t.Fatalf("of %d segments %d arrive and %d are lost", b.Segments, here, lost)
			}
		}
		if c := l.Counters(); c.Duplicated != extra {
			t.Fatalf("%d arrive twice, %d are counted", extra, c.Duplicated)
		}
		if l.Backlog(now) > p.QueueLimit()+1500 {
			t.Fatalf("%v wait, the limit is %v", l.Backlog(now), p.QueueLimit())
		}
	})
}

// TestRateIsExact: over a second at any rate, a link that always has something to send carries the rate, to a packet.
func TestRateIsExact(t *testing.T) {
	for _, rate := range []Rate{1e5, 3e6, 1e9, 7e9} {
		l := NewLink(1, Params{Rate: rate, Queue: 1 << 20})
		var sent float64
		for now := Instant(0); now < time.Second; now += 100 * time.Microsecond {
			for len(l.Send(now, Single(1234), nil)) > 0 {
				sent += 1234
			}
		}
		sent -= float64(l.Backlog(time.Second))
		if want := float64(rate) / 8; math.Abs(sent-want) > 1235 {
			t.Errorf("at %v, %.0f bytes left in a second, want %.0f", rate, sent, want)
		}
	}
}

// TestThrow: asking how many pass until the next hit is the same as asking for each.
func TestThrow(t *testing.T) {
	for _, p := range []float64{0.0001, 0.01, 0.3, 0.99} {
		const n = 2_000_000
		l := NewLink(7, Params{Loss: Share(p)})
		hits, pairs, last := 0, 0, -2
		for i := range n {
			if len(l.Send(0, Single(100), nil)) == 0 {
				hits++
				if last == i-1 {
					pairs++
				}
				last = i
			}
		}
		near := func(what string, got int, p float64) {
			if sigma := math.Sqrt(n * p * (1 - p)); math.Abs(float64(got)-n*p) > 5*sigma+1 {
				t.Errorf("p=%v: %s %d times of %d, want %.0f ± %.0f", p, what, got, n, n*p, sigma)
			}
		}
		near("lost", hits, p)
		near("lost two in a row", pairs, p*p) // independent of one another
	}
}

// TestSameSeedSameFate: a link repeats itself.
func TestSameSeedSameFate(t *testing.T) {
	fate := func(seed uint64) string {
		l := NewLink(seed, Params{Loss: 0.1, Duplicate: 0.1, Reorder: 0.1})
		var b strings.Builder
		for i := range 1000 {
			fmt.Fprint(&b, l.Send(Instant(i), Burst{10, 1000, 500}, nil))
		}
		return b.String()
	}
	first, again := fate(3), fate(3)
	if first != again {
		t.Error("two links of one seed differ")
	}
	if first == fate(4) {
		t.Error("two seeds give the same")
	}
}
