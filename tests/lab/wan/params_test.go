package wan

import (
	"encoding/json"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestParamsText(t *testing.T) {
	for _, c := range []struct{ text, want, err string }{
		{"", "delay=0s", ""},
		{"rtt=36ms", "delay=18ms", ""},
		{"delay=1500us rate=1gbit queue=4MB", "delay=1.5ms rate=1gbit queue=4MB", ""},
		{"rate=2.5gbit mtu=1400", "delay=0s rate=2500mbit mtu=1400", ""},
		{"rate=100mbit rate=unlimited", "delay=0s", ""},
		{"loss=0.5% duplicate=0.01 reorder=2% late=3ms", "delay=0s loss=0.5% duplicate=1% reorder=2% late=3ms", ""},
		{"queue=64KiB", "delay=0s queue=64KiB", ""},
		{"queue=65537", "delay=0s queue=65537", ""},
		{"cut", "cut delay=0s", ""},
		{"cut heal", "delay=0s", ""},
		{"loss=101%", "", "loss 1.01: want 0% to 100%"},
		{"loss=NaN", "", "loss NaN: want 0% to 100%"},
		{"delay=2h", "", "delay 2h0m0s: want 0 to 1m0s"},
		{"rate=10bit", "", "rate 10bit: want unlimited, or 1kbit to 1000gbit"},
		{"rate=fast", "", `link setting "rate=fast": "fast": want a number and a unit, like 100mbit`},
		{"rate=-1gbit", "", `link setting "rate=-1gbit": "-1gbit": want a number and a unit, like 100mbit`},
		{"queue=9PB", "", `link setting "queue=9PB": "9PB": want a number and a unit, like 64KiB`},
		{"jitter=1ms", "", `link setting "jitter=1ms": not a property of a link: want delay, rtt, rate, queue, mtu, loss, duplicate, reorder, late, cut or heal`},
	} {
		p, err := Params{}.Apply(c.text)
		switch {
		case c.err != "" && (err == nil || err.Error() != c.err):
			t.Errorf("%q: error %v, want %s", c.text, err, c.err)
		case c.err == "" && (err != nil || p.String() != c.want):
			t.Errorf("%q: %v (%v), want %s", c.text, p, err, c.want)
		}
	}
}

// TestParamsRoundTrip: the text of any setting reads back as the same, also inside JSON.
func TestParamsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		permille := rapid.Custom(func(t *rapid.T) Share { return Share(rapid.IntRange(0, 1000).Draw(t, "‰")) / 1000 })
		p := Params{
			Delay: time.Duration(rapid.Int64Range(0, int64(maxDelay)).Draw(t, "delay")),
			Rate:  Rate(rapid.Uint64Range(uint64(leastRate), uint64(maxRate)).Draw(t, "rate")),
			Queue: Size(rapid.Int64Range(0, int64(maxSize)).Draw(t, "queue")),
			MTU:   Size(rapid.Int64Range(0, 65535).Draw(t, "mtu")),
			Loss:  permille.Draw(t, "loss"), Duplicate: permille.Draw(t, "duplicate"), Reorder: permille.Draw(t, "reorder"),
			Late: time.Duration(rapid.Int64Range(0, int64(maxDelay)).Draw(t, "late")),
			Cut:  rapid.Bool().Draw(t, "cut"),
		}
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		var q Params
		if err := json.Unmarshal(b, &q); err != nil || q != p {
			t.Fatalf("%v reads back as %v (%v)", p, q, err)
		}
	})
}

func FuzzApply(f *testing.F) {
	f.Add("rtt=36ms rate=1gbit queue=4MB loss=0.5% cut")
	f.Add("delay=1ms delay= =1 heal=")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Params{}.Apply(text)
		if err != nil {
			return
		}
		if err := p.Check(); err != nil {
			t.Fatalf("Apply(%q) gives what Check refuses: %v", text, err)
		}
		NewLink(1, p).Send(0, Burst{3, 1500, 40}, nil)
	})
}
