package plan

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
)

// MaxDeletes is how many deletions one plan holds. A mistake upstairs then empties a table slowly enough
// to be noticed; the loop comes back for the rest.
const MaxDeletes = 256

// Plan is the way from what was found to what is wanted.
type Plan struct {
	Changes   []Change // what adds comes before what deletes
	More      int      // deletions that did not fit
	Conflicts []string // what is in the way and not ours, for people
}

// Diff writes the plan. The device's own things are left out while it is not there.
func Diff(want Config, found Found) Plan {
	if found.NoV6 != "" {
		want = want.v4()
	}
	d := differ{want: want, scope: want.Scope(), found: found}
	d.device()
	d.filter()
	d.routes()
	d.rules()
	return d.plan()
}

type differ struct {
	want      Config
	scope     Scope
	found     Found
	adds      []Change
	deletes   []Change
	conflicts []string
}

func (d *differ) add(c Change)    { d.adds = append(d.adds, c) }
func (d *differ) delete(c Change) { d.deletes = append(d.deletes, c) }

func (d *differ) conflict(format string, args ...any) {
	d.conflicts = append(d.conflicts, fmt.Sprintf(format, args...))
}

func (d *differ) plan() Plan {
	p := Plan{Conflicts: d.conflicts}
	slices.SortStableFunc(d.deletes, func(a, b Change) int { return cmp.Compare(lateness(a), lateness(b)) })
	if n := len(d.deletes); n > MaxDeletes {
		p.More = n - MaxDeletes
		d.deletes = d.deletes[:MaxDeletes]
	}
	p.Changes = slices.Concat(d.adds, d.deletes)
	return p
}

// lateness orders deletions: routes may need an address, and the filter guards to the last.
func lateness(c Change) int {
	switch c.(type) {
	case RouteStep:
		return 0
	case RuleStep:
		return 1
	case Address:
		return 2
	}
	return 3
}

// Hold takes the deletions of the given routes out of the plan, and says how many there were.
func (p *Plan) Hold(keys map[Key]bool) (held int) {
	p.Changes = slices.DeleteFunc(p.Changes, func(c Change) bool {
		step, ok := c.(RouteStep)
		hold := ok && step.Verb == Delete && keys[step.Entry.Key]
		if hold {
			held++
		}
		return hold
	})
	return held
}

// ready says whether routes can point to the device.
func (d *differ) ready() bool { return d.found.Device.Index != 0 && d.found.Device.Foreign == "" }

func (d *differ) device() {
	dev := d.found.Device
	if dev.Foreign != "" {
		d.conflict("interface %s is a %s, not a TUN device: give the overlay another name", d.scope.Device, dev.Foreign)
	}
	if !d.ready() {
		return
	}
	if d.want.MTU != 0 && dev.MTU != d.want.MTU {
		d.add(SetMTU{d.scope.Device, dev.Index, d.want.MTU})
	}
	if !dev.Up {
		d.add(SetUp{d.scope.Device, dev.Index})
	}
	want := slices.SortedFunc(slices.Values(d.want.Addresses), netip.Prefix.Compare)
	for _, a := range slices.Compact(want) {
		if !slices.Contains(dev.Addresses, a) {
			d.add(Address{d.scope.Device, dev.Index, a, false})
		}
	}
	for _, a := range slices.SortedFunc(slices.Values(dev.Addresses), netip.Prefix.Compare) {
		if a.IsSingleIP() && !slices.Contains(want, a) {
			d.delete(Address{d.scope.Device, dev.Index, a, true})
		}
	}
}

// filter plans the nftables table. Local prefixes are carved out of the overlay, because the machines of
// this site may stand on the same wire as the underlay.
func (d *differ) filter() {
	if d.found.NoFilter != "" {
		return
	}
	var want *Filter
	if len(d.want.Underlay) > 0 || d.want.Clamp {
		want = &Filter{Underlay: slices.Compact(slices.Sorted(slices.Values(d.want.Underlay)))}
	}
	if len(d.want.Underlay) > 0 {
		overlay := slices.Concat(d.want.Guards, prefixesOf(d.want.Routes), d.want.Addresses)
		want.Overlay, want.Local = Paint(overlay, d.want.Local)
	}
	if d.want.Clamp {
		want.Clamp = d.scope.Device
	}
	switch {
	case want.Equal(d.found.Filter):
	case want != nil:
		d.add(SetFilter{want})
	default:
		d.delete(SetFilter{nil})
	}
}

