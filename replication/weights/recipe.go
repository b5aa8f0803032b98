package weights

import "github.com/galleon-net/galleon/replication/weights/table"

// Recipe says how a file is made at a destination: its segments, and where each one's base lies. It goes ahead of
// the frames. With it a frame can be checked, and a file be taken up again, without anything else.
type Recipe struct {
	Size     int64 // bytes
	Sum      Sum   // of the file
	Segments []Plan
}

// Plan is one segment of a recipe.
type Plan struct {
	Size  int64 // bytes
	DType table.DType
	Sum   Sum
	// Same says that the destination has this very segment: it has no frames.
	Same bool
	// Pieces are the sums of its pieces; nil when it is the same.
	Pieces []Sum
	// Spans say where the base lies. What no span covers has zeros for a base.
	Spans []Span
}

// Span says that rows of a segment have rows of another as their base: for r from 0 to Rows-1, the Row bytes at
// At + r*AtStride have those at Off + r*OffStride of the segment named Base. A plain stretch is one row.
type Span struct {
	Base      Sum
	At, Off   int64 // bytes, from the beginnings of the segments
	Row, Rows int64 // bytes; how many
	AtStride  int64 // bytes
	OffStride int64
}

// minRow is the shortest row of a span of several, in bytes: each is read by itself.
const minRow = 64

// end is where the last row ends in the segment that has the base.
func (s *Span) end() int64 { return s.At + (s.Rows-1)*s.AtStride + s.Row }

// Place is one piece of a file.
type Place struct {
	Segment, Piece int
}

// Places gives the places of all pieces that have frames, in order from one on.
func (r *Recipe) Places(from Place) func(yield func(Place) bool) {
	return func(yield func(Place) bool) {
		for s := from.Segment; s < len(r.Segments); s++ {
			p := 0
			if s == from.Segment {
				p = from.Piece
			}
			for ; p < len(r.Segments[s].Pieces); p++ {
				if !yield(Place{s, p}) {
					return
				}
			}
		}
	}
}

// Extent gives where a place lies in its segment, in bytes.
func (r *Recipe) Extent(p Place) (at int64, n int) {
	s := &r.Segments[p.Segment]
	size := int64(PieceSize(s.DType))
	at = int64(p.Piece) * size
	return at, int(min(size, s.Size-at))
}

// Offset gives where a segment begins in the file, in bytes.
func (r *Recipe) Offset(segment int) (at int64) {
	for i := range segment {
		at += r.Segments[i].Size
	}
	return at
}

// Bases gives all segments that are needed as bases, each once.
func (r *Recipe) Bases() (list []Sum) {
	seen := map[Sum]bool{}
	add := func(s Sum) {
		if !seen[s] {
			seen[s] = true
			list = append(list, s)
		}
	}
	for i := range r.Segments {
		s := &r.Segments[i]
		if s.Same {
			add(s.Sum)
		}
		for k := range s.Spans {
			add(s.Spans[k].Base)
		}
	}
	return list
}

// ReadBase reads len(p) bytes at off of the segment that is named. It is the caller's: from a store at the source,
// where bases are those of the destination, or at the destination.
type ReadBase func(p []byte, segment Sum, off int64) error

// base fills p with the base of the bytes at of a segment, and says whether more than half of them have one.
func (s *Plan) base(p []byte, at int64, read ReadBase) (bool, error) {
	covered := int64(0)
	end := at + int64(len(p))
	clean := false
	for i := range s.Spans {
		n := &s.Spans[i]
		if n.At >= end || n.end() <= at {
			continue
		}
		if !clean {
			clear(p)
			clean = true
		}
		first := int64(0)
		if n.Rows > 1 && at > n.At {
			first = (at - n.At) / n.AtStride
		}
		for r := first; r < n.Rows; r++ {
			from, to := n.At+r*n.AtStride, n.At+r*n.AtStride+n.Row
			if from >= end {
				break
			}
			a, b := max(from, at), min(to, end)
			if a >= b {
				continue
			}
			if err := read(p[a-at:b-at], n.Base, n.Off+r*n.OffStride+a-from); err != nil {
				return false, err
			}
			covered += b - a
		}
	}
	return covered*2 > int64(len(p)), nil
}
