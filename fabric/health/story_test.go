package health

import (
	"container/heap"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// TestStories runs two ends of one link over a simulated path and prints what each end decides.
//
//	start [a-delay=40ms] [b-delay=40ms]  two fresh ends; x-delay is one way, away from x
//	path [x-delay=] [x-cut=true|false] [x-mtu=] [x-lose=n: every nth datagram] [x-jitter=]
//	run 5s                               let time pass; prints the events
//	sleep x 300ms                        end x's process is stopped and then goes on
//	status                               what each end knows
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var w *world
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "start":
				w = newWorld()
				w.set(t, d)
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
	ends       [2]*end
	queue      happenings
	order      int
	out        strings.Builder
}

type end struct {
	name   string
	link   *Link
	seq    uint64
	delay  time.Duration
	jitter time.Duration
	cut    bool
	mtu    int
	lose   int
	count  int
	asleep time.Time // nothing happens here before
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

func newWorld() *world {
	start := time.Date(2026, 11, 24, 0, 0, 0, 0, time.UTC)
	w := &world{start: start, now: start}
	for i, name := range []string{"a", "b"} {
		w.ends[i] = &end{name: name, link: New(Config{}, start), delay: 40 * time.Millisecond}
	}
	for i := range w.ends {
		w.after(time.Duration(10+17*i)*time.Millisecond, func() { w.probe(i) })
	}
	return w
}

func (w *world) set(t *testing.T, d *datadriven.TestData) {
	for i, n := range []string{"a", "b"} {
		e := w.ends[i]
		var s string
		if d.HasArg(n + "-delay") {
			d.ScanArgs(t, n+"-delay", &s)
			e.delay = duration(t, s)
		}
		if d.HasArg(n + "-jitter") {
			d.ScanArgs(t, n+"-jitter", &s)
			e.jitter = duration(t, s)
		}
		if d.HasArg(n + "-cut") {
			d.ScanArgs(t, n+"-cut", &e.cut)
		}
		if d.HasArg(n + "-mtu") {
			d.ScanArgs(t, n+"-mtu", &e.mtu)
		}
		if d.HasArg(n + "-lose") {
			d.ScanArgs(t, n+"-lose", &e.lose)
			e.count = 0
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
	e.seq++
	size := 100
	if e.link.FullSize(e.seq) {
		size = 1400
	}
	echo := e.link.Echo()
	s := Sample{Seq: e.seq, Size: size, EchoSeq: echo.Seq, Received: echo.Received}
	if echo.Seq > 0 {
		s.Hold = w.now.Sub(echo.At)
	}
	e.link.Sent(w.now, e.seq)
	e.count++
	if e.cut || e.mtu > 0 && size > e.mtu || e.lose > 0 && e.count%e.lose == 0 {
		return
	}
	delay := e.delay
	if e.jitter > 0 {
		delay += time.Duration(e.seq*7%11) * e.jitter / 10
	}
	w.after(delay, func() { w.deliver(peer, s) })
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
