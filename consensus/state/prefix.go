package state

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/galleon-net/galleon/fabric/topo"
)

// maxPools bounds the pools of a cluster; maxAllocations bounds the search in one pool.
const (
	maxPools       = 256
	maxAllocations = 1 << 16
)

func (*CreatePool) level() int { return 1 }
func (o *CreatePool) what() string {
	return fmt.Sprintf("create pool %s of /%d in %s", o.Pool.Name, o.Pool.Bits, o.Pool.Range)
}

func (o *CreatePool) apply(d *draft) (Result, error) {
	p := o.Pool
	if p.Name == "" || len(p.Name) > 64 {
		return Result{}, refuse(CodeInvalid, "a pool has a name of 1 to 64 characters")
	}
	if _, ok := d.Pools[p.Name]; ok {
		return Result{}, refuse(CodeConflict, "pool %q exists already", p.Name)
	}
	if len(d.Pools) >= maxPools {
		return Result{}, refuse(CodeConflict, "there are %d pools already, the most there can be", maxPools)
	}
	if err := checkRange(p.Range); err != nil {
		return Result{}, err
	}
	if p.Bits < p.Range.Prefix.Bits() || p.Bits > p.Range.Prefix.Addr().BitLen() {
		return Result{}, refuse(CodeInvalid, "prefixes of /%d do not fit in %s", p.Bits, p.Range)
	}
	if _, ok := d.Segments[p.Range.Segment]; !ok {
		return Result{}, refuse(CodeNotFound, "segment %d does not exist", p.Range.Segment)
	}
	for _, q := range d.Pools {
		if q.Range.Overlaps(p.Range) {
			return Result{}, refuse(CodeConflict, "%s overlaps pool %q (%s)", p.Range, q.Name, q.Range)
		}
	}
	edit(&d.Pools)[p.Name] = p
	return Result{}, nil
}

func (*GrantPrefix) level() int { return 1 }
func (o *GrantPrefix) what() string {
	return fmt.Sprintf("grant %s to router %s", o.Grant.Prefix, o.Grant.Router)
}

func (o *GrantPrefix) apply(d *draft) (Result, error) {
	r, err := d.live(o.Grant.Router)
	if err != nil {
		return Result{}, err
	}
	if n := len(d.GrantsOf(r.ID)); n >= maxPrefixes {
		return Result{}, refuse(CodeConflict, "router %s has %d prefixes already, the most it can have", r.Name, n)
	}
	return Result{}, d.grant(o.Grant, r.Region)
}

func (*WithdrawPrefix) level() int { return 1 }
func (o *WithdrawPrefix) what() string {
	return fmt.Sprintf("withdraw %s from router %s", o.Grant.Prefix, o.Grant.Router)
}

func (o *WithdrawPrefix) apply(d *draft) (Result, error) {
	i := slices.Index(d.Grants, o.Grant)
	if i < 0 {
		return Result{}, refuse(CodeNotFound, "router %s has no grant of %s", o.Grant.Router, o.Grant.Prefix)
	}
	d.Grants = slices.Delete(slices.Clone(d.Grants), i, i+1)
	return Result{}, nil
}

// grant adds a grant in its sorted place.
func (d *draft) grant(g Grant, region topo.Region) error {
	if err := d.checkPrefix(g.Prefix, region); err != nil {
		return err
	}
	if slices.Contains(d.Grants, g) {
		return refuse(CodeConflict, "router %s has %s already", g.Router, g.Prefix)
	}
	i, _ := slices.BinarySearchFunc(d.Grants, g, func(a, b Grant) int {
		return cmp.Or(cmp.Compare(a.Prefix.Segment, b.Prefix.Segment), a.Prefix.Prefix.Addr().Compare(b.Prefix.Prefix.Addr()),
			cmp.Compare(a.Prefix.Prefix.Bits(), b.Prefix.Prefix.Bits()), cmp.Compare(a.Router, b.Router))
	})
	d.Grants = slices.Insert(slices.Clone(d.Grants), i, g)
	return nil
}

