package health

import (
	"container/heap"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestStories runs two ends of one link over a simulated path and prints what each end decides.
//
//	start [lanes=1] [old] [a-delay=40ms] [b-delay=40ms]  two fresh ends; x-delay is one way, away from x
//	path [x-delay=] [x-cut=true|false] [x-mtu=] [x-lose=n: every nth datagram] [x-jitter=] [x-noise=share]
//	lane x 2,3 [cut=true|false] [delay=] [mtu=] [lose=n] [noise=share]   the same, for lanes of x, on top of that
//	run 5s                                               let time pass; prints the events
//	count 1h                                             the same, but prints how many there were of each kind
//	sleep x 300ms                                        end x's process is stopped and then goes on
//	status                                               what each end knows
//	lanes x                                              the lanes of x, and the lane of each group of flows
//	cost                                                 probes and octets a second that each end sent since last asked
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var w *world
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "start":
				w = newWorld(t, d)
				w.set(t, d)
			case "lane":
				w.setLane(t, d)
			case "count":
				w.count(duration(t, d.CmdArgs[0].Key))
			case "lanes":
				w.lanes(w.ends[strings.Index("ab", d.CmdArgs[0].Key)])
			case "cost":
				w.cost()
			case "path":
				w.set(t, d)
			case "run":
				w.run(duration(t, d.CmdArgs[0].Key))
			case "sleep":
				e := w.ends[strings.Index("ab", d.CmdArgs[0].Key)]
				e.asleep = w.now.Add(duration(t, d.CmdArgs[1].Key))
				w.run(duration(t, d.CmdArgs[1].Key))
			case "status":
				for _, e := range w.ends {
					s := e.link.Status()
					fmt.Fprintf(&w.out, "%s: %s rtt=%s loss in=%d out=%d mtu=%d flaps=%d (%s)\n", e.name, s.State,
						s.RTT.Round(time.Millisecond), s.LossIn, s.LossOut, s.MTU, s.Flaps, s.Why)
					if s.MTUIn > 0 {
						fmt.Fprintf(&w.out, "   the peer sends up to %d octets by lanes %04b\n", s.MTUIn, s.LanesIn)
					}
				}
			default:
				d.Fatalf(t, "unknown command %q", d.Cmd)
			}
			out := w.out.String()
			w.out.Reset()
			return out
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

// world is a queue of things to happen to two ends.
type world struct {
	start, now time.Time
	rng        *rand.Rand
	ends       [2]*end
	queue      happenings
	order      int
	out        strings.Builder
}

type end struct {
	name   string
	link   *Link
	all    path
	lanes  [MaxLanes]path
	asleep time.Time // nothing happens here before

	probes, octets int
	asked          time.Time
}

// path is one direction, or what one lane of it has on top.
type path struct {
	delay  time.Duration
	jitter time.Duration
	cut    bool
	mtu    int
	lose   int
	count  int
	noise  float64
}

// takes says whether a datagram passes.
func (p *path) takes(size int, rng *rand.Rand) bool {
	p.count++
	return !p.cut && (p.mtu == 0 || size <= p.mtu) && (p.lose == 0 || p.count%p.lose != 0) && rng.Float64() >= p.noise
}

type happening struct {
	at    time.Time
	order int
	do    func()
}

type happenings []happening

func (h happenings) Len() int { return len(h) }
func (h happenings) Less(i, j int) bool {
	return h[i].at.Before(h[j].at) || h[i].at.Equal(h[j].at) && h[i].order < h[j].order
}
func (h happenings) Swap(i, j int) { h[i], h[j] = h[j], h[i] }
func (h *happenings) Push(x any)   { *h = append(*h, x.(happening)) }
func (h *happenings) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

func newWorld(t *testing.T, d *datadriven.TestData) *world {
	start := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	w := &world{start: start, now: start, rng: rand.New(rand.NewPCG(1, 2))}
	cfg := Config{Reports: !d.HasArg("old"), Lanes: 1}
	if d.HasArg("lanes") {
		d.ScanArgs(t, "lanes", &cfg.Lanes)
	}
	for i, name := range []string{"a", "b"} {
		w.ends[i] = &end{name: name, link: New(cfg, start), all: path{delay: 40 * time.Millisecond}, asked: start}
	}
	for i := range w.ends {
		w.after(time.Duration(10+17*i)*time.Millisecond, func() { w.probe(i) })
	}
	return w
}

func (w *world) set(t *testing.T, d *datadriven.TestData) {
	for i, n := range []string{"a-", "b-"} {
		w.ends[i].all.set(t, d, n)
	}
}

