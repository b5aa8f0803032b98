package huff

import (
	"cmp"
	"math/bits"
	"slices"
)

// lengths are the code's lengths by symbol, 0 for those that do not occur.
type lengths [256]uint8

// lengthsOf gives the shortest code of at most MaxBits for symbols that occur so often, by package-merge (Larmore and
// Hirschberg, "A fast algorithm for optimal length-limited Huffman codes", 1990). At least two symbols must occur.
//
// A symbol of length n stands for coins of 2^-1 to 2^-n. Level by level, from the smallest coin on, the cheapest two are made a
// package that counts as one coin of the next level; what the cheapest 2n-2 of the last level are made of is the code.
func lengthsOf(c *Counts) (l lengths) {
	var order [256]uint8
	used := order[:0]
	for s, n := range c {
		if n != 0 {
			used = append(used, uint8(s))
		}
	}
	if len(used) < 2 {
		panic("huff: a code of fewer than two symbols")
	}
	slices.SortFunc(used, func(a, b uint8) int {
		return cmp.Or(cmp.Compare(c[a], c[b]), cmp.Compare(a, b)) // rarest first
	})
	var (
		costs  [2][512]uint64 // of the coins of this level and the one before
		coins  = 0
		isLeaf [MaxBits][512]bool
	)
	for level := range MaxBits {
		now, before := &costs[level&1], &costs[1-level&1]
		leaf, pack, packs := 0, 0, coins/2
		coins = len(used) + packs
		for i := range coins {
			if pack == packs || leaf < len(used) && uint64(c[used[leaf]]) <= before[2*pack]+before[2*pack+1] {
				now[i], isLeaf[level][i] = uint64(c[used[leaf]]), true
				leaf++
			} else {
				now[i] = before[2*pack] + before[2*pack+1]
				pack++
			}
		}
	}
	take := 2*len(used) - 2
	for level := MaxBits - 1; level >= 0; level-- {
		leaves := 0
		for _, is := range isLeaf[level][:take] {
			if is {
				l[used[leaves]]++
				leaves++
			}
		}
		take = 2 * (take - leaves)
	}
	return l
}

// codes gives the canonical code: bits in the low half of a word, the length in the high half,
// noCode where there is none.
func (l *lengths) codes() (t [256]uint32) {
	var of [MaxBits + 2]int
	for _, n := range l {
		of[n]++
	}
	var next [MaxBits + 2]uint32
	of[0] = 0
	for n := 1; n <= MaxBits; n++ {
		next[n] = (next[n-1] + uint32(of[n-1])) << 1
	}
	for s, n := range l {
		t[s] = noCode
		if n != 0 {
			t[s] = uint32(bits.Reverse16(uint16(next[n]))>>(16-n)) | uint32(n)<<16
			next[n]++
		}
	}
	return t
}

// complete says whether the lengths are those of a complete code of two symbols or more.
func (l *lengths) complete() bool {
	sum, used := 0, 0
	for _, n := range l {
		if n > MaxBits {
			return false
		}
		if n != 0 {
			sum += 1 << (MaxBits - n)
			used++
		}
	}
	return used >= 2 && sum == 1<<MaxBits
}
