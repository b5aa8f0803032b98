package fib

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"pgregory.net/rapid"

	"github.com/galleon-net/galleon/fabric/topo"
)

// TestStory runs testdata/table: "build" takes lines of [SEGMENT:]PREFIX and "local" or a router, with
// "via NEXT backup B mtu N" for hops; "lookup" takes addresses, "ranges" shows how a line was cut.
func TestStory(t *testing.T) {
	var table *Table
	datadriven.RunTest(t, "testdata/table", func(t *testing.T, d *datadriven.TestData) string {
		var out strings.Builder
		switch d.Cmd {
		case "build":
			var entries []Entry
			hops := map[topo.RouterID]Hop{}
			for l := range strings.Lines(d.Input) {
				f := strings.Fields(l)
				if f[0] == "hop" {
					h := Hop{Next: router(t, f[2])}
					if f[3] != "-" {
						h.Backup = router(t, f[3])
					}
					fmt.Sscan(f[4], &h.MTU)
					hops[router(t, f[1])] = h
					continue
				}
				e := Entry{Prefix: segPrefix(t, f[0]), Local: f[1] == "local"}
				if !e.Local {
					e.Egress = router(t, f[1])
				}
				entries = append(entries, e)
			}
			table = Build(entries, hops)
			for _, e := range table.Entries() {
				fmt.Fprintln(&out, show(e, true))
			}
		case "ranges":
			for _, l := range []line{{0, true}, {0, false}} {
				r := table.lines[l]
				if r == nil {
					continue
				}
				for i, s := range r.start {
					what := "none"
					if r.match[i] != none {
						what = table.entries[r.match[i]].Prefix.String()
					}
					fmt.Fprintf(&out, "from %x:%x %s\n", s.hi, s.lo, what)
				}
			}
		case "lookup":
			for l := range strings.Lines(d.Input) {
				p := segPrefix(t, strings.TrimSpace(l))
				e, ok := table.Lookup(p.Segment, p.Prefix.Addr())
				fmt.Fprintf(&out, "%s: %s", strings.TrimSpace(l), show(e, ok))
				if h, ok := table.Hop(e.Egress); ok {
					fmt.Fprintf(&out, " via %s, backup %s, mtu %d", h.Next, h.Backup, h.MTU)
				}
				out.WriteString("\n")
			}
		}
		return out.String()
	})
}

func show(e Entry, ok bool) string {
	switch {
	case !ok:
		return "no way"
	case e.Local:
		return e.Prefix.String() + " local"
	}
	return e.Prefix.String() + " " + e.Egress.String()
}

func router(t *testing.T, s string) topo.RouterID {
	r, err := topo.ParseRouterID(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// segPrefix reads [SEGMENT@]PREFIX or an address.
func segPrefix(t *testing.T, s string) topo.SegPrefix {
	var p topo.SegPrefix
	if seg, rest, ok := strings.Cut(s, "@"); ok {
		fmt.Sscan(seg, &p.Segment)
		s = rest
	}
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			t.Fatal(err)
		}
		p.Prefix = netip.PrefixFrom(a, a.BitLen())
		return p
	}
	var err error
	if p.Prefix, err = netip.ParsePrefix(s); err != nil {
		t.Fatal(err)
	}
	return p
}

// slowLookup is the table's dumb twin: look at every entry, keep the longest.
func slowLookup(entries []Entry, seg topo.SegmentID, a netip.Addr) (best Entry, found bool) {
	for _, e := range entries {
		p := e.Prefix
		if p.Segment != seg || !p.Prefix.Contains(a.Unmap()) {
			continue
		}
		if !found || p.Prefix.Bits() > best.Prefix.Prefix.Bits() ||
			p.Prefix.Bits() == best.Prefix.Prefix.Bits() && compare(e, best) < 0 {
			best, found = e, true
		}
	}
	return best, found
}

// anyAddr draws from a small space, so that prefixes nest and meet, with both ends of the line in it.
func anyAddr(t *rapid.T, v4 bool) netip.Addr {
	n := 16
	if v4 {
		n = 4
	}
	octet := rapid.SampledFrom([]byte{0, 0, 1, 2, 127, 128, 254, 255, 255})
	b := rapid.SliceOfN(octet, n, n).Draw(t, "address")
	a, _ := netip.AddrFromSlice(b)
	return a
}

func TestLookupLikeItsSlowTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var entries []Entry
		for range rapid.IntRange(0, 40).Draw(t, "entries") {
			v4 := rapid.Bool().Draw(t, "v4")
			a := anyAddr(t, v4)
			bits := rapid.IntRange(0, a.BitLen()).Draw(t, "bits")
			e := Entry{Prefix: topo.SegPrefix{Segment: topo.SegmentID(rapid.IntRange(0, 2).Draw(t, "segment")), Prefix: netip.PrefixFrom(a, bits).Masked()}}
			if e.Local = rapid.Bool().Draw(t, "local"); !e.Local {
				e.Egress = topo.RouterID(rapid.IntRange(1, 9).Draw(t, "egress"))
			}
			entries = append(entries, e)
		}
		table := Build(entries, nil)
		check := func(seg topo.SegmentID, a netip.Addr) {
			got, ok := table.Lookup(seg, a)
			want, wantOK := slowLookup(entries, seg, a)
			if got != want || ok != wantOK {
				t.Fatalf("segment %d address %s: %s, twin says %s", seg, a, show(got, ok), show(want, wantOK))
			}
		}
		for range 30 {
			check(topo.SegmentID(rapid.IntRange(0, 3).Draw(t, "in segment")), anyAddr(t, rapid.Bool().Draw(t, "look v4")))
		}
		for _, e := range entries { // the edges of every prefix, from both sides
			p := e.Prefix.Prefix
			lastAddr := lastOf(p)
			for _, a := range []netip.Addr{p.Addr(), p.Addr().Prev(), lastAddr, lastAddr.Next()} {
				if a.IsValid() {
					check(e.Prefix.Segment, a)
				}
			}
		}
		for l, r := range table.lines { // the claims of the package comment
			n := 0
			for _, e := range table.entries {
				if lineOf(e) == l {
					n++
				}
			}
			if len(r.start) > 2*n+1 || len(r.ruler.begins) > 4*len(r.start)+2 {
				t.Fatalf("%d ranges and a ruler of %d for %d prefixes", len(r.start), len(r.ruler.begins), n)
			}
			if !slices.IsSortedFunc(r.start, func(a, b addr) int {
				if a.less(b) {
					return -1
				}
				return 1
			}) {
				t.Fatalf("ranges out of order: %v", r.start)
			}
		}
	})
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

func TestEmptyAndNil(t *testing.T) {
	for _, table := range []*Table{nil, {}, Build(nil, nil)} {
		if _, ok := table.Lookup(0, netip.MustParseAddr("10.0.0.1")); ok {
			t.Error("found an entry in an empty table")
		}
		if _, ok := table.Hop(1); ok {
			t.Error("found a hop in an empty table")
		}
		if len(table.Entries()) != 0 {
			t.Error("entries in an empty table")
		}
	}
	if _, ok := manyPrefixes(10).Lookup(0, netip.Addr{}); ok {
		t.Error("found the invalid address")
	}
}

func TestBuildDoesNotShare(t *testing.T) {
	hops := map[topo.RouterID]Hop{1: {Next: 1}}
	entries := []Entry{{Prefix: topo.SegPrefix{Prefix: netip.MustParsePrefix("10.0.0.0/8")}, Egress: 1}}
	table := Build(entries, hops)
	hops[1] = Hop{Next: 2}
	entries[0].Egress = 2
	e, _ := table.Lookup(0, netip.MustParseAddr("10.1.1.1"))
	if h, _ := table.Hop(1); h.Next != 1 || e.Egress != 1 {
		t.Errorf("the table changed: hop %+v, entry %+v", h, e)
	}
}

// manyPrefixes is a table of n IPv4 and n IPv6 prefixes, as a large cloud has them.
func manyPrefixes(n int) *Table {
	var entries []Entry
	hops := map[topo.RouterID]Hop{}
	for i := range n {
		r := topo.RouterID(i%100 + 1)
		hops[r] = Hop{Next: r, MTU: 1400}
		v4 := netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 0})
		v6 := netip.AddrFrom16([16]byte{0xfd, 0, 0, 0, byte(i >> 8), byte(i)})
		entries = append(entries,
			Entry{Prefix: topo.SegPrefix{Prefix: netip.PrefixFrom(v4, 24)}, Egress: r},
			Entry{Prefix: topo.SegPrefix{Prefix: netip.PrefixFrom(v6, 48)}, Egress: r})
	}
	return Build(entries, hops)
}

var (
	addr4     = netip.MustParseAddr("10.1.77.9")
	addr6Test = netip.MustParseAddr("fd00:0:10::9")
)

func TestLookupDoesNotAllocate(t *testing.T) {
	table := manyPrefixes(1000)
	if n := testing.AllocsPerRun(100, func() {
		e, _ := table.Lookup(0, addr4)
		table.Lookup(0, addr6Test)
		table.Hop(e.Egress)
	}); n != 0 {
		t.Errorf("allocates %v times", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	for _, n := range []int{10, 1000, 30000} {
		table := manyPrefixes(n)
		for name, a := range map[string]netip.Addr{"v4": netip.MustParseAddr("10.0.5.9"), "v6": netip.MustParseAddr("fd00:0:5::9")} {
			b.Run(fmt.Sprintf("%s of %d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					e, _ := table.Lookup(0, a)
					table.Hop(e.Egress)
				}
			})
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	entries := manyPrefixes(1000).Entries()
	for b.Loop() {
		Build(entries, nil)
	}
}