func (w *world) setLane(t *testing.T, d *datadriven.TestData) {
	e := w.ends[strings.Index("ab", d.CmdArgs[0].Key)]
	for _, n := range strings.Split(d.CmdArgs[1].Key, ",") {
		var lane int
		fmt.Sscan(n, &lane)
		e.lanes[lane].set(t, d, "")
	}
}

func (p *path) set(t *testing.T, d *datadriven.TestData, prefix string) {
	for _, a := range d.CmdArgs {
		if !strings.HasPrefix(a.Key, prefix) || len(a.Vals) == 0 {
			continue
		}
		v := a.Vals[0]
		switch a.Key[len(prefix):] {
		case "delay":
			p.delay = duration(t, v)
		case "jitter":
			p.jitter = duration(t, v)
		case "cut":
			p.cut = v == "true"
		case "mtu":
			fmt.Sscan(v, &p.mtu)
		case "lose":
			fmt.Sscan(v, &p.lose)
			p.count = 0
		case "noise":
			fmt.Sscan(v, &p.noise)
		}
	}
}

func (w *world) after(d time.Duration, f func()) {
	w.order++
	heap.Push(&w.queue, happening{w.now.Add(d), w.order, f})
}

func (w *world) run(d time.Duration) {
	until := w.now.Add(d)
	for len(w.queue) > 0 && !w.queue[0].at.After(until) {
		h := heap.Pop(&w.queue).(happening)
		w.now = h.at
		h.do()
	}
	w.now = until
}

// probe is one interval of end i: judge silence, then send.
func (w *world) probe(i int) {
	e, peer := w.ends[i], w.ends[1-i]
	if w.now.Before(e.asleep) {
		w.after(e.asleep.Sub(w.now), func() { w.probe(i) })
		return
	}
	w.after(50*time.Millisecond, func() { w.probe(i) })
	w.print(e, e.link.Tick(w.now))
	echo := e.link.Echo()
	for _, p := range e.link.Plan(w.now) {
		s := Sample{Seq: p.Seq, Size: max(p.Size, 96), EchoSeq: echo.Seq, Received: echo.Received, Report: echo.Report}
		if echo.Seq > 0 {
			s.Hold = w.now.Sub(echo.At)
		}
		e.probes++
		e.octets += s.Size
		lane := &e.lanes[p.Lane]
		if !e.all.takes(s.Size, w.rng) || !lane.takes(s.Size, w.rng) {
			continue
		}
		delay := e.all.delay + lane.delay
		if e.all.jitter > 0 {
			delay += time.Duration(p.Seq*7%11) * e.all.jitter / 10
		}
		w.after(delay, func() { w.deliver(peer, s) })
	}
}

func (w *world) deliver(e *end, s Sample) {
	if w.now.Before(e.asleep) {
		w.after(e.asleep.Sub(w.now), func() { w.deliver(e, s) })
		return
	}
	w.print(e, e.link.Heard(w.now, s))
}

func (w *world) print(e *end, events []Event) {
	for _, v := range events {
		fmt.Fprintf(&w.out, "%8s %s: %s\n", w.now.Sub(w.start), e.name, v)
	}
}

// count is run for a long time, of which only numbers are worth printing.
func (w *world) count(d time.Duration) {
	w.run(d)
	kinds := map[string]int{}
	for line := range strings.Lines(w.out.String()) {
		f := strings.Fields(line)
		kind := f[2]
		if kind == "lane" {
			kind = "lane " + strings.TrimSuffix(f[4], ":")
		} else if f[3] == "->" {
			kind = "link " + strings.TrimSuffix(f[4], ":")
		}
		kinds[f[1]+" "+kind]++
	}
	w.out.Reset()
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		fmt.Fprintf(&w.out, "%s: %d times\n", k, kinds[k])
	}
}

func (w *world) lanes(e *end) {
	for i, s := range e.link.Lanes() {
		fmt.Fprintf(&w.out, "lane %d %s rtt=%s loss=%d slots=%d flaps=%d (%s)\n", i, s.State, s.RTT.Round(time.Millisecond),
			s.Loss, s.Slots, s.Flaps, s.Why)
	}
	fmt.Fprintf(&w.out, "flows %v\n", e.link.Flows())
}

func (w *world) cost() {
	for _, e := range w.ends {
		secs := w.now.Sub(e.asked).Seconds()
		fmt.Fprintf(&w.out, "%s: %.1f probes, %.0f octets\n", e.name, float64(e.probes)/secs, float64(e.octets)/secs)
		e.probes, e.octets, e.asked = 0, 0, w.now
	}
}
