package plan

import (
	"net/netip"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestRangesAgainstTwin: an address is in the ranges when it is in a prefix.
func TestRangesAgainstTwin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var ps []netip.Prefix
		for range rapid.IntRange(0, 12).Draw(t, "n") {
			a := netip.AddrFrom4([4]byte{10, 0, 0, rapid.Byte().Draw(t, "a")})
			p, _ := a.Prefix(rapid.IntRange(24, 32).Draw(t, "bits"))
			ps = append(ps, p)
		}
		rs := Ranges(ps)
		for i := range 256 {
			a := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
			in := slices.ContainsFunc(ps, func(p netip.Prefix) bool { return p.Contains(a) })
			hits := 0
			for _, r := range rs {
				if a.Compare(r.From) >= 0 && a.Compare(r.To) <= 0 {
					hits++
				}
			}
			if in && hits != 1 || !in && hits != 0 {
				t.Fatalf("%s: in %d ranges, in the prefixes %v: %v of %v", a, hits, in, rs, ps)
			}
		}
		for i := 1; i < len(rs); i++ {
			if rs[i-1].To.Next().Compare(rs[i].From) >= 0 {
				t.Fatalf("%v overlaps or touches its neighbour", rs)
			}
		}
	})
}

// TestPaintAgainstTwin: an address belongs to the list with the longest prefix round it.
func TestPaintAgainstTwin(t *testing.T) {
	draw := func(t *rapid.T, what string, v6 bool) (ps []netip.Prefix) {
		for range rapid.IntRange(0, 8).Draw(t, what) {
			b := rapid.Byte().Draw(t, "a")
			a, off := netip.AddrFrom4([4]byte{255, 255, 255, b}), 24 // the end of the address space is the hard part
			if v6 {
				a, off = netip.AddrFrom16([16]byte{15: b}), 120
			}
			p, _ := a.Prefix(off + rapid.IntRange(0, 8).Draw(t, "bits"))
			ps = append(ps, p)
		}
		return ps
	}
	longest := func(ps []netip.Prefix, a netip.Addr) int {
		best := -1
		for _, p := range ps {
			if p.Contains(a) {
				best = max(best, p.Bits())
			}
		}
		return best
	}
	within := func(rs []Range, a netip.Addr) bool {
		return slices.ContainsFunc(rs, func(r Range) bool { return r.From.Is4() == a.Is4() && a.Compare(r.From) >= 0 && a.Compare(r.To) <= 0 })
	}
	rapid.Check(t, func(t *rapid.T) {
		overlay := slices.Concat(draw(t, "overlay", false), draw(t, "overlay6", true))
		local := slices.Concat(draw(t, "local", false), draw(t, "local6", true))
		o, l := Paint(overlay, local)
		for i := range 256 {
			for _, a := range []netip.Addr{netip.AddrFrom4([4]byte{255, 255, 255, byte(i)}), netip.AddrFrom16([16]byte{15: byte(i)})} {
				in, out := longest(local, a), longest(overlay, a)
				if within(l, a) != (in >= 0 && in >= out) || within(o, a) != (out > in) {
					t.Fatalf("%s: local /%d, overlay /%d, painted local %v overlay %v", a, in, out, l, o)
				}
			}
		}
	})
}
