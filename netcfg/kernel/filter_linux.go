package kernel

import (
	"errors"
	"fmt"
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

// tags lists what is kept with the rules of a filter, in no order.
func tags(f *plan.Filter) (list [][]byte) {
	if len(f.Underlay) > 0 {
		for i, r := range filterRules() {
			list = append(list, r.tag(i))
		}
	}
	for _, r := range clampRules(f.Clamp) {
		list = append(list, r.tag())
	}
	return list
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

func filterSets() []*nftables.Set {
	sets := []*nftables.Set{{Table: filterTable, Name: "underlay", KeyType: nftables.TypeIFName}}
	for _, name := range []string{"overlay", "local"} {
		sets = append(sets,
			&nftables.Set{Table: filterTable, Name: name + "4", KeyType: nftables.TypeIPAddr, Interval: true},
			&nftables.Set{Table: filterTable, Name: name + "6", KeyType: nftables.TypeIP6Addr, Interval: true})
	}
	return sets
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
		if len(f.Underlay) > 0 {
			k.addRules(sets)
		}
		k.addClamp(f.Clamp)
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
