package weights

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/galleon-net/galleon/replication/weights/table"
)

const (
	// anchorsInAll bounds what is remembered of all files of a destination: anchors of 256 GiB, 40 MiB of memory.
	anchorsInAll = 1 << 20
	// sameAnchor is how many places with one hash are remembered; what is everywhere says nothing.
	sameAnchor = 4
	// candidates is how many segments of one signature are compared by sketch.
	candidates = 4096
	// alike is how much nearer than something unrelated a base must be, by bits of the sketch.
	alike = 0.92
	// spansMost is how many spans a segment may have.
	spansMost = 1 << 12
)

// Search finds for every segment of a file what a destination that has other files can use as its base. It looks at
// indexes only: what it proposes is likely, and frames then take what is shorter. Nothing depends on names, but
// where content leaves a choice the same name decides.
//
// In this order: a segment of the same sum; stretches that hold the same anchors, be they moved, cut along rows
// or along columns, or joined; the segment of the same type, size and rows whose sketch is nearest; for small tensors,
// one of the same name and size.
func Search(file *Index, have ...*Index) *Recipe {
	s := newSearcher(have)
	r := &Recipe{Size: file.Size, Sum: file.Sum, Segments: make([]Plan, len(file.Segments))}
	for i := range file.Segments {
		t := &file.Segments[i]
		p := &r.Segments[i]
		*p = Plan{Size: t.Size, DType: t.DType, Sum: t.Sum}
		if _, ok := s.bySum[t.Sum]; ok {
			p.Same = true
			continue
		}
		p.Pieces = t.Pieces
		p.Spans = s.byAnchors(t)
		if covered(p.Spans)*2 < t.Size {
			if b := s.bySketch(t); b != nil {
				p.Spans = []Span{whole(b, t)}
			}
		}
		if len(p.Spans) == 0 {
			p.Spans = s.byName(t)
		}
	}
	return r
}

func covered(spans []Span) (n int64) {
	for i := range spans {
		n += spans[i].Row * spans[i].Rows
	}
	return n
}

func whole(b, t *Segment) Span {
	return Span{Base: b.Sum, Row: min(b.Size, t.Size), Rows: 1}
}

// signature is what two tensors have in common that can be compared place by place.
type signature struct {
	dtype     table.DType
	size, row int64
}

// where is an anchor of a segment that the destination has.
type where struct {
	hash    uint64
	segment int32 // in searcher.segments
	at      int64
}

type named struct {
	name string
	size int64
}

type part struct {
	segment *Segment
	at      int64
}

type searcher struct {
	segments    []*Segment
	bySum       map[Sum]*Segment
	bySignature map[signature][]*Segment
	parts       map[named]part
	anchors     []where // by hash
}

func newSearcher(have []*Index) *searcher {
	s := &searcher{bySum: map[Sum]*Segment{}, bySignature: map[signature][]*Segment{}, parts: map[named]part{}}
	for _, ix := range have {
		for i := range ix.Segments {
			b := &ix.Segments[i]
			if _, twice := s.bySum[b.Sum]; twice {
				continue
			}
			s.bySum[b.Sum] = b
			s.segments = append(s.segments, b)
			k := signature{b.DType, b.Size, b.Row}
			if l := s.bySignature[k]; len(l) < candidates {
				s.bySignature[k] = append(l, b)
			}
			for _, p := range b.Parts {
				s.parts[named{p.Name, p.Size}] = part{b, p.At}
			}
			for _, a := range b.Anchors {
				if len(s.anchors) < anchorsInAll {
					s.anchors = append(s.anchors, where{a.Hash, int32(len(s.segments) - 1), a.At})
				}
			}
		}
	}
	slices.SortFunc(s.anchors, func(a, b where) int {
		return cmp.Or(cmp.Compare(a.hash, b.hash), cmp.Compare(a.segment, b.segment), cmp.Compare(a.at, b.at))
	})
	return s
}

// find gives where an anchor's hash is known from, nothing when it is in too many places.
func (s *searcher) find(hash uint64) []where {
	i, ok := slices.BinarySearchFunc(s.anchors, hash, func(w where, h uint64) int { return cmp.Compare(w.hash, h) })
	if !ok {
		return nil
	}
	n := 1
	for i+n < len(s.anchors) && s.anchors[i+n].hash == hash {
		n++
	}
	if n > sameAnchor {
		return nil
	}
	return s.anchors[i : i+n]
}

// bySketch finds the nearest of the segments of the same signature, if it is near at all.
func (s *searcher) bySketch(t *Segment) (best *Segment) {
	least := 0.0
	for _, b := range s.bySignature[signature{t.DType, t.Size, t.Row}] {
		d := distance(t.Sketch, b.Sketch)
		if b.sharesName(t) {
			d *= 0.999
		}
		if best == nil || d < least {
			best, least = b, d
		}
	}
	if best == nil || least >= alike*unrelated(t.Sketch, best.Sketch) {
		return nil
	}
	return best
}

func (s *Segment) sharesName(t *Segment) bool {
	return len(s.Parts) > 0 && len(t.Parts) > 0 && s.Parts[0].Name == t.Parts[0].Name
}

// distance is the share of bits in which two sketches differ.
func distance(a, b []byte) float64 {
	n := min(len(a), len(b))
	if n == 0 {
		return 1
	}
	sum := 0
	for i := range n {
		sum += bits.OnesCount8(a[i] ^ b[i])
	}
	return float64(sum) / float64(8*n)
}

// unrelated is the distance that there would be if values lay at random places: b is turned by a spot, so
// that bytes of elements still meet their like.
func unrelated(a, b []byte) float64 {
	if len(b) <= sketchSpot {
		return 0.5
	}
	turned := append(append([]byte(nil), b[sketchSpot:]...), b[:sketchSpot]...)
	return distance(a, turned)
}

// byName finds bases for tensors that share a segment, by name and size.
func (s *searcher) byName(t *Segment) (spans []Span) {
	for _, p := range t.Parts {
		if b, ok := s.parts[named{p.Name, p.Size}]; ok && p.Size > 0 && p.Size < small && len(spans) < spansMost {
			spans = append(spans, Span{Base: b.segment.Sum, At: p.At, Off: b.at, Row: p.Size, Rows: 1})
		}
	}
	return spans
}
