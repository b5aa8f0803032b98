package weights

import (
	"math"

	"github.com/galleon-net/galleon/replication/weights/huff"
	"github.com/galleon-net/galleon/replication/weights/table"
)

// choice is what a sample of one piece recommends for it and the next ones.
type choice struct {
	asked table.DType // what the piece was said to be
	based bool        // there was a base
	dtype table.DType // as what it is coded
	mode  Mode        // when it is not patched
	patch bool        // worth a try
	left  int         // pieces for which it holds
}

const (
	// choiceHolds is for how many pieces a choice is kept: 8 MiB of a tensor.
	choiceHolds = 8
	// A sample is sampleRuns runs of sampleRun bytes, rounded down to whole elements or blocks.
	sampleRuns = 16
	sampleRun  = 1 << 10
	// guessFrom is from how many bytes on a type is guessed of bytes of which nothing is known.
	guessFrom = 64 << 10
	// better is how much shorter another way must come out to be preferred to the one tried first.
	better = 0.99
)

// guesses are types that bytes may be although no table says so: many formats are a header and plain floats.
var guesses = []table.DType{table.F32, table.BF16, table.F16, table.F64}

// sampler has room for a sample and what is made of it.
type sampler struct {
	piece, base, xor, split [sampleRuns * sampleRun]byte
	planes                  [][]byte
	numbers                 [sampleRuns * sampleRun]uint32
	syms                    []byte
}

// choose samples a piece and estimates what each mode would make of it.
func (e *Encoder) choose(d table.DType, piece, base []byte) choice {
	c := choice{asked: d, based: base != nil, dtype: d, mode: Raw, patch: base != nil && e.coder.level >= Swift, left: choiceHolds}
	if d == table.Bytes {
		// What is not a tensor is not the same throughout.
		c.left = 1
		e.hints = [hintCount]hint{}
	}
	if e.coder.level < Dense {
		return c
	}
	s := &e.sampler
	n := s.take(piece, base, max(unit(d), int(d.Block())))
	best := s.estimate(&c, n, d)
	if d == table.Bytes && len(piece) >= guessFrom {
		for _, guess := range guesses {
			other := c
			if size := s.estimate(&other, n, guess); size < best*better {
				best, c = size, other
			}
		}
	}
	if best >= worthwhile {
		c.mode = Raw
	}
	// zstd finds what no order of single bytes shows: repetitions, as of floats that were made from few values. Then
	// the piece is coded as plain bytes, in one plane.
	if z := e.coder.zstdShare(piece); z < best*zstdGain {
		c.dtype, c.mode, c.patch = table.Bytes, Split, c.patch && z > patchAnyway
	}
	return c
}

// patchAnyway is how short a piece must become by itself for it not to be tried as a patch.
const patchAnyway = 0.05

// take copies the sample and gives its length.
func (s *sampler) take(piece, base []byte, unit int) (n int) {
	run := max(sampleRun/unit, 1) * unit
	for i := range sampleRuns {
		at := (len(piece) - run) / sampleRuns * i
		if len(piece) <= sampleRuns*sampleRun { // all of it, in order
			at, run = n, min(run, len(piece)-n)
		} else {
			at -= at % unit
		}
		if at < 0 || run <= 0 || n+run > len(s.piece) {
			break
		}
		copy(s.piece[n:], piece[at:at+run])
		if base != nil {
			copy(s.base[n:], base[at:at+run])
		}
		n += run
	}
	return n
}

// estimate gives the size of the shortest way to code a sample as type d, as a share of it, and puts it into c.
func (s *sampler) estimate(c *choice, n int, d table.DType) float64 {
	l := &layouts[d]
	n -= n % max(l.width, l.block())
	if n == 0 {
		return 1
	}
	c.dtype = d
	best := s.planesSize(l, s.piece[:n])
	c.mode = Split
	if !c.based {
		return best / float64(n)
	}
	exclusiveOr(s.xor[:n], s.piece[:n], s.base[:n])
	if size := s.planesSize(l, s.xor[:n]); size < best {
		best, c.mode = size, Xor
	}
	numbers := l.elements(s, n)
	all, changed, changes := numbersSize(s, numbers)
	if l.steps() && all < best {
		best, c.mode = all, Steps
	}
	p := float64(changed) / float64(len(numbers))
	where := float64(len(numbers)) / 8 * binaryEntropy(p)
	// A patch is exact about how much changed, so that nearly as good is good enough to try.
	c.patch = p < patchable && where+changes < best*1.02
	if c.patch {
		best = min(best, where+changes)
	}
	return best / float64(n)
}

// elements fills numbers with the differences of all elements of the sample. Those of eight bytes are cut in halves.
func (l *layout) elements(s *sampler, n int) []uint32 {
	if l.width == 8 {
		half := layout{width: 4}
		return half.differences(s.numbers[:], s.piece[:n], s.base[:n])
	}
	return l.differences(s.numbers[:], s.piece[:n], s.base[:n])
}

// planesSize estimates a sample's planes, in bytes. No symbol takes less than a bit.
func (s *sampler) planesSize(l *layout, sample []byte) (size float64) {
	s.planes, _ = l.split(s.planes, s.split[:], sample)
	for _, p := range s.planes {
		size += symbolsSize(p)
	}
	return size
}

func symbolsSize(p []byte) float64 {
	var counts huff.Counts
	counts.Count(p)
	if counts.Used() < 2 {
		return 1
	}
	e := max(1, entropy(&counts))
	if e > 8*worthwhile {
		e = 8
	}
	return e / 8 * float64(len(p))
}

// numbersSize estimates numbers coded as symbols and open bits, in bytes: all of them, and those alone that are not zero.
func numbersSize(s *sampler, numbers []uint32) (all float64, changed int, changes float64) {
	w := bitWriter{}
	s.syms = w.numbers(s.syms[:0], numbers)
	open := float64(8*len(w.b)+int(w.n)) / 8
	all = open + symbolsSize(s.syms)
	k := 0
	for _, v := range s.syms {
		s.syms[k] = v
		if v != 0 {
			k++
		}
	}
	if k > 0 {
		changes = open + symbolsSize(s.syms[:k])
	}
	return all, k, changes
}

func binaryEntropy(p float64) float64 {
	if p <= 0 || p >= 1 {
		return 0
	}
	return -p*math.Log2(p) - (1-p)*math.Log2(1-p)
}