// checkPrefix refuses what cannot be announced, and what overlaps a prefix of another region. Routers
// of one region may share a prefix: that is how either of two may die.
func (d *draft) checkPrefix(p topo.SegPrefix, region topo.Region) error {
	if err := checkRange(p); err != nil {
		return err
	}
	if _, ok := d.Segments[p.Segment]; !ok {
		return refuse(CodeNotFound, "segment %d does not exist", p.Segment)
	}
	for _, pool := range d.Cluster.Loopbacks {
		if p.Prefix.Overlaps(pool) {
			return refuse(CodeConflict, "%s overlaps %s, the pool of router loopbacks", p, pool)
		}
	}
	for _, g := range d.Grants {
		if r := d.Routers[g.Router]; g.Prefix.Overlaps(p) && r.Region != region {
			return refuse(CodeConflict, "%s overlaps %s, which router %s in %s has; choose another prefix or withdraw that one first",
				p, g.Prefix, r.Name, r.Region)
		}
	}
	return nil
}

func checkRange(p topo.SegPrefix) error {
	switch {
	case !p.Prefix.IsValid():
		return refuse(CodeInvalid, "a prefix is an address and a length, like 10.8.0.0/24")
	case p.Prefix != p.Prefix.Masked():
		return refuse(CodeInvalid, "prefix %s has bits set behind its length; did you mean %s?", p.Prefix, p.Prefix.Masked())
	case p.Prefix.Bits() == 0:
		return refuse(CodeInvalid, "prefix %s is everything; a default route is not announced", p.Prefix)
	case p.Prefix.Addr().IsLoopback() || p.Prefix.Addr().IsMulticast() || p.Prefix.Addr().IsLinkLocalUnicast():
		return refuse(CodeInvalid, "prefix %s cannot be routed between sites", p.Prefix)
	}
	return nil
}

// allocate finds the first prefix of a pool that overlaps no grant and no unused token.
func (d *draft) allocate(p Pool) (topo.SegPrefix, error) {
	width := p.Range.Prefix.Addr().BitLen() - p.Bits
	for i := uint64(0); i < maxAllocations; i++ {
		a, ok := nthBlock(p.Range.Prefix, i, width)
		if !ok {
			break
		}
		c := topo.SegPrefix{Segment: p.Range.Segment, Prefix: netip.PrefixFrom(a, p.Bits)}
		if !d.taken(c) {
			return c, nil
		}
	}
	return topo.SegPrefix{}, refuse(CodeConflict, "pool %q (%s) has no free /%d left", p.Name, p.Range, p.Bits)
}

func (d *draft) taken(p topo.SegPrefix) bool {
	for _, g := range d.Grants {
		if g.Prefix.Overlaps(p) {
			return true
		}
	}
	for _, t := range d.Tokens {
		if t.UsedBy == 0 && d.now.Before(t.Expires) && slices.ContainsFunc(t.Prefixes, p.Overlaps) {
			return true
		}
	}
	return false
}

// nthAddr gives the n-th address of a prefix.
func nthAddr(p netip.Prefix, n uint64) (netip.Addr, bool) { return nthBlock(p, n, 0) }

// nthBlock gives the first address of the n-th block of 2^width addresses in p.
func nthBlock(p netip.Prefix, n uint64, width int) (netip.Addr, bool) {
	b := p.Masked().Addr().AsSlice()
	// Add n << width to the big-endian number in b, byte by byte from the end.
	carry, shift := uint64(0), width%8
	for i := len(b) - 1 - width/8; i >= 0 && (n > 0 || carry > 0); i-- {
		sum := uint64(b[i]) + (n<<shift)&0xff + carry
		if shift > 0 {
			n >>= 8 - shift
			shift = 0
		} else {
			n >>= 8
		}
		b[i], carry = byte(sum), sum>>8
	}
	a, _ := netip.AddrFromSlice(b)
	return a, n == 0 && carry == 0 && p.Contains(a)
}
