package kernel

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"

	"github.com/galleon-net/galleon/netcfg/plan"
	"github.com/google/nftables"
)

// filter reads our table back; nil when there is none.
func (k *Real) filter() (*plan.Filter, error) {
	if k.nftNo != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoFilter, k.nftNo)
	}
	if err := k.before("filter"); err != nil {
		return nil, fmt.Errorf("list nftables tables: %w", err)
	}
	tables, err := k.nft.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, noFilter(fmt.Errorf("list nftables tables: %w", err))
	}
	if !slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == plan.FilterTable }) {
		return nil, nil
	}
	f := &plan.Filter{}
	// Another program may be replacing the table at this moment; what cannot be read is broken, and the plan
	// puts it right.
	if err := k.readSets(f); err != nil {
		f.Broken = true
	}
	if whole, err := k.readRules(f); err != nil || !whole {
		f.Broken = true
	}
	return f, nil
}

func (k *Real) readSets(f *plan.Filter) error {
	var overlay, local []plan.Range
	for _, s := range filterSets() {
		elements, err := k.nft.GetSetElements(s)
		if err != nil {
			return fmt.Errorf("read nftables set %s: %w", s.Name, err)
		}
		switch s.Name {
		case "underlay":
			for _, e := range elements {
				f.Underlay = append(f.Underlay, string(bytes.TrimRight(e.Key, "\x00")))
			}
		case "overlay4", "overlay6":
			overlay = append(overlay, ranges(elements)...)
		default:
			local = append(local, ranges(elements)...)
		}
	}
	slices.Sort(f.Underlay)
	f.Overlay, f.Local = plan.Merge(overlay), plan.Merge(local)
	return nil
}

// readRules says whether every rule is in its place, given the sets; the device of the clamp stands in its rules.
func (k *Real) readRules(f *plan.Filter) (bool, error) {
	chains, err := k.nft.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return false, err
	}
	var got [][]byte
	for _, c := range chains {
		if c.Table.Name != plan.FilterTable {
			continue
		}
		if c.Hooknum == nil {
			return false, nil
		}
		rules, err := k.nft.GetRules(filterTable, c)
		if err != nil {
			return false, err
		}
		for _, r := range rules {
			got = append(got, r.UserData)
			if device, ok := bytes.CutPrefix(r.UserData, []byte(clampTag+"out/")); ok {
				f.Clamp = string(device)
			}
		}
	}
	want := tags(f)
	slices.SortFunc(got, bytes.Compare)
	slices.SortFunc(want, bytes.Compare)
	return slices.EqualFunc(got, want, bytes.Equal), nil
}

// ranges pairs the starts and ends that nftables keeps for an interval set. An end is the first address
// after the range; a range up to the last address there is has none.
func ranges(elements []nftables.SetElement) (rs []plan.Range) {
	slices.SortFunc(elements, func(a, b nftables.SetElement) int {
		if c := bytes.Compare(a.Key, b.Key); c != 0 || a.IntervalEnd == b.IntervalEnd {
			return c
		}
		if a.IntervalEnd {
			return -1
		}
		return 1
	})
	for i, e := range elements {
		from, ok := netip.AddrFromSlice(e.Key)
		if e.IntervalEnd || !ok {
			continue
		}
		to := netip.PrefixFrom(from, 0).Masked()
		last := plan.Ranges([]netip.Prefix{to})[0].To
		if i+1 < len(elements) && elements[i+1].IntervalEnd {
			if end, ok := netip.AddrFromSlice(elements[i+1].Key); ok {
				last = end.Prev()
			}
		}
		rs = append(rs, plan.Range{From: from, To: last})
	}
	return rs
}

// elements is the other way round.
func elements(rs []plan.Range, v6 bool) (es []nftables.SetElement) {
	for _, r := range rs {
		if r.From.Is6() != v6 {
			continue
		}
		es = append(es, nftables.SetElement{Key: r.From.AsSlice()})
		if end := r.To.Next(); end.IsValid() {
			es = append(es, nftables.SetElement{Key: end.AsSlice(), IntervalEnd: true})
		}
	}
	return es
}
