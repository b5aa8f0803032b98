package huff

import (
	"math/bits"
	"slices"
)

// lengths are the code's lengths by symbol, 0 for those that do not occur.
type lengths [256]uint8

// lengthsOf gives the shortest complete code of at most MaxBits for symbols that occur so often (Huffman
// 1952, by two queues; codes that come out too long are shortened as zlib does it, which costs at most a
// few thousandths). At least two symbols must occur.
func lengthsOf(c *Counts) (l lengths) {
	type node struct {
		count  uint64
		parent int16
	}
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
		if c[a] != c[b] {
			return int(int64(c[a]) - int64(c[b])) // rarest first
		}
		return int(a) - int(b)
	})
	var nodes [511]node
	n := len(used)
	for i, s := range used {
		nodes[i].count = uint64(c[s])
	}
	leaf, inner := 0, n
	for next := n; next < 2*n-1; next++ {
		for range 2 {
			least := inner
			if leaf < n && (inner == next || nodes[leaf].count <= nodes[inner].count) {
				least = leaf
				leaf++
			} else {
				inner++
			}
			nodes[next].count += nodes[least].count
			nodes[least].parent = int16(next)
		}
	}
	var depth [511]uint8
	var of [MaxBits + 1]int // codes of each length
	excess := 0
	for i := 2*n - 3; i >= 0; i-- {
		depth[i] = depth[nodes[i].parent] + 1
		if i >= n {
			continue
		}
		if depth[i] > MaxBits {
			excess++
		}
		of[min(depth[i], MaxBits)]++
	}
	if excess > 0 {
		shorten(&of)
	}
	i := 0
	for length := MaxBits; length > 0; length-- {
		for range of[length] {
			l[used[i]] = uint8(length)
			i++
		}
	}
	return l
}

// shorten makes a code complete of which some codes were cut down to MaxBits: it makes room by lengthening
// the longest of the others.
func shorten(of *[MaxBits + 1]int) {
	over := -(1 << MaxBits)
	for length := 1; length <= MaxBits; length++ {
		over += of[length] << (MaxBits - length)
	}
	for over > 0 {
		length := MaxBits - 1
		for of[length] == 0 {
			length--
		}
		of[length]--
		of[length+1]++
		over -= 1 << (MaxBits - length - 1)
	}
	for over < 0 { // lengthening went too far: shorten the shortest that fits
		length := MaxBits
		for of[length] == 0 || 1<<(MaxBits-length) > -over {
			length--
		}
		of[length]--
		of[length-1]++
		over += 1 << (MaxBits - length)
	}
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
