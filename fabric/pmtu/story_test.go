package pmtu

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestStories runs a search over a simulated path, with a slot for a probe every 50 ms.
//
//	start [base=] [usual=] [max=] [head=] [rtt=]   a fresh search
//	path [mtu=] [interface=] [lose=share]          what passes: of the network, of our own interface, of luck
//	moved                                          the search is told that the path changed
//	run 5s                                         prints the changes
//	status                                         sizes, and what the probes cost
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var w *world
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "start":
				w = newWorld(t, d)
			case "path":
				w.scan(t, d)
			case "moved":
				w.s.Moved(w.now)
			case "run":
				w.run(duration(t, d.CmdArgs[0].Key))
			case "status":
				fmt.Fprintf(&w.out, "size %d, refuted %d, searching %v, narrow %v; %d probes, %d octets\n",
					w.s.Size(), w.s.refuted, w.s.Searching(), w.s.Narrow(), w.probes, w.octets)
				w.probes, w.octets = 0, 0
			default:
				d.Fatalf(t, "unknown command %q", d.Cmd)
			}
			defer w.out.Reset()
			return w.out.String()
		})
	})
}

func duration(t *testing.T, s string) time.Duration {
	v, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// slot is between two chances to send, and late how long after its echo is due a probe is called lost.
const (
	slot = 50 * time.Millisecond
	late = 2 * slot
)

type world struct {
	s              *Search
	start, now     time.Time
	rtt            time.Duration
	mtu, local     int
	lose           float64
	rng            *rand.Rand
	flying         []probe
	probes, octets int
	out            strings.Builder
}

type probe struct {
	sent time.Time
	size int
	gone bool
}

func newWorld(t *testing.T, d *datadriven.TestData) *world {
	w := &world{start: time.Unix(0, 0), rtt: 80 * time.Millisecond, rng: rand.New(rand.NewPCG(1, 2)), mtu: 1 << 16, local: 1 << 16}
	w.now = w.start
	cfg := Config{Base: 1328, Usual: 1448, Max: 1448, Head: 28}
	for k, p := range map[string]*int{"base": &cfg.Base, "usual": &cfg.Usual, "max": &cfg.Max, "head": &cfg.Head} {
		if d.HasArg(k) {
			d.ScanArgs(t, k, p)
		}
	}
	if d.HasArg("rtt") {
		var s string
		d.ScanArgs(t, "rtt", &s)
		w.rtt = duration(t, s)
	}
	w.s = New(cfg, w.now)
	return w
}

func (w *world) scan(t *testing.T, d *datadriven.TestData) {
	for _, a := range d.CmdArgs {
		switch a.Key {
		case "mtu":
			d.ScanArgs(t, "mtu", &w.mtu)
		case "interface":
			d.ScanArgs(t, "interface", &w.local)
		case "lose":
			fmt.Sscan(a.Vals[0], &w.lose)
		}
	}
}

// run lets slots pass. The sizes of the story are of datagrams, without headers.
func (w *world) run(d time.Duration) {
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(slot) {
		for len(w.flying) > 0 {
			p := w.flying[0]
			due := p.sent.Add(w.rtt)
			if p.gone {
				due = due.Add(late)
			}
			if w.now.Before(due) {
				break
			}
			w.flying = w.flying[1:]
			if p.gone {
				w.print(w.s.Lost(w.now, p.sent, p.size, w.lose))
			} else {
				w.print(w.s.Heard(w.now, p.sent, p.size))
			}
		}
		if size := w.s.Next(w.now); size > 0 {
			w.probes++
			w.octets += size
			if size > w.local {
				w.print(w.s.Refused(w.now, size))
			} else {
				w.flying = append(w.flying, probe{w.now, size, size > w.mtu || w.rng.Float64() < w.lose})
			}
		}
	}
}

func (w *world) print(c Change, changed bool) {
	if changed {
		fmt.Fprintf(&w.out, "%9s size %d: %s\n", w.now.Sub(w.start), c.Size, c.Why)
	}
}
