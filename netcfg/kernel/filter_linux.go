package kernel

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"

	"github.com/galleon-net/galleon/netcfg/plan"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// The filter, as nft would show it (and the same for ip6 with overlay6 and local6):
//
//	table inet galleon {
//	    chain in {
//	        type filter hook prerouting priority raw;
//	        iifname @underlay ip saddr @overlay4 drop    nobody out there speaks for an overlay address
//	        iifname @underlay ip saddr @local4 accept    but machines of this site may stand on this wire
//	        iifname @underlay ip daddr @overlay4 drop    and nobody else gets in by it
//	    }
//	    chain out {
//	        type filter hook postrouting priority filter;    before any masquerading
//	        oifname @underlay ip daddr @overlay4 drop    nothing for the overlay leaves in clear
//	        oifname @underlay ip daddr @local4 accept
//	        oifname @underlay ip saddr @overlay4 drop    nor from it
//	    }
//	}
type filterRule struct {
	chain   string
	v6      bool
	source  bool
	set     string
	verdict expr.VerdictKind
}

func filterRules() (rules []filterRule) {
	for _, v6 := range []bool{false, true} {
		f := "4"
		if v6 {
			f = "6"
		}
		rules = append(rules,
			filterRule{"in", v6, true, "overlay" + f, expr.VerdictDrop},
			filterRule{"in", v6, true, "local" + f, expr.VerdictAccept},
			filterRule{"in", v6, false, "overlay" + f, expr.VerdictDrop},
			filterRule{"out", v6, false, "overlay" + f, expr.VerdictDrop},
			filterRule{"out", v6, false, "local" + f, expr.VerdictAccept},
			filterRule{"out", v6, true, "overlay" + f, expr.VerdictDrop},
		)
	}
	return rules
}

// tag is kept with each rule in the kernel, and tells whether all are there and of this version.
func (r filterRule) tag(i int) []byte { return fmt.Appendf(nil, "galleon/1/%d/%s", i, r.chain) }

var filterTable = &nftables.Table{Name: plan.FilterTable, Family: nftables.TableFamilyINet}

// elementsAtOnce bounds a message: a netlink attribute cannot exceed 64 KiB.
const elementsAtOnce = 512

// noFilter recognises a kernel, or a sandbox, that has no nftables for us.
func noFilter(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, os.ErrPermission), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPROTONOSUPPORT),
		errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: %w", ErrNoFilter, err)
	}
	return err
}

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
	if whole, err := k.readRules(); err != nil || !whole {
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

// readRules says whether every rule is in its place.
func (k *Real) readRules() (bool, error) {
	chains, err := k.nft.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return false, err
	}
	var got, want [][]byte
	for i, r := range filterRules() {
		want = append(want, r.tag(i))
	}
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
		}
	}
	slices.SortFunc(got, bytes.Compare)
	slices.SortFunc(want, bytes.Compare)
	return slices.EqualFunc(got, want, bytes.Equal), nil
}

func filterSets() []*nftables.Set {
	sets := []*nftables.Set{{Table: filterTable, Name: "underlay", KeyType: nftables.TypeIFName}}
	for _, name := range []string{"overlay", "local"} {
		sets = append(sets,
			&nftables.Set{Table: filterTable, Name: name + "4", KeyType: nftables.TypeIPAddr, Interval: true},
			&nftables.Set{Table: filterTable, Name: name + "6", KeyType: nftables.TypeIP6Addr, Interval: true})
	}
	return sets
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

// setFilter replaces the table in one transaction: there is no moment without a filter.
func (k *Real) setFilter(f *plan.Filter) error {
	if k.nftNo != nil {
		return fmt.Errorf("%w: %w", ErrNoFilter, k.nftNo)
	}
	k.nft.AddTable(filterTable) // so that the deletion finds one
	k.nft.DelTable(filterTable)
	if f != nil {
		k.nft.AddTable(filterTable)
		sets := map[string]*nftables.Set{}
		for _, s := range filterSets() {
			sets[s.Name] = s
			if err := k.nft.AddSet(s, nil); err != nil {
				return err
			}
			for chunk := range slices.Chunk(contents(f, s.Name), elementsAtOnce) {
				if err := k.nft.SetAddElements(s, chunk); err != nil {
					return err
				}
			}
		}
		k.addRules(sets)
	}
	return noFilter(k.nft.Flush())
}

func contents(f *plan.Filter, set string) []nftables.SetElement {
	switch set {
	case "overlay4", "overlay6":
		return elements(f.Overlay, set == "overlay6")
	case "local4", "local6":
		return elements(f.Local, set == "local6")
	}
	var es []nftables.SetElement
	for _, name := range f.Underlay {
		key := make([]byte, unix.IFNAMSIZ)
		copy(key, name)
		es = append(es, nftables.SetElement{Key: key})
	}
	return es
}

func (k *Real) addRules(sets map[string]*nftables.Set) {
	chains := map[string]*nftables.Chain{
		"in": k.nft.AddChain(&nftables.Chain{Name: "in", Table: filterTable, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityRaw}),
		"out": k.nft.AddChain(&nftables.Chain{Name: "out", Table: filterTable, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityFilter}),
	}
	for i, r := range filterRules() {
		k.nft.AddRule(&nftables.Rule{Table: filterTable, Chain: chains[r.chain], Exprs: r.exprs(sets), UserData: r.tag(i)})
	}
}

// exprs is the rule in nftables' machine language: interface in the set, address family, address in the set.
func (r filterRule) exprs(sets map[string]*nftables.Set) []expr.Any {
	iface := expr.MetaKeyIIFNAME
	if r.chain == "out" {
		iface = expr.MetaKeyOIFNAME
	}
	family, offset, length := byte(unix.NFPROTO_IPV4), uint32(16), uint32(4)
	if r.source {
		offset = 12
	}
	if r.v6 {
		family, offset, length = unix.NFPROTO_IPV6, 24, 16
		if r.source {
			offset = 8
		}
	}
	lookup := func(name string) expr.Any {
		return &expr.Lookup{SourceRegister: 1, SetName: name, SetID: sets[name].ID}
	}
	return []expr.Any{
		&expr.Meta{Key: iface, Register: 1},
		lookup("underlay"),
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{family}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
		lookup(r.set),
		&expr.Counter{},
		&expr.Verdict{Kind: r.verdict},
	}
}
