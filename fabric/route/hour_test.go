package route

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/galleon-net/galleon/fabric/linkstate"
	"github.com/galleon-net/galleon/fabric/topo"
)

// TestHours feeds links' restless figures through linkstate.Steady into an engine, twice a second, and counts
// how often the next hop changes.
//
//	measure from=r1 to=r3 [for=1h] [seed=1] [raw]
//	r1-r2 70ms [noise=3ms] [loss=ppm]       what the link is like from the start
//	at 10m r1-r2 ...                        from then on; "down" instead of a round trip is down
//	wave r1-r2 70ms 110ms 30s               by turns, each for so long
//
// Round trips are spread normally about their mean with the given noise, one in fifty is a spike of five
// times that; a loss is that of a window of 200 probes. With raw, every figure is said as it was measured. The
// answer is the switches, and how many records were said.
func TestHours(t *testing.T) {
	datadriven.Walk(t, "testdata/hour", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var from, to string
			span, seed := "1h", 1
			d.ScanArgs(t, "from", &from)
			d.ScanArgs(t, "to", &to)
			d.MaybeScanArgs(t, "for", &span)
			d.MaybeScanArgs(t, "seed", &seed)
			length, err := time.ParseDuration(span)
			if err != nil {
				d.Fatalf(t, "%v", err)
			}
			h := hour{self: router(from), to: router(to), raw: d.HasArg("raw"), rnd: rand.New(rand.NewPCG(uint64(seed), 0))}
			for line := range strings.Lines(d.Input) {
				if err := h.script(strings.Fields(line)); err != nil {
					d.Fatalf(t, "%s: %v", line, err)
				}
			}
			return h.run(length)
		})
	})
}

// nature is what a link is like from a moment on.
type nature struct {
	from       time.Duration
	rtt, noise time.Duration
	loss       float64
	down       bool
	other      time.Duration // by turns with rtt
	every      time.Duration
}

type hour struct {
	self, to topo.RouterID
	raw      bool
	rnd      *rand.Rand
	pairs    []topo.Pair // in the order of the script
	natures  map[topo.Pair][]nature
	said     map[[2]topo.RouterID]linkstate.Steady
}

func (h *hour) script(f []string) error {
	var n nature
	var err error
	if f[0] == "at" {
		if n.from, err = time.ParseDuration(f[1]); err != nil {
			return err
		}
		f = f[2:]
	}
	wave := f[0] == "wave"
	if wave {
		f = f[1:]
	}
	a, b, _ := strings.Cut(f[0], "-")
	pair := topo.PairOf(router(a), router(b))
	if f[1] == "down" {
		n.down = true
	} else if n.rtt, err = time.ParseDuration(f[1]); err != nil {
		return err
	}
	rest := f[2:]
	if wave {
		n.other, _ = time.ParseDuration(rest[0])
		n.every, _ = time.ParseDuration(rest[1])
		rest = rest[2:]
	}
	for _, o := range rest {
		k, v, _ := strings.Cut(o, "=")
		if k == "noise" {
			n.noise, err = time.ParseDuration(v)
		} else {
			n.loss, err = strconv.ParseFloat(v, 64)
		}
		if err != nil {
			return err
		}
	}
	if h.natures == nil {
		h.natures = map[topo.Pair][]nature{}
	}
	if h.natures[pair] == nil {
		h.pairs = append(h.pairs, pair)
	}
	h.natures[pair] = append(h.natures[pair], n)
	return nil
}

// measured is what one end of a link sees at a moment.
func (h *hour) measured(p topo.Pair, at time.Duration, to topo.RouterID) linkstate.Link {
	var n nature
	for _, x := range h.natures[p] {
		if x.from <= at {
			n = x
		}
	}
	if n.down {
		return linkstate.Link{To: to}
	}
	rtt := n.rtt
	if n.every > 0 && at/n.every%2 == 1 {
		rtt = n.other
	}
	noise := h.rnd.NormFloat64()
	if h.rnd.IntN(50) == 0 {
		noise = 5
	}
	rtt = max(rtt+time.Duration(noise*float64(n.noise)), time.Millisecond).Round(time.Microsecond)
	lost := uint32(0)
	for range 200 {
		if h.rnd.Float64()*1e6 < n.loss {
			lost += 1_000_000 / 200
		}
	}
	return linkstate.Link{To: to, RTT: rtt, LossPPM: lost, MTU: 1400, Up: true}
}

func (h *hour) run(length time.Duration) string {
	h.said = map[[2]topo.RouterID]linkstate.Steady{}
	e := NewEngine(h.self, topo.ClassInteractive)
	records := map[topo.RouterID]*linkstate.Record{}
	var ids []topo.RouterID
	for _, p := range h.pairs {
		for _, id := range []topo.RouterID{p.A, p.B} {
			if records[id] == nil {
				records[id] = &linkstate.Record{Origin: id}
				ids = append(ids, id)
			}
		}
	}
	slices.Sort(ids)
	start := time.Unix(0, 0).UTC()
	plane := topo.Plane{Class: topo.ClassInteractive}
	var out strings.Builder
	last, switches, said := topo.RouterID(0), 0, 0
	for at := time.Duration(0); at < length; at += 500 * time.Millisecond {
		now := start.Add(at)
		for _, p := range h.pairs {
			for _, d := range [][2]topo.RouterID{{p.A, p.B}, {p.B, p.A}} {
				l := h.measured(p, at, d[1])
				s, changed := h.said[d].Next(now, l)
				if h.raw {
					changed = s.Said != l || changed
					s.Said = l
				}
				h.said[d] = s
				if changed {
					said++
					r := records[d[0]]
					r.Seq++
					r.Links = slices.DeleteFunc(slices.Clone(r.Links), func(x linkstate.Link) bool { return x.To == d[1] })
					r.Links = append(r.Links, s.Said)
					slices.SortFunc(r.Links, func(a, b linkstate.Link) int { return int(int64(a.To) - int64(b.To)) })
				}
			}
		}
		f := Facts{Now: now}
		for _, id := range ids {
			f.Records = append(f.Records, *records[id])
		}
		e.Update(f)
		if w, _ := e.Way(plane, h.to); w.Next != last {
			if at > 0 {
				switches++
			}
			if at > 0 && switches <= 8 {
				fmt.Fprintf(&out, "%s from %s to %s", now.Format(time.TimeOnly), last, w.Next)
				if log := e.Switches(plane, h.to); len(log) > 0 {
					fmt.Fprintf(&out, ": %s", log[len(log)-1].Cause)
				}
				out.WriteByte('\n')
			}
			last = w.Next
		}
	}
	fmt.Fprintf(&out, "%d switches, %d words said\n", switches, said)
	return out.String()
}