// wanted lists the entries of the table by key. A local prefix gets a throw only where something shorter
// in the table would catch it.
func (d *differ) wanted() map[Key]Entry {
	all := map[Key]Entry{}
	put := func(kind Kind, metric int, r Route) {
		e := Entry{Key: Key{r.Prefix, metric}, Kind: kind, MTU: r.MTU, Source: r.Source, Protocol: d.scope.Protocol}
		if kind == Unicast {
			e.Link = d.found.Device.Index
		}
		all[e.Key] = e
	}
	local := make(map[netip.Prefix]bool, len(d.want.Local))
	for _, p := range d.want.Local {
		local[p] = true
	}
	var caught covers
	for _, p := range d.want.Guards {
		if !local[p] {
			put(Unreachable, MetricGuard, Route{Prefix: p})
			caught.add(p)
		}
	}
	for _, r := range d.want.Routes {
		if !local[r.Prefix] {
			put(Unicast, MetricRoute, r)
			caught.add(r.Prefix)
		}
	}
	for _, p := range d.want.Local {
		if caught.shorter(p) {
			put(Throw, MetricThrow, Route{Prefix: p})
		}
	}
	return all
}

// covers answers whether a prefix lies inside one of a set.
type covers map[netip.Prefix]bool

func (c *covers) add(p netip.Prefix) {
	if *c == nil {
		*c = covers{}
	}
	(*c)[p] = true
}

func (c covers) shorter(p netip.Prefix) bool {
	for bits := p.Bits() - 1; bits >= 0; bits-- {
		if s, err := p.Addr().Prefix(bits); err == nil && c[s] {
			return true
		}
	}
	return false
}

// order of kinds among the additions: a throw must be there before the guard that would catch its prefix,
// and a guard before the route that it stands behind. Deletions go the other way round.
var order = map[Kind]int{Throw: 0, Unreachable: 1, Unicast: 2, Other: 3}

func (d *differ) routes() {
	want := d.wanted()
	held := map[Key]bool{} // keys for which the right entry was found
	taken := map[Key]Entry{}
	var gone []Entry
	for _, e := range d.found.Routes {
		w, wanted := want[e.Key]
		switch {
		case e.Protocol != d.scope.Protocol:
			if wanted {
				d.conflict("table %d has a route to %s with metric %d of protocol %d: not ours to replace", d.scope.Table, e.Prefix, e.Metric, e.Protocol)
				held[e.Key] = true
			}
		case !wanted:
			gone = append(gone, e)
		case same(e, w):
			held[e.Key] = true
		default:
			taken[e.Key] = e
		}
	}
	for _, w := range slices.SortedFunc(maps.Values(want), compareEntries) {
		if held[w.Key] || w.Kind == Unicast && !d.ready() {
			continue
		}
		verb := Add
		if _, ok := taken[w.Key]; ok {
			verb = Replace
		}
		d.add(RouteStep{verb, w, d.scope.Table, d.scope.Device})
	}
	slices.SortFunc(gone, func(a, b Entry) int { return -compareEntries(a, b) })
	for _, e := range gone {
		name := ""
		if e.Link == d.found.Device.Index {
			name = d.scope.Device
		}
		d.delete(RouteStep{Delete, e, d.scope.Table, name})
	}
}

func compareEntries(a, b Entry) int {
	return cmp.Or(cmp.Compare(order[a.Kind], order[b.Kind]), compareKeys(a.Key, b.Key))
}

// same says whether a found entry of ours is as wanted. Scope is the kernel's business.
func same(found, want Entry) bool {
	if found.Odd || found.Kind != want.Kind {
		return false
	}
	return want.Kind != Unicast || found.Link == want.Link && found.Source == want.Source && found.MTU == want.MTU
}

func (d *differ) rules() {
	for _, v6 := range []bool{false, true} {
		if v6 && d.found.NoV6 != "" {
			break
		}
		want := Rule{V6: v6, Priority: d.scope.RulePriority, Table: d.scope.Table, Protocol: d.scope.Protocol, NotMark: d.want.Mark}
		have := false
		for _, r := range d.found.Rules {
			switch {
			case r.V6 != v6:
			case r == want && !have:
				have = true
			case r.Protocol == d.scope.Protocol && (r.Priority == d.scope.RulePriority || r.Table == d.scope.Table):
				d.delete(RuleStep{r, true}) // a second one, or one of a former config
			case r.Priority == d.scope.RulePriority:
				d.conflict("there is a rule of protocol %d at priority %d already: ours goes beside it", r.Protocol, r.Priority)
			}
		}
		if !have {
			d.add(RuleStep{want, false})
		}
	}
}
