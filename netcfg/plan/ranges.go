package plan

import (
	"cmp"
	"net/netip"
	"slices"
)

// Range is all addresses of one family from one to another, both included.
type Range struct{ From, To netip.Addr }

func (r Range) String() string {
	for bits := 0; bits <= r.From.BitLen(); bits++ {
		if p := netip.PrefixFrom(r.From, bits); p.Masked() == p && rangeOf(p).To == r.To {
			return p.String()
		}
	}
	return r.From.String() + "-" + r.To.String()
}

func rangeOf(p netip.Prefix) Range {
	to := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < 8*len(to); i++ {
		to[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(to)
	return Range{p.Masked().Addr(), last}
}

// Ranges turns prefixes into ascending, disjoint, not adjacent ranges: the form in which sets of
// addresses can be compared, and in which nftables takes them.
func Ranges(ps []netip.Prefix) []Range {
	all := make([]Range, 0, len(ps))
	for _, p := range ps {
		all = append(all, rangeOf(p))
	}
	return Merge(all)
}

// Merge puts ranges in the form that Ranges gives. It reorders its argument.
func Merge(all []Range) []Range {
	slices.SortFunc(all, func(a, b Range) int { return cmp.Or(a.From.Compare(b.From), a.To.Compare(b.To)) })
	var out []Range
	for _, r := range all {
		if n := len(out) - 1; n >= 0 && out[n].To.Is4() == r.From.Is4() &&
			(r.From.Compare(out[n].To) <= 0 || out[n].To.Next() == r.From) {
			if r.To.Compare(out[n].To) > 0 {
				out[n].To = r.To
			}
			continue
		}
		out = append(out, r)
	}
	return out
}

// Paint gives each address to the list whose longest prefix holds it, as routing does: an overlay prefix
// without the local ones inside it, and the other way round. For a prefix in both, local has the address.
func Paint(overlay, local []netip.Prefix) (o, l []Range) {
	type painted struct {
		Range
		bits  int
		local bool
	}
	all := make([]painted, 0, len(overlay)+len(local))
	for _, p := range overlay {
		all = append(all, painted{rangeOf(p), p.Bits(), false})
	}
	for _, p := range local {
		all = append(all, painted{rangeOf(p), p.Bits(), true})
	}
	// Prefixes nest or are apart: in this order a stack holds those that the sweep is inside of.
	slices.SortFunc(all, func(a, b painted) int {
		c := cmp.Or(a.From.Compare(b.From), cmp.Compare(a.bits, b.bits))
		if c == 0 && a.local != b.local {
			if b.local {
				return -1
			}
			return 1
		}
		return c
	})
	put := func(p painted, from, to netip.Addr) {
		switch {
		case !from.IsValid() || from.Compare(to) > 0:
		case p.local:
			l = append(l, Range{from, to})
		default:
			o = append(o, Range{from, to})
		}
	}
	var stack []painted
	var at netip.Addr // painted up to before here, within the top of the stack; the zero Addr is after the last
	pop := func() {
		top := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		put(top, at, top.To)
		at = top.To.Next()
	}
	for _, p := range all {
		for len(stack) > 0 && (stack[len(stack)-1].To.Compare(p.From) < 0 || stack[len(stack)-1].To.Is4() != p.From.Is4()) {
			pop()
		}
		if len(stack) > 0 && at.IsValid() && at.Compare(p.From) < 0 {
			put(stack[len(stack)-1], at, p.From.Prev())
		}
		stack, at = append(stack, p), p.From
	}
	for len(stack) > 0 {
		pop()
	}
	return Merge(o), Merge(l)
}
