package wan

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Stats is what a network did since it began.
type Stats struct {
	Sites []SiteStats `json:"sites"`
	Paths []PathStats `json:"paths"`
	// Strays are packets that no honest Internet would carry: from an address that is not the site's, or to
	// one that nobody has. Traffic that should be in a tunnel and leaks shows here.
	Strays []Stray `json:"strays,omitempty"`
	// StrayPackets counts them all; Strays keeps only so many kinds.
	StrayPackets uint64 `json:"stray_packets"`
	// Overflow counts packets dropped for want of memory: when it is not 0, distrust every figure.
	Overflow uint64   `json:"overflow"`
	Flight   int64    `json:"in_flight_bytes"` // memory of the frames in flight
	Late     Lateness `json:"late"`
	// CPU is the processor time that the network's process used.
	CPU time.Duration `json:"cpu_ns"`
}

// SiteStats is one site's share.
type SiteStats struct {
	Name string `json:"name"`
	SiteCounters
}

// SiteCounters counts what a device handed over and took.
type SiteCounters struct {
	Frames      uint64 `json:"frames"`       // read, whole super-packets counting one
	Super       uint64 `json:"super"`        // of them, super-packets
	Parts       uint64 `json:"parts"`        // frames cut out of super-packets
	Malformed   uint64 `json:"malformed"`    // read, but no IP packet
	ReadErrors  uint64 `json:"read_errors"`  // of the device
	WriteErrors uint64 `json:"write_errors"` // of the device: it is down, or its kernel refused the frame
}

// PathStats is one direction between two sites.
type PathStats struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Params  Params `json:"params"`
	Backlog int64  `json:"backlog"` // bytes that wait
	Counters
}

// Stray is a kind of packet that was dropped for its addresses.
type Stray struct {
	Site     string     `json:"site"` // that sent it
	Src      netip.Addr `json:"src"`
	Dst      netip.Addr `json:"dst"`
	Protocol uint8      `json:"protocol"`
	Packets  uint64     `json:"packets"`
}

// Lateness says how much later than due packets were delivered: the network's own error.
type Lateness struct {
	Mean time.Duration `json:"mean_ns"`
	P99  time.Duration `json:"p99_ns"` // rounded up to the next 10 µs; Max when above 10 ms
	Max  time.Duration `json:"max_ns"`
}

// Stats gives the counts at this moment.
func (n *Network) Stats() (st Stats) {
	n.do(func() { st = n.snapshot() })
	slices.SortFunc(st.Sites, func(a, b SiteStats) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(st.Paths, func(a, b PathStats) int {
		return cmp.Or(strings.Compare(a.From, b.From), strings.Compare(a.To, b.To))
	})
	return st
}

func (n *Network) snapshot() Stats {
	now := n.now()
	st := Stats{
		Strays: slices.Clone(n.stats.strays), StrayPackets: n.stats.strayPackets, Overflow: n.stats.overflow,
		Flight: int64(n.flight.bytes), Late: n.stats.late.summary(), CPU: processCPU(),
	}
	for _, s := range n.sites {
		st.Sites = append(st.Sites, SiteStats{s.name, s.count})
		for _, p := range s.out {
			l := p.link
			st.Paths = append(st.Paths, PathStats{s.name, p.to.name, l.Params(), int64(l.Backlog(now)), l.Counters()})
		}
	}
	return st
}

func processCPU() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Path finds one direction; its zero value when there is none.
func (s Stats) Path(from, to string) PathStats {
	for _, p := range s.Paths {
		if p.From == from && p.To == to {
			return p
		}
	}
	return PathStats{}
}

// tally is what a network counts for itself.
type tally struct {
	strays       []Stray
	strayPackets uint64
	overflow     uint64
	late         histogram
}

// maxStrays bounds the kinds of stray packets that are told apart.
const maxStrays = 64

func (t *tally) stray(from string, s shape, f frame) {
	t.strayPackets += uint64(s.Segments)
	protocol := f.packet()[9]
	if f.isIPv6() {
		protocol = f.packet()[6]
	}
	for i := range t.strays {
		if k := &t.strays[i]; k.Src == s.Src && k.Dst == s.Dst && k.Site == from && k.Protocol == protocol {
			k.Packets += uint64(s.Segments)
			return
		}
	}
	if len(t.strays) < maxStrays {
		t.strays = append(t.strays, Stray{from, s.Src, s.Dst, protocol, uint64(s.Segments)})
	}
}

// histogram counts durations in steps of 10 µs, all from 10 ms on in the last.
type histogram struct {
	steps [1001]uint64
	n     uint64
	sum   time.Duration
	max   time.Duration
}

const histogramStep = 10 * time.Microsecond

func (h *histogram) add(d time.Duration) {
	h.steps[max(0, min(int(d/histogramStep), len(h.steps)-1))]++
	h.n++
	h.sum += d
	h.max = max(h.max, d)
}

func (h *histogram) summary() Lateness {
	if h.n == 0 {
		return Lateness{}
	}
	l := Lateness{Mean: h.sum / time.Duration(h.n), Max: h.max}
	var seen uint64
	for i, c := range h.steps {
		if seen += c; seen*100 >= h.n*99 {
			if l.P99 = h.max; i < len(h.steps)-1 {
				l.P99 = min(h.max, time.Duration(i+1)*histogramStep)
			}
			break
		}
	}
	return l
}
