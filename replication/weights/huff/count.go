package huff

import "encoding/binary"

// Counts is how often each symbol occurs.
type Counts [256]uint32

// Count adds the symbols of p.
func (c *Counts) Count(p []byte) {
	var t tally
	t.count(p)
	t.addTo(c)
}

// tally has four tables, so that equal neighbours do not wait for each other's store.
type tally [4]Counts

func (t *tally) count(p []byte) {
	for len(p) >= 8 {
		v := binary.LittleEndian.Uint64(p)
		p = p[8:]
		t[0][byte(v)]++
		t[1][byte(v>>8)]++
		t[2][byte(v>>16)]++
		t[3][byte(v>>24)]++
		t[0][byte(v>>32)]++
		t[1][byte(v>>40)]++
		t[2][byte(v>>48)]++
		t[3][byte(v>>56)]++
	}
	for _, b := range p {
		t[0][b]++
	}
}

func (t *tally) addTo(c *Counts) {
	for i := range c {
		c[i] += t[0][i] + t[1][i] + t[2][i] + t[3][i]
	}
}

// Used is how many symbols occur at all.
func (c *Counts) Used() (n int) {
	for _, v := range c {
		if v != 0 {
			n++
		}
	}
	return n
}

// Sampling takes runs of sampleRun bytes, one in sampleOf, when there is enough for a good picture.
const (
	sampleRun  = 512
	sampleOf   = 8
	sampleFrom = 256 << 10
	// spread is how far round what was seen a sample foresees more: exponents of values that are rare
	// because they are small lie below those that are common.
	spread = 6
)

// Look counts an eighth of p, for an estimate.
func (c *Counts) Look(p []byte) {
	*c = Counts{}
	var t tally
	for i := 0; i < len(p); i += sampleOf * sampleRun {
		t.count(p[i:min(i+sampleRun, len(p))])
	}
	t.addTo(c)
}

// Sample counts an eighth of a long p (all of a short one), and then one of each symbol near to one that
// was seen. With such counts a plane is coded a fiftieth longer at the most, in half the time; should a symbol occur
// that was not foreseen, Encode says so. It reports whether the counts are of everything.
func (c *Counts) Sample(p []byte) (all bool) {
	if len(p) < sampleFrom {
		*c = Counts{}
		c.Count(p)
		return true
	}
	c.Look(p)
	var near Counts
	for s, n := range c {
		if n != 0 {
			for k := max(0, s-spread); k <= min(255, s+spread); k++ {
				near[k] = 1
			}
		}
	}
	for s := range c {
		c[s] = max(c[s], near[s])
	}
	return false
}
