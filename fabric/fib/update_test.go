package fib

import (
	"fmt"
	"math"
	"net/netip"
	"testing"

	"github.com/galleon-net/galleon/fabric/topo"
	"pgregory.net/rapid"
)

// TestUpdateEqualsBuild: a chain of updates finds what a table that was built anew finds.
func TestUpdateEqualsBuild(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var table *Table
		var entries []Entry
		for range rapid.IntRange(1, 8).Draw(t, "updates") {
			if rapid.Bool().Draw(t, "other prefixes") {
				entries = append([]Entry(nil), entries...)
				for range rapid.IntRange(1, 20).Draw(t, "more") {
					a := anyAddr(t, rapid.Bool().Draw(t, "v4"))
					entries = append(entries, Entry{Prefix: topo.SegPrefix{Prefix: netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits"))}})
				}
				entries = entries[rapid.IntRange(0, len(entries)).Draw(t, "fewer"):]
			}
			for i := range entries {
				entries[i].Egress = topo.RouterID(rapid.IntRange(1, 4).Draw(t, "egress"))
			}
			hops := map[topo.RouterID]Hop{}
			for r := range topo.RouterID(5) {
				if rapid.Bool().Draw(t, "reachable") {
					hops[r+1] = Hop{Next: topo.RouterID(rapid.IntRange(1, 4).Draw(t, "next"))}
				}
			}
			table = table.Update(entries, hops)
			anew := Build(entries, hops)
			for range 20 {
				a := anyAddr(t, rapid.Bool().Draw(t, "look v4"))
				got, ok := table.Lookup(0, a)
				want, wantOK := anew.Lookup(0, a)
				if got != want || ok != wantOK {
					t.Fatalf("%s: %s, anew %s", a, show(got, ok), show(want, wantOK))
				}
			}
			for r := range topo.RouterID(7) {
				got, ok := table.Hop(r)
				if want, wantOK := hops[r]; got != want || ok != wantOK {
					t.Fatalf("hop to %s: %+v, want %+v", r, got, want)
				}
			}
		}
	})
}

func TestPlanes(t *testing.T) {
	way := func(next topo.RouterID) map[topo.RouterID]Hop {
		return map[topo.RouterID]Hop{9: {Next: next}, 1 << 20: {Next: next}}
	}
	table := (*Table)(nil).UpdatePlanes(nil, map[topo.Plane]map[topo.RouterID]Hop{
		{Class: topo.ClassInteractive}: way(1), {Class: topo.ClassBulk}: way(2), {Class: topo.ClassInteractive, Avoid: 3}: way(3),
	})
	for p, want := range map[topo.Plane]topo.RouterID{
		{Class: topo.ClassInteractive}: 1, {Class: topo.ClassBulk}: 2, {Class: topo.ClassControl}: 1,
		{Class: topo.ClassInteractive, Avoid: 3}: 3,
		{Class: topo.ClassBulk, Avoid: 3}:        0, // not computed: better no way than a wrong one
		{Class: topo.ClassInteractive, Avoid: 1}: 0,
	} {
		for _, r := range []topo.RouterID{9, 1 << 20} {
			if h, ok := table.HopIn(p, r); h.Next != want || ok != (want != 0) {
				t.Errorf("%s to %s: %+v, want %s", p, r, h, want)
			}
		}
		if _, ok := table.HopIn(p, 10); ok {
			t.Errorf("%s: a way to nobody", p)
		}
	}
}

// TestSpreadKeepsFlows: shares follow the weights, and a flow moves only when its neighbour leaves, or to one
// that came; while its neighbour is down it is where it will be once the neighbour has left.
func TestSpreadKeepsFlows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, MaxWays).Draw(t, "ways")
		var ways []Way
		total := 0.0
		for i := range n {
			ways = append(ways, Way{topo.RouterID(i*7 + 1), uint32(rapid.IntRange(0, 10).Draw(t, "weight"))})
			total += float64(max(ways[i].Weight, 1))
		}
		all := NewSpread(ways)
		left := rapid.IntRange(0, n-1).Draw(t, "leaves")
		gone := ways[left].Next
		var fewer *Spread
		if n > 1 {
			fewer = NewSpread(append(append([]Way(nil), ways[:left]...), ways[left+1:]...))
		}
		for flow := range uint64(1000) {
			next, standby := all.Pick(flow)
			if fewer == nil {
				if next != gone || standby != gone {
					t.Fatalf("one way, picked %s and %s", next, standby)
				}
				continue
			}
			after, _ := fewer.Pick(flow)
			if next != gone && after != next || next == gone && after != standby || standby == next {
				t.Fatalf("%s left: flow %d went from %s (standby %s) to %s", gone, flow, next, standby, after)
			}
		}
	})
	for _, weights := range [][]uint32{{1, 1}, {1000, 250}, {3, 2, 1}} {
		var ways []Way
		total := 0.0
		for i, w := range weights {
			ways = append(ways, Way{topo.RouterID(i + 1), w})
			total += float64(w)
		}
		s, got := NewSpread(ways), map[topo.RouterID]float64{}
		const flows = 100_000
		for f := range uint64(flows) {
			next, _ := s.Pick(f)
			got[next]++
		}
		for _, w := range ways { // 64 slots drawn at random: three deviations of a binomial
			want := float64(w.Weight) / total
			if d := math.Abs(got[w.Next]/flows - want); d > 3*math.Sqrt(want*(1-want)/Slots) {
				t.Errorf("weights %v: share of %s is %.3f, want %.3f", weights, w.Next, got[w.Next]/flows, want)
			}
		}
	}
}

// BenchmarkUpdate is the table of a large cloud when routes change but prefixes do not, and when one prefix does.
func BenchmarkUpdate(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000} {
		old := manyPrefixes(n / 2)
		entries := old.Entries()
		hops := map[topo.RouterID]Hop{}
		for r := range topo.RouterID(max(n/10, 1)) {
			hops[r+1] = Hop{Next: r + 1}
		}
		b.Run(fmt.Sprintf("ways of %d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				old.Update(entries, hops)
			}
		})
		b.Run(fmt.Sprintf("prefix of %d", n), func(b *testing.B) {
			b.ReportAllocs()
			fewer := entries[1:]
			for b.Loop() {
				old.Update(fewer, hops)
			}
		})
	}
}

// BenchmarkLookups is what the data path asks for a packet, over many destinations at random.
func BenchmarkLookups(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000} {
		table := manyPrefixes(n)
		for _, family := range []string{"v4", "v6"} {
			var to [1024]netip.Addr
			x := uint64(1)
			for i := range to {
				x = mix(x)
				k := int(x % uint64(n))
				if to[i] = netip.AddrFrom4([4]byte{10, byte(k >> 8), byte(k), byte(x >> 40)}); family == "v6" {
					to[i] = netip.AddrFrom16([16]byte{0xfd, 0, 0, 0, byte(k >> 8), byte(k), byte(x >> 40)})
				}
			}
			b.Run(fmt.Sprintf("%s of %d", family, n), func(b *testing.B) {
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					e := table.Find(0, to[i%len(to)])
					if _, ok := table.Hop(e.Egress); !ok {
						b.Fatal("no way")
					}
					i++
				}
			})
		}
	}
}

func BenchmarkPick(b *testing.B) {
	s := NewSpread([]Way{{1, 1}, {2, 1}, {3, 2}})
	b.ReportAllocs()
	flow := uint64(0)
	for b.Loop() {
		flow++
		s.Pick(flow)
	}
}
